"""Indices as numpy reads them, for `at`: the selected part of an array as rows of a matrix, and the array rebuilt.

First the slices of an index are taken, and its ints if it has no tensors. The axes that tensors index are then moved to
the front and flattened into one, so that a read is an index_select of rows, and an update one of index_copy, index_add
and scatter_reduce.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index as as_int
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import as_tensor

Part = Any  # of an index, for one axis: an int, a slice or an integer tensor


@dataclass(frozen=True)
class Selection:
    """The part of an array that an index selects."""

    wide: Tensor  # the array, with the new axes of the index
    parts: tuple[Part, ...]  # one per axis of `wide`
    region: Tensor  # after the slices, in ascending or descending order
    axes: tuple[int, ...]  # of the region, which tensors index
    place: Tensor | None  # for each selected row, its index in the matrix, in range
    inside: Tensor | None  # for each selected row, whether its index was in range
    shape: torch.Size  # that the tensors broadcast to
    front: int  # where the axes of this shape are in the result

    @property
    def matrix(self) -> Tensor:
        """The region as rows (n, *rest): those that tensors index, or one row of everything."""
        if not self.axes:
            return self.region[None]
        moved = torch.movedim(self.region, self.axes, tuple(range(len(self.axes))))
        return moved.flatten(0, len(self.axes) - 1)

    def result(self, rows: Tensor) -> Tensor:
        """Arrange selected rows as x[index] has them."""
        if not self.axes:
            return rows[0]
        count = len(self.shape)
        found = rows.reshape((*self.shape, *rows.shape[1:]))
        return torch.movedim(found, tuple(range(count)), tuple(range(self.front, self.front + count)))

    def rows(self, values: Tensor, matrix: Tensor) -> Tensor:
        """Broadcast values to the shape of x[index] and arrange them as rows: the inverse of `result`."""
        if not self.axes:
            return torch.broadcast_to(values, matrix.shape[1:])[None]
        count, rest = len(self.shape), matrix.shape[1:]
        shape = (*rest[: self.front], *self.shape, *rest[self.front :])
        moved = torch.movedim(
            torch.broadcast_to(values, shape), tuple(range(self.front, self.front + count)), tuple(range(count))
        )
        return moved.reshape((-1, *rest))

    def array(self, matrix: Tensor) -> Tensor:
        """Return the array with another matrix in place of the selected region."""
        if self.axes:
            sizes = [self.region.shape[axis] for axis in self.axes]
            moved = matrix.reshape(*sizes, *matrix.shape[1:])
            region = torch.movedim(moved, tuple(range(len(self.axes))), self.axes)
        else:
            region = matrix[0]
        return _written(self.wide, self.parts, region.flip(_reversed_axes(self.parts)))


def select(x: Tensor, index: Sequence[Any], *, clamp: bool) -> Selection | None:
    """Find the part of x that an index selects; None if an int is out of range, unless it is to be clamped.

    Raises:
        IndexError: The index has too many axes, or a part of an unknown type.
    """
    wide, parts = _expanded(x, [_part(part, x) for part in index])
    tensors = any(isinstance(part, Tensor) for part in parts)
    if not tensors:
        clamped = tuple(_in_range(part, size, clamp) for part, size in zip(parts, wide.shape, strict=True))
        if None in clamped:
            return None
        return _of_slices(wide, clamped)
    parts = tuple(part if isinstance(part, slice) else as_tensor("at", part, x) for part in parts)
    return _of_tensors(wide, parts)


def _part(part: Any, x: Tensor) -> Any:
    if part is None or part is Ellipsis or isinstance(part, slice | Tensor):
        return part
    if isinstance(part, bool) or (type(part) is not int and isinstance(part, int)):
        kind = torch.bool if isinstance(part, bool) else torch.int64
        return torch.full((), part, dtype=kind, device=x.device)  # a traced number
    if (hasattr(part, "__index__") and not hasattr(part, "shape")) or type(part) is int:
        return as_int(part)
    try:
        return as_tensor("at", part, x)
    except TypeError:
        expected = "expected an index of ints, slices, None, ... and integer tensors"
        raise IndexError(f"at: {expected}, got {part!r}.") from None


def _expanded(x: Tensor, index: list[Any]) -> tuple[Tensor, tuple[Part, ...]]:
    """Return x with the new axes of an index, and one part per axis of it."""
    parts = [each for part in index for each in _unmasked(part)]
    used = sum(not (part is None or part is Ellipsis or _is_bool(part)) for part in parts)
    if used > x.ndim:
        raise IndexError(f"at: expected an index of at most {x.ndim} axes, got {used}.")
    rest = [slice(None)] * (x.ndim - used)
    place = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts = [*parts[:place], *rest, *parts[place + 1 :]]
    for axis, part in enumerate(parts):
        x = x.unsqueeze(axis) if part is None or _is_bool(part) else x
    return x, tuple(slice(None) if part is None else _true_places(part) if _is_bool(part) else part for part in parts)


def _is_bool(part: Any) -> bool:
    """Tell whether a part is one bool, which makes an axis of length 1 or 0; those of more axes are replaced before."""
    return isinstance(part, Tensor) and part.dtype == torch.bool


def _true_places(part: Tensor) -> Tensor:
    return torch.nonzero(part.reshape(1))[:, 0]


def _unmasked(part: Any) -> Sequence[Any]:
    """Replace a bool tensor with axes by the indices of its true elements."""
    if not isinstance(part, Tensor):
        return (part,)
    if part.is_floating_point() or part.is_complex():
        raise IndexError(f"at: expected integers or bools as indices, got a {part.dtype} tensor.")
    return torch.nonzero(part, as_tuple=True) if part.dtype == torch.bool and part.ndim else (part,)


def _in_range(part: Part, size: int, clamp: bool) -> Part | None:
    if isinstance(part, slice):
        return part
    place = part + size if part < 0 else part
    if 0 <= place < size:
        return place
    return min(max(place, 0), size - 1) if clamp else None


def _of_slices(wide: Tensor, parts: tuple[Part, ...]) -> Selection:
    region = wide[tuple(_ascending(part, size) for part, size in zip(parts, wide.shape, strict=True))]
    return Selection(wide, parts, region.flip(_reversed_axes(parts)), (), None, None, torch.Size(), 0)


def _of_tensors(wide: Tensor, parts: tuple[Part, ...]) -> Selection:
    axes = tuple(axis for axis, part in enumerate(parts) if isinstance(part, Tensor))
    shape = torch.broadcast_shapes(*(parts[axis].shape for axis in axes))
    slices = tuple(
        _ascending(part, size) if isinstance(part, slice) else slice(None)
        for part, size in zip(parts, wide.shape, strict=True)
    )
    place, inside = _places([parts[axis] for axis in axes], [wide.shape[axis] for axis in axes])
    together = axes == tuple(range(axes[0], axes[-1] + 1))
    return Selection(
        wide,
        parts,
        wide[slices].flip(_reversed_axes(parts)),
        axes,
        torch.broadcast_to(place, shape).reshape(-1),
        torch.broadcast_to(inside, shape).reshape(-1),
        shape,
        axes[0] if together else 0,
    )


def _places(indices: Sequence[Tensor], sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the row of the matrix for each index, clamped, and whether it was in range."""
    place: Any = 0
    inside: Any = True
    for index, size in zip(indices, sizes, strict=True):
        index = index.long()
        index = torch.where(index < 0, index + size, index)
        inside = inside & (index >= 0) & (index < size)
        place = place * size + index.clamp(0, max(size - 1, 0))
    return place, inside


def _ascending(part: Part, size: int) -> Part:
    """Return a slice with a positive step, which torch needs."""
    if not isinstance(part, slice):
        return part
    steps = range(*part.indices(size))
    return slice(steps.start, max(steps.stop, 0), steps.step) if steps.step > 0 else _upwards(steps)


def _upwards(steps: range) -> slice:
    return slice(steps[-1], steps[0] + 1, -steps.step) if steps else slice(0, 0, 1)


def _reversed_axes(parts: Sequence[Part]) -> tuple[int, ...]:
    """Return the axes of the region whose slices have a negative step."""
    kept = [part for part in parts if not isinstance(part, int)]
    return tuple(i for i, part in enumerate(kept) if isinstance(part, slice) and part.step and part.step < 0)


def _written(x: Tensor, parts: Sequence[Part], region: Tensor, axis: int = 0) -> Tensor:
    """Return x with a region in place of its part, one axis after the other."""
    if axis == x.ndim or not parts:
        return region
    part, rest = parts[0], parts[1:]
    if isinstance(part, int):
        return torch.select_scatter(x, _written(x.select(axis, part), rest, region, axis), axis, part)
    steps = _ascending(part, x.shape[axis]) if isinstance(part, slice) else slice(0, x.shape[axis], 1)
    if (steps.start, steps.stop, steps.step) == (0, x.shape[axis], 1):
        return _written(x, rest, region, axis + 1)
    inner = _written(x[(slice(None),) * axis + (steps,)], rest, region, axis + 1)
    return torch.slice_scatter(x, inner, axis, steps.start, steps.stop, steps.step)
