"""The names of the vmaps that run now, with their levels and sizes."""

import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor

from funcnet import _torch


class Axis(NamedTuple):
    """A named axis."""

    name: Hashable
    level: int  # of its vmap in torch.func
    size: int
    position: Tensor  # 0-d int64, the position of the example


class _Axes(threading.local):
    def __init__(self) -> None:
        self.active: list[Axis] = []


_axes = _Axes()


@contextmanager
def named(name: Hashable | None, size: int, tensors: Sequence[Tensor]) -> Iterator[None]:
    """Give the innermost vmap that runs now a name; None gives it none. The last tensor is the position."""
    if name is None:
        yield
        return
    _axes.active.append(Axis(name, _torch.current_level() or 0, size, tensors[-1]))
    try:
        yield
    finally:
        _axes.active.pop()


def find(name: Hashable) -> Axis:
    """Return the innermost axis of a name.

    Raises:
        NameError: No vmap of this name runs.
    """
    for axis in reversed(_axes.active):
        if axis.name == name:
            return axis
    names = ", ".join(repr(axis.name) for axis in _axes.active) or "none"
    raise NameError(
        f"unbound axis name {name!r}: expected the axis_name of a vmap around this call, got {names}. "
        f"Call it in a function mapped by fn.vmap(..., axis_name={name!r})."
    )
