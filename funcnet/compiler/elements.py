"""x[i] for a 0-d integer tensor i while staging, where torch would read i as a number, in Python.

Each such index becomes one of a single element along its axis, and that element is then taken by 0: the place of an
axis and the shape of the result stay those of an index by a number. What is taken is a copy, though, where torch has a
view: a write to it that x[i] = y does not bring back to its place is an error.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from funcnet.compiler import checks, mutation
from funcnet.compiler.abstract import Abstract
from funcnet.compiler.batched import is_batching
from funcnet.transforms.value_checks import unwrapped

Result = TypeVar("Result")

MASKS = (torch.bool, torch.uint8)


def with_elements(f: Callable[..., Result]) -> Callable[..., Result]:
    """Let a function read and write elements at computed places, wherever it is called.

    A pass backwards, and torch.autograd's functions, are one call for such a mode, which is off inside: the body of a
    scan is called from there, too, and so has its own.
    """

    def run(*args: Any) -> Result:
        with _Elements():
            return f(*args)

    return run


class _Elements(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__:
            return _take(*args)
        if func is Tensor.__setitem__:
            return _put(*args)
        return checks.FUNCTIONS.get(func, func)(*args, **(kwargs or {}))


def _take(x: Tensor, index: Any) -> Tensor:
    if (found := _first(x, index)) is None:
        return x[index]
    where, rest = found
    part = x[where]
    if isinstance(traced := unwrapped(part), Abstract) and not is_batching():
        traced.taken = _place(x, where)
    return _take(part, rest)


def _put(x: Tensor, index: Any, value: Any) -> None:
    if (found := _first(x, index)) is None:
        x[index] = value
        return
    where, rest = found
    part = x[where]
    _put(part, rest, value)
    if isinstance(traced := unwrapped(value), Abstract) and mutation.root(traced).taken[1:] == _place(x, where)[1:]:
        traced.owner.lost.pop(id(mutation.root(traced)), None)  # as x[i] += y does, having written to what it took
    x[where] = part


def _place(x: Tensor, where: tuple[Any, ...]) -> tuple[Any, ...]:
    """Identify a part of a tensor, as long as nothing is written to that."""
    held, at = unwrapped(x), unwrapped(where[-1])
    values = [mutation.read(t.owner, t) if isinstance(t, Abstract) else id(t) for t in (held, at)]
    return held, *values, len(where)


def _first(x: Tensor, index: Any) -> tuple[Any, Any] | None:
    """Split the first index that is a 0-d tensor of integers from the others, among which 0 takes its place."""
    parts = index if isinstance(index, tuple) else (index,)
    for position, part in enumerate(parts):
        if isinstance(part, Tensor) and not part.ndim and not part.is_floating_point() and part.dtype not in MASKS:
            where = (slice(None),) * _axis(x, parts, position) + (part.reshape(1),)
            return where, (*parts[:position], 0, *parts[position + 1 :])
    return None


def _axis(x: Tensor, parts: tuple[Any, ...], position: int) -> int:
    """Find the axis that an index is for."""
    if any(part is ... for part in parts[:position]):
        return x.ndim - sum(map(_width, parts[position:]))
    return sum(map(_width, parts[:position]))


def _width(part: Any) -> int:
    """Count the axes that an index stands for."""
    if part is None or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, Tensor) and part.dtype in MASKS else 1
