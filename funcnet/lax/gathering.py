"""Reading and writing slices at many positions: jax.lax's gather and scatter, of which indexing is a special case."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from funcnet.numpy.creation import sizes
from funcnet.numpy.indexing import filled
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, named
from funcnet.numpy.updates import Update

__all__ = [
    "GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers", "gather", "scatter", "scatter_add",
    "scatter_apply", "scatter_max", "scatter_min", "scatter_mul", "scatter_sub",
]  # fmt: skip


class GatherDimensionNumbers(NamedTuple):
    """The axes of `gather`."""

    offset_dims: tuple[int, ...]  # axes of the result that are axes of a slice
    collapsed_slice_dims: tuple[int, ...]  # axes of the operand, of size 1 in a slice, that the result lacks
    start_index_map: tuple[int, ...]  # the axis of the operand that each entry of a position belongs to
    operand_batching_dims: tuple[int, ...] = ()  # axes of the operand that are axes of the positions, too
    start_indices_batching_dims: tuple[int, ...] = ()  # these axes of the positions


class ScatterDimensionNumbers(NamedTuple):
    """The axes of `scatter`."""

    update_window_dims: tuple[int, ...]  # axes of the updates that are axes of a slice
    inserted_window_dims: tuple[int, ...]  # axes of the operand, of size 1 in a slice, that the updates lack
    scatter_dims_to_operand_dims: tuple[int, ...]  # the axis of the operand that each entry of a position belongs to
    operand_batching_dims: tuple[int, ...] = ()  # axes of the operand that are axes of the positions, too
    scatter_indices_batching_dims: tuple[int, ...] = ()  # these axes of the positions


class GatherScatterMode(Enum):
    """The treatment of slices that are not inside the operand."""

    CLIP = "clip"
    FILL_OR_DROP = "fill"
    PROMISE_IN_BOUNDS = "promise_in_bounds"


def gather(
    operand: ArrayLike,
    start_indices: ArrayLike,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: GatherScatterMode | str | None = None,
    fill_value: ArrayLike | None = None,
) -> Tensor:
    """Read slices at several positions.

    Args:
        operand: The array.
        start_indices: Positions, integers of shape (*batch, entries): where each slice starts.
        dimension_numbers: The axes.
        slice_sizes: The size of a slice along each axis of the operand.
        unique_indices, indices_are_sorted: Promises, which are not needed.
        mode: For a slice that is not inside the operand, "clip" or "promise_in_bounds", the default: the nearest slice;
            "fill": fill_value, by default NaN or the least integer.
        fill_value: See mode.
    Returns:
        The slices, whose axes are the offset_dims; the others are the batch.
    """
    x, d = as_tensor("gather", operand), dimension_numbers
    shape = sizes("gather", slice_sizes)
    window = [axis for axis in range(x.ndim) if axis not in (*d.collapsed_slice_dims, *d.operand_batching_dims)]
    batching = dict(zip(d.operand_batching_dims, d.start_indices_batching_dims, strict=True))
    starts, inside = _starts("gather", x, start_indices, d.start_index_map, batching, shape)
    index = _elements(x, starts, window, shape)
    batch = inside.ndim
    mode = "promise_in_bounds" if mode is None else mode
    covered = inside.reshape(*inside.shape, *(1,) * len(window)) if _fills(mode) else None
    result = filled(x[index], covered, fill_value)
    return torch.movedim(result, tuple(range(batch, result.ndim)), tuple(d.offset_dims))


def _starts(
    operation: str,
    x: Tensor,
    indices: ArrayLike,
    axes: Sequence[int],
    batching: dict[int, int],
    shape: Sequence[int],
) -> tuple[list[Tensor], Tensor]:
    """Return the start along each axis, of the shape of the batch, and which slices are inside the operand."""
    entries = as_tensor(operation, indices, x).long()
    *batch, count = entries.shape
    if count != len(axes):
        raise ValueError(f"{operation}: expected {len(axes)} entries per position, got {count}.")
    given = dict(zip(axes, entries.unbind(-1), strict=True))
    zero, inside = entries.new_zeros(batch), torch.ones(batch, dtype=torch.bool, device=x.device)
    starts = []
    for axis, (size, length) in enumerate(zip(x.shape, shape, strict=True)):
        start = given.get(axis, zero)
        if axis in batching:
            at = batching[axis]
            row = torch.arange(batch[at], device=x.device)
            start = start + row.reshape([-1 if i == at else 1 for i in range(len(batch))])
        inside = inside & (start >= 0) & (start <= size - length)
        starts.append(start.clamp(0, max(size - length, 0)))
    return starts, inside


def _elements(x: Tensor, starts: list[Tensor], window: Sequence[int], shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Return the index of each element of the slices along each axis; they broadcast to (*batch, *window)."""
    found = []
    for axis, start in enumerate(starts):
        offset = torch.arange(shape[axis], device=x.device) if axis in window else start.new_zeros(1)
        place = [-1 if axis == other else 1 for other in window]
        found.append(start.reshape(*start.shape, *(1,) * len(window)) + offset.reshape(place))
    return tuple(found)


def _name(mode: GatherScatterMode | str | None) -> str:
    name = mode.value if isinstance(mode, GatherScatterMode) else "fill" if mode in (None, "drop") else str(mode)
    if name not in ("fill", "clip", "promise_in_bounds"):
        raise ValueError(f"gather: expected mode to be 'fill', 'drop', 'clip' or 'promise_in_bounds', got {mode!r}.")
    return name


def _fills(mode: GatherScatterMode | str | None) -> bool:
    return _name(mode) == "fill"


def _scattered(
    operation: str,
    operand: ArrayLike,
    indices: ArrayLike,
    updates: ArrayLike,
    d: ScatterDimensionNumbers,
    write: Callable[[Update, Tensor], Tensor],
    mode: GatherScatterMode | str | None,
) -> Tensor:
    x = as_tensor(operation, operand)
    new = as_like(operation, updates, x)
    gone = (*d.inserted_window_dims, *d.operand_batching_dims)
    window = [axis for axis in range(x.ndim) if axis not in gone]
    lengths = dict(zip(window, (new.shape[i] for i in sorted(d.update_window_dims)), strict=True))
    shape = [lengths.get(axis, 1) for axis in range(x.ndim)]
    batching = dict(zip(d.operand_batching_dims, d.scatter_indices_batching_dims, strict=True))
    starts, inside = _starts(operation, x, indices, d.scatter_dims_to_operand_dims, batching, shape)
    batch = new.ndim - len(window)
    new = torch.movedim(new, tuple(sorted(d.update_window_dims)), tuple(range(batch, new.ndim)))
    place = torch.zeros((), dtype=torch.long, device=x.device)
    for size, index in zip(x.shape, _elements(x, starts, window, shape), strict=True):
        place = place * size + index
    if _fills(mode):
        place = torch.where(inside.reshape(*inside.shape, *(1,) * len(window)), place, x.numel())
    place = place.expand(new.shape).reshape(-1)
    return write(Update(x.reshape(-1), (place,)), new.reshape(-1)).reshape(x.shape)


def _scatter(name: str, write: Callable[[Update, Tensor], Tensor], doc: str) -> Callable[..., Tensor]:
    def function(
        operand: ArrayLike,
        scatter_indices: ArrayLike,
        updates: ArrayLike,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: GatherScatterMode | str | None = None,
    ) -> Tensor:
        return _scattered(name, operand, scatter_indices, updates, dimension_numbers, write, mode)

    return named(function, name, f"{doc} Positions and axes are those of `gather`; slices outside are dropped.")


scatter = _scatter("scatter", lambda at, new: at.set(new, mode="drop"), "Replace slices at several positions.")
scatter_add = _scatter("scatter_add", lambda at, new: at.add(new, mode="drop"), "Add to slices at several positions.")
scatter_sub = _scatter(
    "scatter_sub", lambda at, new: at.subtract(new, mode="drop"), "Subtract from slices at several positions."
)
scatter_mul = _scatter("scatter_mul", lambda at, new: at.multiply(new, mode="drop"), "Multiply slices by others.")
scatter_min = _scatter("scatter_min", lambda at, new: at.min(new, mode="drop"), "Replace elements by smaller ones.")
scatter_max = _scatter("scatter_max", lambda at, new: at.max(new, mode="drop"), "Replace elements by larger ones.")


def scatter_apply(
    operand: ArrayLike,
    scatter_indices: ArrayLike,
    func: Callable[[Tensor], Tensor],
    dimension_numbers: ScatterDimensionNumbers,
    *,
    update_shape: Sequence[int] = (),
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: GatherScatterMode | str | None = None,
) -> Tensor:
    """Replace slices of the given shape at several positions by a function of their elements; see `gather`."""
    x = as_tensor("scatter_apply", operand)
    new = x.new_zeros(sizes("scatter_apply", update_shape))
    return _scattered(
        "scatter_apply", x, scatter_indices, new, dimension_numbers, lambda at, _: at.apply(func, mode="drop"), mode
    )
