"""`pad` with numpy's modes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor

__all__ = ["pad"]

Widths = list[tuple[int, int]]  # before and after, for each axis


def pad(
    array: ArrayLike, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0, end_values: Any = 0
) -> Tensor:
    """Add elements before and after the array along its axes.

    Args:
        array: The array.
        pad_width: How many: ((before, after), ...) for each axis, (before, after) for all, or one number.
        mode: "constant": constant_values; "edge": the outermost element; "reflect": mirrored without it; "symmetric":
            mirrored with it; "wrap": from the other end; "linear_ramp": from the edge to end_values; "mean",
            "maximum", "minimum": of the axis; "empty": zeros.
        constant_values, end_values: Arranged like pad_width.
    Raises:
        ValueError: mode or the arrangement of pad_width is unknown, or a width is negative.
    Example:
        >>> from funcnet import numpy as jnp
        >>> jnp.pad(jnp.array([1, 2, 3]), (2, 1), mode="reflect")
        tensor([3, 2, 1, 2, 3, 2], dtype=torch.int32)
    """
    x = as_tensor("pad", array)
    widths = _arranged("pad_width", pad_width, x.ndim)
    if any(width < 0 for pair in widths for width in pair):
        raise ValueError(f"pad: expected widths of at least 0, got {pad_width}.")
    if mode in ("constant", "empty"):
        return _constant(x, widths, constant_values if mode == "constant" else 0)
    if mode in _PLACES:
        for axis, (before, after) in enumerate(widths):
            places = [_PLACES[mode](i, x.shape[axis]) for i in range(-before, x.shape[axis] + after)]
            x = x.index_select(axis, torch.tensor(places, device=x.device)) if before or after else x
        return x
    if mode == "linear_ramp":
        return _ramps(x, widths, _arranged("end_values", end_values, x.ndim))
    if mode in _STATISTICS:
        return _statistics(x, widths, mode)
    known = ["constant", "empty", "linear_ramp", *_PLACES, *_STATISTICS]
    raise ValueError(f"pad: expected mode to be one of {', '.join(known)}, got {mode!r}.")


def _arranged(name: str, given: Any, ndim: int) -> list[tuple[Any, Any]]:
    """Return a pair for each axis."""
    rows = given if isinstance(given, list | tuple) else (given,)
    pairs = [tuple(row) if isinstance(row, list | tuple) else (row,) for row in rows]
    if len(pairs) == 2 and all(len(pair) == 1 for pair in pairs):
        pairs = [(*pairs[0], *pairs[1])]
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim or any(len(pair) not in (1, 2) for pair in pairs):
        raise ValueError(f"pad: expected {name} as (before, after) for each of {ndim} axes, got {given}.")
    return [(pair[0], pair[-1]) for pair in pairs]


def _constant(x: Tensor, widths: Widths, values: Any) -> Tensor:
    if isinstance(values, int | float):
        return torch.nn.functional.pad(x, [width for pair in reversed(widths) for width in pair], value=values)
    for axis, (pair, ends) in enumerate(zip(widths, _arranged("constant_values", values, x.ndim), strict=True)):
        low, high = (
            as_like("pad", end, x).expand(*x.shape[:axis], width, *x.shape[axis + 1 :])
            for end, width in zip(ends, pair, strict=True)
        )
        x = torch.cat([low, x, high], axis)
    return x


def _reflected(i: int, n: int) -> int:
    period = max(2 * n - 2, 1)
    return min(i % period, period - i % period) if n > 1 else 0


_PLACES: dict[str, Callable[[int, int], int]] = {  # the index inside an axis of length n for index i outside of it
    "edge": lambda i, n: min(max(i, 0), n - 1),
    "reflect": _reflected,
    "symmetric": lambda i, n: min(i % (2 * n), 2 * n - 1 - i % (2 * n)),
    "wrap": lambda i, n: i % n,
}
_STATISTICS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "mean": lambda x, axis: x.mean(axis, keepdim=True),
    "maximum": lambda x, axis: x.amax(axis, keepdim=True),
    "minimum": lambda x, axis: x.amin(axis, keepdim=True),
}


def _statistics(x: Tensor, widths: Widths, mode: str) -> Tensor:
    for axis, (before, after) in enumerate(widths):
        whole = mode == "mean" and not x.is_floating_point()
        value = _STATISTICS[mode](x.to(torch.float32) if whole else x, axis)
        value = (torch.round(value) if whole else value).to(x.dtype)
        x = torch.cat([_repeated(value, axis, before), x, _repeated(value, axis, after)], axis)
    return x


def _repeated(x: Tensor, axis: int, count: int) -> Tensor:
    return x.expand(*x.shape[:axis], count, *x.shape[axis + 1 :])


def _ramps(x: Tensor, widths: Widths, ends: list[tuple[Any, Any]]) -> Tensor:
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, ends, strict=True)):
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
        x = torch.cat([_ramp(first, low, axis, before), x, _ramp(last, high, axis, after).flip(axis)], axis)
    return x


def _ramp(edge: Tensor, end: Any, axis: int, count: int) -> Tensor:
    """Return count steps from end towards the edge."""
    shape = [-1 if i == axis else 1 for i in range(edge.ndim)]
    weight = (torch.arange(count, device=edge.device) / max(count, 1)).reshape(shape)
    ramp = end + (edge - end) * weight
    return ramp.to(edge.dtype)
