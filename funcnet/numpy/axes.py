"""Axes: checked against the number of axes of an array, counted from 0."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

Axis = int | Sequence[int] | None


def one_axis(operation: str, axis: Any, ndim: int) -> int:
    """Return an axis counted from 0.

    Raises:
        TypeError: axis is not an int.
        ValueError: An array of ndim axes does not have it.
    """
    try:
        index = axis.__index__()
    except (AttributeError, TypeError):
        raise TypeError(f"{operation}: expected axis to be an int, got {axis!r}.") from None
    if not -ndim <= index < ndim:
        raise ValueError(f"{operation}: axis {index} is out of bounds for an array of {ndim} axes.")
    return index % ndim


def all_axes(operation: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return axes counted from 0, every axis for None.

    Raises:
        TypeError, ValueError: As `one_axis`; or an axis is given twice.
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, Sequence) else (axis,)
    axes = tuple(one_axis(operation, each, ndim) for each in given)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{operation}: expected each axis once, got axis={axis}.")
    return axes


def flat(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """Return x and the axis, or x flattened and axis 0 for None."""
    return (x.reshape(-1), 0) if axis is None else (x, axis)
