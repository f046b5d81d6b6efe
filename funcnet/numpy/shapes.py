"""Shapes: reshaping, moving axes, and broadcasting."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import Axis, all_axes, one_axis
from funcnet.numpy.creation import Shape, sizes
from funcnet.numpy.promotion import ArrayLike, as_tensor

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_shapes", "broadcast_to", "expand_dims",
    "matrix_transpose", "moveaxis", "ndim", "permute_dims", "ravel", "reshape", "resize", "rollaxis", "shape", "size",
    "squeeze", "swapaxes", "transpose",
]  # fmt: skip


def shape(a: ArrayLike) -> tuple[int, ...]:
    """The shape of an array or number."""
    return tuple(as_tensor("shape", a).shape)


def ndim(a: ArrayLike) -> int:
    """The number of axes."""
    return as_tensor("ndim", a).ndim


def size(a: ArrayLike, axis: int | None = None) -> int:
    """The number of elements, or the length of an axis."""
    x = as_tensor("size", a)
    return x.numel() if axis is None else x.shape[one_axis("size", axis, x.ndim)]


def reshape(a: ArrayLike, shape: Shape, order: str = "C") -> Tensor:
    """Arrange the elements in another shape; one length may be -1. order "F" counts the first index fastest."""
    x, given = as_tensor("reshape", a), sizes("reshape", shape)
    if order == "F":
        return _reversed(_reversed(x).reshape(given[::-1]))
    return x.reshape(given)


def _reversed(x: Tensor) -> Tensor:
    return x.permute(tuple(range(x.ndim))[::-1])


def resize(a: ArrayLike, new_shape: Shape) -> Tensor:
    """Repeat the elements, in order, until a shape is filled; zeros if there are none."""
    x, given = as_tensor("resize", a).reshape(-1), sizes("resize", new_shape)
    count = math.prod(given)
    if not len(x):
        return x.new_zeros(given)
    return x.repeat(-(-count // len(x)))[:count].reshape(given)


def ravel(a: ArrayLike, order: str = "C") -> Tensor:
    """The elements as a vector."""
    return reshape(a, -1, order)


def transpose(a: ArrayLike, axes: Sequence[int] | None = None) -> Tensor:
    """Put the axes in another order, by default the reverse (torch's transpose swaps two)."""
    x = as_tensor("transpose", a)
    if axes is None:
        return _reversed(x)
    order = all_axes("transpose", tuple(axes), x.ndim)
    if len(order) != x.ndim:
        raise ValueError(f"transpose: expected the {x.ndim} axes of the array, each once, got {tuple(axes)}.")
    return x.permute(order)


permute_dims = transpose


def matrix_transpose(x: ArrayLike, /) -> Tensor:
    """Swap the last two axes."""
    return swapaxes(x, -1, -2)


def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Tensor:
    """Swap two axes."""
    x = as_tensor("swapaxes", a)
    return torch.transpose(x, one_axis("swapaxes", axis1, x.ndim), one_axis("swapaxes", axis2, x.ndim))


def moveaxis(a: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move axes to other places; the others keep their order."""
    x = as_tensor("moveaxis", a)
    old, new = all_axes("moveaxis", source, x.ndim), all_axes("moveaxis", destination, x.ndim)
    if len(old) != len(new):
        raise ValueError(f"moveaxis: expected as many destinations as sources, got {source} and {destination}.")
    return torch.movedim(x, old, new)


def rollaxis(a: ArrayLike, axis: int, start: int = 0) -> Tensor:
    """Move an axis to before another one."""
    x = as_tensor("rollaxis", a)
    axis, start = one_axis("rollaxis", axis, x.ndim), start + x.ndim if start < 0 else start
    return torch.movedim(x, axis, start - 1 if axis < start else start)


def expand_dims(a: ArrayLike, axis: int | Sequence[int]) -> Tensor:
    """Insert axes of length 1 at these places of the result."""
    x = as_tensor("expand_dims", a)
    count = len(axis) if isinstance(axis, Sequence) else 1
    for each in sorted(all_axes("expand_dims", axis, x.ndim + count)):
        x = x.unsqueeze(each)
    return x


def squeeze(a: ArrayLike, axis: Axis = None) -> Tensor:
    """Remove axes of length 1, by default all of them.

    Raises:
        ValueError: One of the given axes has another length (torch leaves it there).
    """
    x = as_tensor("squeeze", a)
    if axis is None:
        return x.squeeze()
    axes = all_axes("squeeze", axis, x.ndim)
    if long := [each for each in axes if x.shape[each] != 1]:
        raise ValueError(f"squeeze: expected axes of length 1, got axis {long[0]} of shape {tuple(x.shape)}.")
    return x.squeeze(axes)


def broadcast_to(array: ArrayLike, shape: Shape) -> Tensor:
    """Repeat along axes of length 1 and new leading ones."""
    return torch.broadcast_to(as_tensor("broadcast_to", array), sizes("broadcast_to", shape))


def broadcast_arrays(*args: ArrayLike) -> list[Tensor]:
    """Broadcast arrays to their common shape."""
    return list(torch.broadcast_tensors(*(as_tensor("broadcast_arrays", x) for x in args)))


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that shapes broadcast to."""
    return tuple(torch.broadcast_shapes(*shapes))


def atleast_1d(*arys: ArrayLike) -> Any:
    """Add axes up to one; one array, or a list of several."""
    return _each([torch.atleast_1d(as_tensor("atleast_1d", x)) for x in arys])


def atleast_2d(*arys: ArrayLike) -> Any:
    """Add leading axes up to two; one array, or a list of several."""
    return _each([torch.atleast_2d(as_tensor("atleast_2d", x)) for x in arys])


def atleast_3d(*arys: ArrayLike) -> Any:
    """Add axes up to three: a vector becomes (1, n, 1), a matrix (m, n, 1)."""
    return _each([torch.atleast_3d(as_tensor("atleast_3d", x)) for x in arys])


def _each(results: list[Tensor]) -> Any:
    return results[0] if len(results) == 1 else results
