"""`custom_vjp` and `custom_jvp`: functions with derivative rules of their own."""

from collections.abc import Sequence
from functools import partial, update_wrapper
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.reprs import Shown, text
from funcnet.tracebacks import boundary
from funcnet.transforms import custom_rules, rule_levels
from funcnet.transforms.custom_jvp_rule import JvpCall
from funcnet.transforms.custom_vjp_rule import VjpCall
from funcnet.transforms.flatten import Function, check_function
from funcnet.transforms.wrapped import global_name
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors


class _Custom(Shown):
    """A function with a derivative rule, which may be a method."""

    name = ""

    __call__: Function

    def __init__(
        self, f: Function, nondiff_argnums: int | Sequence[int] = (), nondiff_argnames: str | Sequence[str] = ()
    ) -> None:
        check_function(self.name, f)
        update_wrapper(self, f)
        self.f, self.nondiff_argnums = f, nondiff_argnums
        if nondiff_argnames:
            numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else nondiff_argnums
            self.nondiff_argnums = *numbers, *custom_rules.named_positions(self.name, f, nondiff_argnames)
        self.rules: tuple[Function, ...] = ()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"{self.name}({text(self.f)})"

    def __reduce__(self) -> Any:
        return global_name(self) or (_made, (type(self), self.f, self.nondiff_argnums, self.rules))

    def _set(self, *rules: Function) -> None:
        for rule in rules:
            check_function(self.name, rule)
        self.rules = rules

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any], method: str) -> tuple[tuple[Any, ...], Any]:
        """Return the arguments by position, and the positions of those without derivative."""
        if not self.rules:
            raise AttributeError(
                f"{self.name}: expected a rule for {getattr(self.f, '__name__', self.f)}, got none. "
                f"Define it by {method} before the first call."
            )
        args = custom_rules.positional(self.name, self.f, *arrays_as_tensors((args, kwargs)))
        return args, custom_rules.positions(self.name, self.nondiff_argnums, len(args))


def _made(kind: type[_Custom], f: Function, nondiff_argnums: Any, rules: tuple[Function, ...]) -> _Custom:
    made = kind(f, nondiff_argnums)
    made.rules = rules
    return made


class custom_vjp(_Custom):  # noqa: N801  a decorator
    """Give a function a rule for reverse-mode differentiation.

    The rule replaces the derivative at the innermost transformation that differentiates an argument; outer
    transformations, as in grad of grad, differentiate the operations of the rule itself. Under `vmap` and `jit` the
    rule is mapped and traced like any function. A function without a rule for forward mode cannot be differentiated by
    `jvp` or `jacfwd`; `hessian`, forward over reverse mode, works.

    Args:
        f: A function of positional arguments, any pytrees.
        nondiff_argnums: Positions of arguments without derivative, such as functions and options; they are the first
            arguments of bwd.
        nondiff_argnames: The names of further such arguments.
    Returns:
        A function like f, whose rule `defvjp` defines.
    Raises:
        AttributeError: At a call: no rule has been defined.
        TypeError: At a call: an argument is given that f takes by keyword only; fwd does not return a pair; bwd does
            not return a tuple with one tree like each argument; or forward mode is asked for.
        ValueError: At a call: a cotangent has another shape or dtype than its argument; or f is differentiated with
            respect to a tensor that it closes over, or that is among the nondiff_argnums.
    Source:
        jax.custom_vjp.
    Example:
        >>> @fn.custom_vjp
        ... def clip_gradient(x, largest):
        ...     return x
        >>> def forward(x, largest):
        ...     return x, largest
        >>> def backward(largest, cotangent):
        ...     return torch.clamp(cotangent, -largest, largest), None
        >>> clip_gradient.defvjp(forward, backward)
        >>> fn.grad(lambda x: 5 * clip_gradient(x, 1.0))(torch.tensor(2.0))
        tensor(1.)
    """

    name = "custom_vjp"

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Define the rule.

        Args:
            fwd: Called like f; returns (result of f, residuals), where residuals is any pytree that bwd needs.
            bwd: bwd(*arguments of nondiff_argnums, residuals, cotangent), with a cotangent like the result and None at
                leaves that are not floating-point or complex tensors. It returns a tuple of one cotangent per other
                argument, of the same structure; None in place of a leaf or subtree is zero.
        """
        self._set(fwd, bwd)

    @boundary
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        args, nondiff = self._arguments(args, kwargs, "defvjp")
        constants, others = custom_rules.separated(args, nondiff)
        if rule_levels.innermost(filter(tree.is_tensor, tree.leaves(others))) is None:
            return custom_rules.call_undifferentiated(self.name, self.f, args)
        return VjpCall((*self.rules, *constants), nondiff).run(others)


class custom_jvp(_Custom):  # noqa: N801  a decorator
    """Give a function a rule for differentiation in both modes: it pushes tangents forward.

    Reverse mode transposes the rule, so its tangents must depend linearly on the given ones. The rule replaces the
    derivative at each transformation that differentiates an argument of a call.

    Args:
        f: A function of positional arguments, any pytrees.
        nondiff_argnums: Positions of arguments without derivative; they are the first arguments of the rule.
        nondiff_argnames: The names of further such arguments.
    Returns:
        A function like f, whose rule `defjvp` or `defjvps` defines.
    Raises:
        AttributeError: At a call: no rule has been defined.
        TypeError: At a call: an argument is given that f takes by keyword only, or the rule does not return a pair of
            a result and a tangent of the same structure, shapes and dtypes.
        ValueError: At a call: f is differentiated with respect to a tensor that it closes over.
    Source:
        jax.custom_jvp.
    Example:
        >>> @fn.custom_jvp
        ... def log1pexp(x):
        ...     return torch.log1p(torch.exp(x))
        >>> log1pexp.defjvps(lambda tangent, result, x: (1 - 1 / (1 + torch.exp(x))) * tangent)
        >>> fn.grad(log1pexp)(torch.tensor(100.0))
        tensor(1.)
    """

    name = "custom_jvp"

    def defjvp(self, jvp: Function) -> Function:
        """Define the rule; return it, so that this may be a decorator.

        Args:
            jvp: jvp(*arguments of nondiff_argnums, primals, tangents), with the tuple of the other arguments and one of
                their tangents; returns (result, tangent of the result). The tangent of a number is 0.0, and that of any
                other leaf that is not a floating-point or complex tensor is None.
        """
        self._set(jvp)
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Define the rule by one function per argument: jvp(tangent of the argument, result, *arguments).

        Args:
            jvps: None for an argument whose derivative is zero. Their results are added up.
        Raises:
            TypeError: The function has nondiff_argnums.
        """
        if self.nondiff_argnums != ():
            raise TypeError("custom_jvp: defjvps does not support nondiff_argnums; define the rule by defjvp.")
        for jvp in jvps:
            check_function(self.name, jvp if jvp is not None else _sum)
        self.rules = (partial(_by_argument, self, jvps),)

    @boundary
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        args, nondiff = self._arguments(args, kwargs, "defjvp or defjvps")
        constants, others = custom_rules.separated(args, nondiff)
        constants = stop_gradient(constants)
        if rule_levels.innermost(filter(tree.is_tensor, tree.leaves(others))) is None:
            args = tuple(custom_rules.merged(constants, others, nondiff))
            return custom_rules.call_undifferentiated(self.name, self.f, args)
        return JvpCall((self.f, *self.rules, *constants), nondiff).run(others)


def _by_argument(f: Function, jvps: Sequence[Function | None], primals: Any, tangents: Any) -> tuple[Any, Any]:
    result = f(*primals)
    pairs = zip(jvps, tangents, strict=True)
    found = [jvp(tangent, result, *primals) for jvp, tangent in pairs if jvp is not None]
    return result, tree.map(_sum, result, *found)


def _sum(result: Any, *tangents: Any) -> Any:
    if not tree.is_inexact(result):
        return None
    return sum(tangents[1:], tangents[0]) if tangents else torch.zeros_like(result)


def stop_gradient(values: Tree) -> Any:
    """Return the same values as constants: derivatives with respect to them are zero, in both modes and of all orders.

    Args:
        values: Any tree; leaves that are not tensors are returned unchanged.
    Source:
        jax.lax.stop_gradient.
    Example:
        >>> fn.grad(lambda x: x * fn.stop_gradient(x))(torch.tensor(3.0))
        tensor(3.)
    """
    return tree.map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, values)
