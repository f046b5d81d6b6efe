"""Steps of differentiation with rules of their own, the base of custom derivatives.

A rule applies at one level: the innermost one that differentiates an argument of the call. Outer levels differentiate
the operations of the rule, as in JAX. So a rule that clips gradients clips each gradient once, of whatever order.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from funcnet import _torch, tree
from funcnet.transforms import rule_levels
from funcnet.transforms.batching import vmap
from funcnet.transforms.closures import NoHiddenTensors, closed, rebind
from funcnet.transforms.flatten import Function
from funcnet.transforms.remat import Recomputed
from funcnet.transforms.structural_zeros import Partial, Tensors


@dataclass(frozen=True, eq=False)
class Ruled(Recomputed):
    """A step whose rules apply at one level; it is recomputed at outer levels.

    Attributes:
        level: The level of torch.func; 0 for torch's autograd.
    """

    level: int

    def here(self) -> Recomputed:
        return self if (_torch.current_level() or 0) == self.level else Recomputed(self.through)

    def through(self, *tensors: Tensor) -> Tensors:
        """Compute the results for outer levels, at which the rules of calls inside the rule apply."""
        with rule_levels.everywhere():
            return self.outer(*tensors)

    def outer(self, *tensors: Tensor) -> Tensors:
        """Compute the results for outer levels, which differentiate these operations."""
        results: Tensors = self.f(*tensors)
        return results

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        return batch_of(self, dims, tensors)


def batch_of(step: Recomputed, dims: Sequence[int | None], tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
    """Compute the results of a batch whose rules are those of the step; return them and their axes."""
    results = _Batched(vmap(step.f, tuple(dims)), step, tuple(dims))(*tensors)
    return results, (0,) * len(results)


@dataclass(frozen=True, eq=False)
class _Batched(Recomputed):
    """A batch of a step: its rules are those of the step, mapped over the batch.

    Attributes:
        one: The step for one example.
        dims: The mapped axis of each argument, None for a shared one. All results are stacked along axis 0.
    """

    one: Recomputed
    dims: tuple[int | None, ...]

    def here(self) -> Recomputed:
        one = self.one.here()
        return self if one is self.one else Recomputed(vmap(one.f, self.dims))

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        return batch_of(self, dims, tensors)

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        return *tensors, *results

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        def pull(tensors: Tensors, results: Tensors, cotangents: Partial) -> Partial:
            return tuple(self.one.pull(self.one.kept(tensors, results), cotangents))

        count = len(self.dims)
        found = vmap(pull, (self.dims, 0, 0))(tuple(kept[:count]), tuple(kept[count:]), tuple(cotangents))
        return tuple(map(_unbatched, found, self.dims))

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        pushed: tuple[Tensors, Partial] = vmap(self.one.push, (self.dims, self.dims))(tuple(primals), tuple(tangents))
        return pushed


def _unbatched(cotangents: Tensor | None, dim: int | None) -> Tensor | None:
    """Give the cotangents of a batch the axis of the argument; a shared argument has their sum."""
    if cotangents is None:
        return None
    return cotangents.sum(0) if dim is None else cotangents.movedim(0, dim)


class Frozen:
    """The functions and constants of one call, frozen, with the tensors that they hold as arguments.

    Attributes:
        held: The tensors that they hold and that are differentiated or mapped outside.
        level: The level at which the rules of the call apply; -1 if only outer levels differentiate it.
    """

    def __init__(self, name: str, parts: Sequence[Any], arguments: Sequence[Tensor]) -> None:
        self.name = name
        self.level = rule_levels.of_rule(arguments)
        self.parts, self.held, self.outside = closed(partial(_never, *parts), arguments)
        levels = [_torch.derivative_level(tensor) for tensor in self.held]
        lowest = self.level if self.level is not None and self.level >= 0 else math.inf
        self.forbidden = [level is not None and level >= lowest for level in levels]

    def holding(self, held: Sequence[Tensor]) -> tuple[Any, ...]:
        """Return the functions and constants with these tensors instead."""
        return rebind(self.parts, self.held, held).args

    def call(self, f: Callable[[tuple[Any, ...]], Any], tensors: Sequence[Tensor]) -> Any:
        """Call f(functions and constants) for tensors that begin with the held ones; refuse other tensors."""
        held = tensors[: len(self.held)]
        refused = {id(tensor) for tensor, no in zip(held, self.forbidden, strict=True) if no}
        with NoHiddenTensors(self.name, tensors, self.outside), Closed(self.name, lambda x: id(x) in refused):
            return f(self.holding(held))


def _never(*_: Any) -> None:
    """Stand for the function of a partial that only holds its arguments."""


class Closed(TorchFunctionMode):
    """Refuse closed-over tensors that are differentiated: a custom rule differentiates arguments only."""

    def __init__(self, name: str, is_refused: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.name, self.is_refused = name, is_refused

    def __torch_function__(self, function: Function, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(isinstance(leaf, Tensor) and self.is_refused(leaf) for leaf in tree.leaves((args, kwargs))):
            raise ValueError(
                f"{self.name}: the function is differentiated with respect to a tensor that it closes over or that is "
                "among its nondiff_argnums, but its rule is for its other arguments only. Pass the tensor as an "
                "argument, and return its derivative from the rule."
            )
        return function(*args, **(kwargs or {}))


def call_undifferentiated(name: str, f: Function, args: tuple[Any, ...]) -> Any:
    """Call a function none of whose arguments is differentiated, and so no other tensor may be."""
    if not (_torch.is_transforming() or torch.is_grad_enabled()):
        return f(*args)
    own = _torch.current_level() or 0

    def is_refused(tensor: Tensor) -> bool:
        return _torch.level(tensor) <= own and _torch.derivative_level(tensor) is not None

    with Closed(name, is_refused):
        return f(*args)


def positional(name: str, f: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return all arguments by position, defaults included.

    Raises:
        TypeError: f takes one of them by keyword only.
    """
    try:
        bound = signature(f).bind(*args, **kwargs)
    except ValueError:  # a builtin function has no signature
        if kwargs:
            raise TypeError(f"{name}: expected positional arguments, got {', '.join(kwargs)} by keyword.") from None
        return args
    bound.apply_defaults()
    if bound.kwargs:
        raise TypeError(
            f"{name}: expected a function of positional arguments, got {', '.join(bound.kwargs)} by keyword only. "
            "Rules take arguments by position."
        )
    return bound.args


def separated(args: tuple[Any, ...], nondiff: Sequence[int]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Split arguments into those of nondiff_argnums, in their order, and the others."""
    return tuple(args[i] for i in nondiff), tuple(arg for i, arg in enumerate(args) if i not in nondiff)


def merged(constants: Sequence[Any], others: Sequence[Any], nondiff: Sequence[int]) -> list[Any]:
    """Put arguments in order: the inverse of `separated`."""
    rest, known = iter(others), dict(zip(nondiff, constants, strict=True))
    return [known[i] if i in known else next(rest) for i in range(len(constants) + len(others))]


def named_positions(name: str, f: Function, argnames: str | Sequence[str]) -> tuple[int, ...]:
    """Return the positions of the arguments with these names.

    Raises:
        ValueError: f has no such argument.
    """
    names, known = [argnames] if isinstance(argnames, str) else list(argnames), list(signature(f).parameters)
    if unknown := set(names).difference(known):
        raise ValueError(f"{name}: expected nondiff_argnames among {known}, got {sorted(unknown)}.")
    return tuple(map(known.index, names))


def positions(name: str, nondiff: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Count nondiff_argnums from the front."""
    given = (nondiff,) if isinstance(nondiff, int) else tuple(nondiff)
    if any(not -count <= i < count for i in given):
        raise ValueError(f"{name}: nondiff_argnums {given} are not positions of arguments; there are {count} of them.")
    return tuple(sorted({i % count for i in given}))


def specs(tensors: Sequence[Tensor]) -> list[Any]:
    """Return the shape, dtype and device of each tensor."""
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
