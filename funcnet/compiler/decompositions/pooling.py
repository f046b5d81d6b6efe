"""Adaptive pools, and derivatives of resizing to the nearest element, by simpler operations.

An adaptive pool divides an axis of `size` elements into `count` windows: window o holds the elements from
floor(o size / count) to ceil((o + 1) size / count). If count divides size on all axes, they tile the input, and the
pool is one with a fixed window. Otherwise the axes are pooled one after another, by the elements of the windows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

_LONGEST = 16  # elements of a window that are listed one by one


def _mean(x: Tensor, counts: Sequence[int]) -> Any:
    """Average over windows of three axes; torch has its own rule for two."""
    if not _is_usual(x, counts):
        return NotImplemented
    if (tile := _tile(x, counts)) is not None:
        return aten.avg_pool3d.default(x, tile, tile)
    for axis, count in _axes(counts):
        elements = [*_elements(x, axis, count)]
        total = reduce(torch.add, (torch.where(is_inside, part, 0) for part, is_inside, _ in elements))
        x = total / _along(_lengths(x.shape[axis], count, x), axis)
    return x


def _mean_backward(grad: Tensor, x: Tensor, *, axes: int) -> Any:
    """Divide the cotangent of each window among its elements."""
    counts = grad.shape[-axes:]
    if not _is_usual(x, counts):
        return NotImplemented
    if (tile := _tile(x, counts)) is not None:
        return _repeated(grad / math.prod(tile), tile)
    for axis, count in _axes(counts):
        size = x.shape[axis]
        shares = grad / _along(_lengths(size, count, grad), axis)
        # element i is in the windows from floor(i count / size) to ceil((i + 1) count / size)
        parts = (torch.where(is_inside, share, 0) for share, is_inside, _ in _elements(shares, axis, size))
        grad = reduce(torch.add, parts)
    return grad


def _largest(x: Tensor, counts: Sequence[int]) -> Any:
    """Return the first largest element of each window, or its last NaN, and the index of that element in x."""
    if not _is_usual(x, counts):
        return NotImplemented
    if (tile := _tile(x, counts)) is not None:
        return getattr(aten, f"max_pool{len(counts)}d_with_indices").default(x, tile, tile)
    index, unit = torch.zeros_like(x, dtype=torch.int64), 1
    for axis, count in reversed(_axes(counts)):
        size = x.shape[axis]
        pairs = zip(_elements(x, axis, count), _elements(index, axis, count), strict=True)
        candidates = ((part, is_inside, other + unit * place) for (part, is_inside, place), (other, *_) in pairs)
        x, _, index = reduce(_larger, candidates)
        unit *= size
    return x, index


def _larger(best: tuple[Tensor, Tensor, Tensor], new: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Choose between an element of each window and a later one; the first one is inside of every window."""
    (x, always, index), (y, is_inside, other) = best, new
    is_larger = is_inside & ((y > x) | (y != y))
    return torch.where(is_larger, y, x), always, torch.where(is_larger, other, index)


def _largest_backward(grad: Tensor, x: Tensor, index: Tensor, *, axes: int) -> Any:
    """Give the cotangent of each window to the element that was the largest."""
    counts = grad.shape[-axes:]
    if not _is_usual(x, counts):
        return NotImplemented
    if (tile := _tile(x, counts)) is not None:
        backward = getattr(aten, f"max_pool{axes}d_with_indices_backward").default
        return backward(grad, x, tile, tile, [0] * axes, [1] * axes, False, index)
    plane = x.new_zeros(*x.shape[:-axes], math.prod(x.shape[-axes:]))
    return plane.scatter_add(-1, index.flatten(-axes), grad.flatten(-axes)).reshape(x.shape)


def nearest_backward(grad: Tensor, output_size: Sequence[int], input_size: Sequence[int], *scales: float | None) -> Any:
    """Sum the cotangents of the copies of each element, if all have equally many."""
    counts = input_size[2:]
    given = zip(scales, output_size, counts, strict=False)
    if not _is_usual(grad, counts) or not _tile(grad, counts) or any(s not in (None, n / m) for s, n, m in given):
        return NotImplemented
    for axis, count in _axes(counts):
        grad = grad.unflatten(axis, (count, -1)).sum(axis)
    return grad


def _is_usual(x: Tensor, counts: Sequence[int]) -> bool:
    """Tell whether the rules apply: to floating-point images with elements, and windows that are not too long."""
    if x.dtype not in (torch.float32, torch.float64) or x.ndim <= len(counts):
        return False
    if min((*counts, *x.shape[-len(counts) :])) <= 0:
        return False
    return _tile(x, counts) is not None or all(-(-x.shape[axis] // n) < _LONGEST for axis, n in _axes(counts))


def _tile(x: Tensor, counts: Sequence[int]) -> list[int] | None:
    """Return the lengths of the windows if they tile x."""
    pairs = [*zip(x.shape[-len(counts) :], counts, strict=True)]
    return None if any(size % count for size, count in pairs) else [size // count for size, count in pairs]


def _axes(counts: Sequence[int]) -> list[tuple[int, int]]:
    """List the last axes, counted from the end, and their numbers of windows."""
    return [*enumerate(counts, -len(counts))]


def _elements(x: Tensor, axis: int, count: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the first, second … element of each window, whether there is one, and its position."""
    size = x.shape[axis]
    start, end = _bounds(size, count, x)
    for step in range(max(_ceil(o + 1, size, count) - o * size // count for o in range(count))):
        place = (start + step).clamp(max=size - 1)
        yield x.index_select(axis, place), _along(start + step < end, axis), _along(place, axis)


def _bounds(size: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    window = torch.arange(count, device=like.device)
    return window * size // count, ((window + 1) * size + count - 1) // count


def _ceil(o: int, size: int, count: int) -> int:
    return -(-o * size // count)


def _lengths(size: int, count: int, like: Tensor) -> Tensor:
    start, end = _bounds(size, count, like)
    return (end - start).to(like.dtype)


def _along(vector: Tensor, axis: int) -> Tensor:
    """Reshape a vector so that it broadcasts along an axis that is counted from the end."""
    return vector.reshape(-1, *(1,) * (-axis - 1))


def _repeated(x: Tensor, tile: Sequence[int]) -> Tensor:
    """Repeat each element on the last axes."""
    for axis, length in _axes(tile):
        place, size = x.ndim + axis, x.shape[axis]
        x = x.unsqueeze(place + 1).expand(*x.shape[: place + 1], length, *x.shape[place + 1 :])
        x = x.reshape(*x.shape[:place], size * length, *x.shape[place + 2 :])
    return x


RULES: dict[Any, Callable[..., Any]] = {
    aten._adaptive_avg_pool3d.default: _mean,
    aten._adaptive_avg_pool2d_backward.default: partial(_mean_backward, axes=2),
    aten._adaptive_avg_pool3d_backward.default: partial(_mean_backward, axes=3),
    aten.adaptive_max_pool2d.default: _largest,
    aten.adaptive_max_pool3d.default: _largest,
    aten.adaptive_max_pool2d_backward.default: partial(_largest_backward, axes=2),
    aten.adaptive_max_pool3d_backward.default: partial(_largest_backward, axes=3),
}
