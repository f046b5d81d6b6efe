"""Gradients of scalar functions of pytrees."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from torch import Tensor

from funcnet import _torch, tree
from funcnet.tracebacks import boundary
from funcnet.transforms.flatten import (
    Argnums,
    Flattener,
    Function,
    Inputs,
    check_function,
    check_scalar,
    positions,
    value_and_aux,
)
from funcnet.transforms.purity import NEAR, Pure
from funcnet.transforms.replacements import with_replacements
from funcnet.transforms.wrapped import wrapped
from funcnet.tree.conversion import arrays_as_tensors

P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")


@overload
def grad(f: Callable[Concatenate[X, P], Tensor], *, holomorphic: bool = False) -> Callable[Concatenate[X, P], X]: ...


@overload
def grad(
    f: Callable[P, Any], argnums: Argnums, *, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]: ...


@overload
def grad(
    f: Callable[Concatenate[X, P], tuple[Any, R]], *, has_aux: bool, holomorphic: bool = False
) -> Callable[Concatenate[X, P], tuple[X, R]]: ...


@overload
def grad(
    f: Callable[P, Any], argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False, allow_int: bool
) -> Callable[P, Any]: ...


def grad(
    f: Function,
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Function:
    """Transform a scalar function into its gradient.

    The gradient with respect to a complex z = x + iy is df/dx + i df/dy, as backward() gives it: z - lr * gradient
    descends. (JAX returns its conjugate.)

    Args:
        f: Returns a 0-d floating-point tensor, or with has_aux a pair of that and any pytree.
        argnums: The positional argument to differentiate with respect to, or a sequence of several.
        has_aux: Whether f returns (value, aux).
        holomorphic: Whether f is holomorphic, from complex tensors to a 0-d complex tensor; the result is its complex
            derivative, as in JAX.
        allow_int: Whether there may be nothing to differentiate with respect to; the gradient is then None everywhere.
    Returns:
        A function of the same arguments that returns the gradient, or (gradient, aux). The gradient is a tree like the
        argument (a tuple of them for several argnums), with None at leaves that are neither floating-point nor complex.
    Raises:
        TypeError: The argument holds no floating-point or complex tensor, or f does not return a 0-d floating-point
            tensor, or with has_aux not a pair.
        ValueError: An argnum is not the position of an argument, or is given twice.
        RuntimeError: f writes in place to an argument or to a tensor that it closes over. A write by `out=`, or to an
            argument under `no_grad`, has already happened.
    Example:
        >>> fn.grad(lambda p: (p["x"] ** 2).sum())({"x": torch.tensor([1.0, 2.0]), "steps": 3})
        {'x': tensor([2., 4.]), 'steps': None}
    """
    check_function("grad", f)
    return wrapped(_grad, f, argnums, has_aux, holomorphic, allow_int)


def _grad(
    f: Function, argnums: Argnums, has_aux: bool, holomorphic: bool, allow_int: bool, /, *args: Any, **kwargs: Any
) -> Any:
    rule = _rule("grad", args, argnums, holomorphic, allow_int)
    value, grads = rule("grad", f, argnums, has_aux, args, kwargs)
    return (grads, value[1]) if has_aux else grads


@overload
def value_and_grad(
    f: Callable[Concatenate[X, P], R], *, has_aux: bool = False, holomorphic: bool = False
) -> Callable[Concatenate[X, P], tuple[R, X]]: ...


@overload
def value_and_grad(
    f: Callable[P, R], argnums: Argnums, *, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, tuple[R, Any]]: ...


@overload
def value_and_grad(
    f: Callable[P, R], argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False, allow_int: bool
) -> Callable[P, tuple[R, Any]]: ...


def value_and_grad(
    f: Function,
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Function:
    """Transform a scalar function into one that returns its value and its gradient, in this order.

    Returns:
        A function of the same arguments that returns (value, gradient), or ((value, aux), gradient). Arguments,
        gradient and errors are those of `grad`.
    Example:
        >>> fn.value_and_grad(lambda x: x**2)(torch.tensor(3.0))
        (tensor(9.), tensor(6.))
    """
    check_function("value_and_grad", f)
    return wrapped(_value_and_grad, f, argnums, has_aux, holomorphic, allow_int)


def _value_and_grad(
    f: Function, argnums: Argnums, has_aux: bool, holomorphic: bool, allow_int: bool, /, *args: Any, **kwargs: Any
) -> Any:
    rule = _rule("value_and_grad", args, argnums, holomorphic, allow_int)
    return rule("value_and_grad", f, argnums, has_aux, args, kwargs)


def _rule(name: str, args: tuple[Any, ...], argnums: Argnums, holomorphic: bool, allow_int: bool) -> Function:
    if allow_int and not any(map(_is_inexact, tree.leaves(_chosen(name, args, argnums)))):
        return _without_gradient
    return _holomorphic if holomorphic else _differentiated


def _chosen(name: str, args: tuple[Any, ...], argnums: Argnums) -> Any:
    found = tuple(args[i] for i in positions(name, (argnums,) if isinstance(argnums, int) else argnums, len(args)))
    return found[0] if isinstance(argnums, int) else found


def _is_inexact(leaf: Any) -> bool:
    return isinstance(leaf, float | complex) or tree.is_inexact(leaf)


def _without_gradient(
    name: str, f: Function, argnums: Argnums, has_aux: bool, args: Any, kwargs: Any
) -> tuple[Any, Any]:
    return f(*args, **kwargs), tree.map(lambda _: None, _chosen(name, args, argnums))


@boundary
def _differentiated(name: str, f: Function, argnums: Argnums, has_aux: bool, args: Any, kwargs: Any) -> tuple[Any, Any]:
    inputs, auxiliary = Inputs(name, args, argnums), Flattener()
    kwargs = arrays_as_tensors(kwargs) if kwargs else kwargs

    def scalar(*tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        value, *aux = value_and_aux(name, f(*inputs.rebuild(tensors), **kwargs), has_aux)
        check_scalar(name, value)
        return value, auxiliary.split(*aux) if has_aux else ()

    with Pure(name, f, inputs.given(*kwargs.values()), NEAR):
        value, grads, results = with_replacements(lambda: _torch.gradients(scalar, inputs.tensors))
    if has_aux:
        return (value, auxiliary.rebuild(results)), inputs.gradient(grads)
    return value, inputs.gradient(grads)


def _holomorphic(name: str, f: Function, argnums: Argnums, has_aux: bool, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Differentiate the real part: its gradient is the conjugate of the complex derivative."""

    def real(*args: Any, **kwargs: Any) -> Any:
        out, *aux = value_and_aux(name, f(*args, **kwargs), has_aux)
        if not (tree.is_tensor(out) and out.is_complex() and not out.ndim):
            raise TypeError(f"{name}: expected f to return a 0-d complex tensor, got {tree.describe(out)}.")
        return out.real, (out, *aux)

    found = _chosen(name, args, argnums)
    if not all(isinstance(x, complex) or (tree.is_tensor(x) and x.is_complex()) for x in tree.leaves(found)):
        got = tree.map(tree.describe, found)
        raise TypeError(f"{name}: expected complex tensors, as holomorphic=True says, got {got}.")
    (_, results), grads = _differentiated(name, real, argnums, True, args, kwargs)
    return results if has_aux else results[0], tree.map(Tensor.conj_physical, grads)
