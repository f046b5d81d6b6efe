"""Slices, also at positions that are tensors, and shapes: jax.lax's functions. Starts are clamped, so slices fit."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet import numpy as jnp
from funcnet.numpy.axes import all_axes, one_axis
from funcnet.numpy.creation import sizes
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_like, as_tensor

__all__ = [
    "broadcast", "broadcast_in_dim", "broadcast_to_rank", "broadcasted_iota", "collapse", "concatenate",
    "dynamic_index_in_dim", "dynamic_slice", "dynamic_slice_in_dim", "dynamic_update_index_in_dim",
    "dynamic_update_slice", "dynamic_update_slice_in_dim", "expand_dims", "full", "index_in_dim", "iota", "pad",
    "reshape", "rev", "slice", "slice_in_dim", "split", "squeeze", "stack", "tile", "transpose", "unstack",
]  # fmt: skip

_slice = slice


def slice(
    operand: ArrayLike, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Tensor:
    """x[start:limit:stride] along each axis."""
    x = as_tensor("slice", operand)
    steps = (1,) * x.ndim if strides is None else strides
    return x[tuple(map(_slice, start_indices, limit_indices, steps))]


def slice_in_dim(
    operand: ArrayLike, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Tensor:
    """x[start:limit:stride] along one axis."""
    x = as_tensor("slice_in_dim", operand)
    before = (_slice(None),) * one_axis("slice_in_dim", axis, x.ndim)
    places = *before, _slice(start_index, limit_index, stride)
    return x[places]


def index_in_dim(operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True) -> Tensor:
    """One index of an axis, which stays unless keepdims is False."""
    x = as_tensor("index_in_dim", operand)
    axis = one_axis("index_in_dim", axis, x.ndim)
    one_axis("index_in_dim", index, x.shape[axis])
    found = x.narrow(axis, index % x.shape[axis], 1)
    return found if keepdims else found.squeeze(axis)


def dynamic_slice(
    operand: ArrayLike, start_indices: Sequence[ArrayLike] | Tensor, slice_sizes: Sequence[int]
) -> Tensor:
    """A slice of static sizes at starts that may be tensors.

    Args:
        operand: The array.
        start_indices: One per axis: ints or integer tensors. Negative ones count from the end.
        slice_sizes: The length of each axis of the result.
    Raises:
        ValueError: The numbers of starts, sizes and axes differ, or a size exceeds its axis.
    """
    x = as_tensor("dynamic_slice", operand)
    starts = _starts("dynamic_slice", x, start_indices, sizes("dynamic_slice", slice_sizes))
    for axis, (start, size) in enumerate(zip(starts, slice_sizes, strict=True)):
        x = _read(x, axis, start, size)
    return x


def _starts(operation: str, x: Tensor, starts: Any, lengths: Sequence[int]) -> list[Any]:
    starts = list(starts.unbind()) if isinstance(starts, Tensor) and starts.ndim else list(starts)
    if not len(starts) == len(lengths) == x.ndim:
        given = f"{len(starts)} starts and {len(lengths)} sizes"
        raise ValueError(f"{operation}: expected a start and a size for each of {x.ndim} axes, got {given}.")
    if any(length > size for length, size in zip(lengths, x.shape, strict=True)):
        raise ValueError(f"{operation}: expected a slice of at most {tuple(x.shape)}, got {tuple(lengths)}.")
    return [
        _clamped(operation, start, size, length) for start, size, length in zip(starts, x.shape, lengths, strict=True)
    ]


def _clamped(operation: str, start: Any, size: int, length: int) -> Any:
    if type(start) is int:
        return min(max(start + size if start < 0 else start, 0), size - length)
    place = as_tensor(operation, start).long()
    return torch.where(place < 0, place + size, place).clamp(0, size - length)


def _read(x: Tensor, axis: int, start: Any, size: int) -> Tensor:
    if size == x.shape[axis]:
        return x
    if isinstance(start, int):
        return x.narrow(axis, start, size)
    return x.index_select(axis, start + torch.arange(size, device=x.device))


def dynamic_update_slice(operand: ArrayLike, update: ArrayLike, start_indices: Sequence[ArrayLike] | Tensor) -> Tensor:
    """The array with a slice replaced, at starts that may be tensors; as `dynamic_slice`."""
    x, new = as_tensor("dynamic_update_slice", operand), as_tensor("dynamic_update_slice", update)
    return _write(x, new.to(x.dtype), _starts("dynamic_update_slice", x, start_indices, new.shape), 0)


def _write(x: Tensor, new: Tensor, starts: Sequence[Any], axis: int) -> Tensor:
    """Write the slice of the axes from this one on."""
    if axis == len(starts):
        return new
    start, size = starts[axis], new.shape[axis]
    inner = _write(_read(x, axis, start, size), new, starts, axis + 1)
    if size == x.shape[axis]:
        return inner
    if isinstance(start, int):
        return torch.slice_scatter(x, inner, axis, start, start + size)
    return x.index_copy(axis, start + torch.arange(size, device=x.device), inner)


def dynamic_slice_in_dim(operand: ArrayLike, start_index: ArrayLike, slice_size: int, axis: int = 0) -> Tensor:
    """A slice of a static size along one axis, at a start that may be a tensor."""
    x = as_tensor("dynamic_slice_in_dim", operand)
    axis = one_axis("dynamic_slice_in_dim", axis, x.ndim)
    if slice_size > x.shape[axis]:
        raise ValueError(f"dynamic_slice_in_dim: expected a size of at most {x.shape[axis]}, got {slice_size}.")
    return _read(x, axis, _clamped("dynamic_slice_in_dim", start_index, x.shape[axis], slice_size), slice_size)


def dynamic_index_in_dim(operand: ArrayLike, index: ArrayLike, axis: int = 0, keepdims: bool = True) -> Tensor:
    """One index of an axis, which may be a tensor; the axis stays unless keepdims is False."""
    found = dynamic_slice_in_dim(operand, index, 1, axis)
    return found if keepdims else found.squeeze(axis)


def dynamic_update_slice_in_dim(operand: ArrayLike, update: ArrayLike, start_index: ArrayLike, axis: int) -> Tensor:
    """The array with a slice along one axis replaced, at a start that may be a tensor."""
    x, new = as_tensor("dynamic_update_slice_in_dim", operand), as_tensor("dynamic_update_slice_in_dim", update)
    place = one_axis("dynamic_update_slice_in_dim", axis, x.ndim)
    return dynamic_update_slice(x, new, [start_index if i == place else 0 for i in range(x.ndim)])


def dynamic_update_index_in_dim(operand: ArrayLike, update: ArrayLike, index: ArrayLike, axis: int) -> Tensor:
    """The array with one index of an axis replaced, which may be a tensor; update may lack the axis."""
    x, new = as_tensor("dynamic_update_index_in_dim", operand), as_tensor("dynamic_update_index_in_dim", update)
    place = one_axis("dynamic_update_index_in_dim", axis, x.ndim)
    return dynamic_update_slice_in_dim(x, new.unsqueeze(place) if new.ndim < x.ndim else new, index, place)


def reshape(operand: ArrayLike, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None) -> Tensor:
    """Arrange the elements in another shape, after a transposition to `dimensions`."""
    x = as_tensor("reshape", operand)
    return (x if dimensions is None else x.permute(tuple(dimensions))).reshape(sizes("reshape", new_sizes))


def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Tensor:
    """Insert axes of length 1 at these places of the result."""
    return jnp.expand_dims(array, tuple(dimensions))


def squeeze(array: ArrayLike, dimensions: Sequence[int] | None = None) -> Tensor:
    """Drop axes of length 1, by default all of them."""
    return jnp.squeeze(array, None if dimensions is None else tuple(dimensions))


def transpose(operand: ArrayLike, permutation: Sequence[int]) -> Tensor:
    """Reorder the axes."""
    return jnp.transpose(operand, tuple(permutation))


def tile(operand: ArrayLike, reps: Sequence[int]) -> Tensor:
    """Repeat an array along each axis."""
    return jnp.tile(operand, tuple(reps))


def broadcast_to_rank(x: ArrayLike, rank: int) -> Tensor:
    """Put axes of length 1 in front, up to a number of axes."""
    x = as_tensor("broadcast_to_rank", x)
    return x[(None,) * (rank - x.ndim)]


def collapse(operand: ArrayLike, start_dimension: int, stop_dimension: int | None = None) -> Tensor:
    """Merge the axes from start up to stop, which is not included, into one."""
    x = as_tensor("collapse", operand)
    start, stop, _ = _slice(start_dimension, stop_dimension).indices(x.ndim)
    return x.flatten(start, stop - 1)


def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Tensor:
    """Reverse the order of elements along axes."""
    x = as_tensor("rev", operand)
    return x.flip(all_axes("rev", tuple(dimensions), x.ndim))


def concatenate(operands: Sequence[ArrayLike], dimension: int) -> Tensor:
    """Join arrays along an axis."""
    parts = [as_tensor("concatenate", x) for x in operands]
    return torch.cat(parts, one_axis("concatenate", dimension, parts[0].ndim))


def broadcast(operand: ArrayLike, sizes: Sequence[int]) -> Tensor:
    """Repeat the array along new leading axes."""
    x = as_tensor("broadcast", operand)
    return x.expand(*sizes, *x.shape)


def broadcast_in_dim(operand: ArrayLike, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Tensor:
    """Repeat the array to a shape in which its axes are at these places."""
    x = as_tensor("broadcast_in_dim", operand)
    if len(broadcast_dimensions) != x.ndim:
        raise ValueError(f"broadcast_in_dim: expected a place for each of {x.ndim} axes, got {broadcast_dimensions}.")
    own = dict(zip(broadcast_dimensions, x.shape, strict=True))
    return x.reshape([own.get(axis, 1) for axis in range(len(shape))]).expand(tuple(shape))


def full(shape: Sequence[int], fill_value: ArrayLike, dtype: DType | None = None) -> Tensor:
    """An array of one value."""
    value = as_tensor("full", fill_value)
    return (value if dtype is None else value.to(as_dtype("full", dtype))).expand(sizes("full", shape)).clone()


def iota(dtype: DType, size: int) -> Tensor:
    """0, 1, ... size - 1."""
    return torch.arange(size).to(as_dtype("iota", dtype))


def broadcasted_iota(dtype: DType, shape: Sequence[int], dimension: int) -> Tensor:
    """The index of each element along one axis."""
    axis = one_axis("broadcasted_iota", dimension, len(shape))
    return broadcast_in_dim(iota(dtype, shape[axis]), shape, (axis,)).clone()


def pad(operand: ArrayLike, padding_value: ArrayLike, padding_config: Sequence[tuple[int, int, int]]) -> Tensor:
    """Put a value before, after and between elements: (low, high, interior) for each axis; negative ends cut."""
    x = as_tensor("pad", operand)
    value = as_like("pad", padding_value, x)
    for axis, (low, high, interior) in enumerate(padding_config):
        x = _padded(_dilated(x, axis, interior, value), axis, low, high, value)
    return x


def _dilated(x: Tensor, axis: int, interior: int, value: Tensor) -> Tensor:
    if not interior or x.shape[axis] < 2:
        return x
    gaps = value.expand(*x.shape[: axis + 1], interior, *x.shape[axis + 1 :])
    spread = torch.cat([x.unsqueeze(axis + 1), gaps], axis + 1).flatten(axis, axis + 1)
    return spread.narrow(axis, 0, spread.shape[axis] - interior)


def _padded(x: Tensor, axis: int, low: int, high: int, value: Tensor) -> Tensor:
    ends = [value.expand(*x.shape[:axis], max(n, 0), *x.shape[axis + 1 :]) for n in (low, high)]
    whole = torch.cat([ends[0], x, ends[1]], axis)
    cut = max(-low, 0)
    return whole.narrow(axis, cut, whole.shape[axis] - cut - max(-high, 0))


def split(operand: ArrayLike, sizes: Sequence[int], axis: int = 0) -> list[Tensor]:
    """Split an axis into parts of these sizes."""
    x = as_tensor("split", operand)
    axis = one_axis("split", axis, x.ndim)
    if sum(sizes) != x.shape[axis]:
        raise ValueError(f"split: expected sizes that sum to {x.shape[axis]}, the length of the axis, got {sizes}.")
    return list(x.split(list(sizes), axis))


def stack(operands: Sequence[ArrayLike], axis: int = 0) -> Tensor:
    """Put arrays of one shape next to each other along a new axis."""
    return jnp.stack(operands, axis)


def unstack(x: ArrayLike, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, without it."""
    return jnp.unstack(x, axis=axis)
