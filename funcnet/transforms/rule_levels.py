"""The levels of torch.func at which the rules of custom derivatives apply.

A rule applies at the innermost level that differentiates a call; outer levels differentiate the operations of the rule.
A step that recomputes a function, such as remat and scan, evaluates it again, at a new level, once for each level that
differentiates the step. For an outer one, the rules inside the function do not apply at that new level.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import Tensor

from funcnet import _torch

_EVERY = 1 << 30  # above all levels


class _State(threading.local):
    floor = 0  # rules do not apply at levels below it
    is_outer = False  # whether a step computes a derivative for an outer level


_state = _State()


@contextmanager
def _set(floor: int, is_outer: bool) -> Iterator[None]:
    before = _state.floor, _state.is_outer
    _state.floor, _state.is_outer = floor, is_outer
    try:
        yield
    finally:
        _state.floor, _state.is_outer = before


def innermost(tensors: Iterable[Tensor]) -> int | None:
    """Return the innermost level that differentiates one of the tensors; None without any."""
    levels = [level for tensor in tensors if (level := _torch.derivative_level(tensor)) is not None]
    return max(levels, default=None)


def of_rule(tensors: Iterable[Tensor]) -> int | None:
    """Return the level at which the rule of a call applies, -1 for none; None if no tensor is differentiated."""
    level = innermost(tensors)
    return -1 if level is not None and level < _state.floor else level


def floor_of(tensors: Iterable[Tensor]) -> int:
    """Return the lowest level at which rules apply inside a step with these arguments."""
    return _EVERY if _state.is_outer else max(_state.floor, innermost(tensors) or 0)


def at(floor: int) -> AbstractContextManager[None]:
    """Return a context for the same step at lower levels."""
    return _set(floor, _state.is_outer)


def is_outer(floor: int) -> bool:
    """Tell whether the current level is outside those at which rules inside a step apply."""
    return (_torch.current_level() or 0) < floor


def derivative(*, is_outer: bool) -> AbstractContextManager[None]:
    """Return a context in which a step computes a derivative."""
    return _set(_state.floor, is_outer)


def recomputing() -> AbstractContextManager[None]:
    """Return a context in which a step evaluates its function at a new level, the current one."""
    return _set((_torch.current_level() or 0) + 1 if _state.is_outer else 0, False)


def everywhere() -> AbstractContextManager[None]:
    """Return a context in which rules apply at every level."""
    return _set(0, False)
