"""Arrays made of parts of others: joined, split, repeated, rolled and flipped."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import Axis, all_axes, flat, one_axis
from funcnet.numpy.creation import sizes
from funcnet.numpy.grids import points
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, promote
from funcnet.numpy.unsigned import in_wider

__all__ = [
    "append", "array_split", "block", "c_", "column_stack", "concat", "concatenate", "delete", "dsplit", "dstack",
    "flip", "fliplr", "flipud", "hsplit", "hstack", "index_exp", "r_", "repeat", "roll", "rot90", "s_", "split",
    "stack", "tile", "trim_zeros", "unstack", "vsplit", "vstack",
]  # fmt: skip


def concatenate(arrays: Sequence[ArrayLike], axis: int | None = 0, dtype: DType | None = None) -> Tensor:
    """Join arrays along an axis that they have; flattened ones without an axis."""
    parts = _parts("concatenate", arrays, dtype)
    if axis is None:
        return torch.cat([x.reshape(-1) for x in parts])
    ndims = {x.ndim for x in parts}
    if len(ndims) != 1:
        raise ValueError(f"concatenate: expected arrays of the same number of axes, got {sorted(ndims)}.")
    return torch.cat(parts, one_axis("concatenate", axis, parts[0].ndim))


def _parts(operation: str, arrays: Any, dtype: DType | None = None) -> list[Tensor]:
    if isinstance(arrays, int | float) or len(arrays) == 0:
        raise ValueError(f"{operation}: expected at least one array, got {arrays!r}.")
    parts = promote(operation, *arrays)
    return [x if dtype is None else x.to(as_dtype(operation, dtype)) for x in parts]


def concat(arrays: Sequence[ArrayLike], /, *, axis: int | None = 0) -> Tensor:
    """Join arrays along an axis that they have; the array API's name of `concatenate`."""
    return concatenate(arrays, axis)


def stack(arrays: Sequence[ArrayLike], axis: int = 0, dtype: DType | None = None) -> Tensor:
    """Join arrays of one shape along a new axis."""
    parts = _parts("stack", arrays, dtype)
    return torch.stack(parts, one_axis("stack", axis, parts[0].ndim + 1))


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, without it."""
    x = as_tensor("unstack", x)
    return torch.unbind(x, one_axis("unstack", axis, x.ndim))


def vstack(tup: Sequence[ArrayLike], dtype: DType | None = None) -> Tensor:
    """Join along the first axis; vectors are rows."""
    return torch.vstack(_parts("vstack", tup, dtype))


def hstack(tup: Sequence[ArrayLike], dtype: DType | None = None) -> Tensor:
    """Join along the second axis; vectors along their only one."""
    return torch.hstack(_parts("hstack", tup, dtype))


def dstack(tup: Sequence[ArrayLike], dtype: DType | None = None) -> Tensor:
    """Join along the third axis."""
    return torch.dstack(_parts("dstack", tup, dtype))


def column_stack(tup: Sequence[ArrayLike]) -> Tensor:
    """Join along the second axis; vectors are columns."""
    return torch.cat([x.reshape(-1, 1) if x.ndim < 2 else x for x in _parts("column_stack", tup)], 1)


def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Tensor:
    """Join two arrays along an axis; flattened ones without an axis."""
    return concatenate([arr, values], axis)


def trim_zeros(filt: ArrayLike, trim: str = "fb") -> Tensor:
    """A vector without zeros at its front ("f" in trim) and back ("b"); its length depends on values: not in `jit`."""
    x = as_tensor("trim_zeros", filt)
    places = torch.nonzero(x)[:, 0]
    if len(places) == 0:
        return x[:0]
    first = int(places[0]) if "f" in trim.lower() else 0
    return x[first : int(places[-1]) + 1] if "b" in trim.lower() else x[first:]


def split(ary: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Split into a number of equal parts, or before each of several positions (torch's split takes their length).

    Raises:
        ValueError: The axis cannot be divided into equal parts; `array_split` allows it.
    """
    x = as_tensor("split", ary)
    length = x.shape[one_axis("split", axis, x.ndim)]
    if isinstance(indices_or_sections, int) and length % indices_or_sections:
        raise ValueError(
            f"split: expected an axis of a multiple of {indices_or_sections}, got {length}. Use array_split."
        )
    return array_split(x, indices_or_sections, axis)


def array_split(ary: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Split an array into parts along an axis; unlike with `split`, the first parts may be longer by 1."""
    x = as_tensor("array_split", ary)
    axis = one_axis("array_split", axis, x.ndim)
    length = x.shape[axis]
    if isinstance(indices_or_sections, int):
        each, more = divmod(length, indices_or_sections)
        cuts = [each * i + min(i, more) for i in range(indices_or_sections + 1)]
    else:
        cuts = [0, *(slice(int(i), None).indices(length)[0] for i in indices_or_sections), length]
    return [x.narrow(axis, low, max(high - low, 0)) for low, high in itertools.pairwise(cuts)]


def vsplit(ary: ArrayLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along the first axis."""
    return split(ary, indices_or_sections, 0)


def hsplit(ary: ArrayLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along the second axis; a vector along its only one."""
    x = as_tensor("hsplit", ary)
    return split(x, indices_or_sections, min(1, x.ndim - 1))


def dsplit(ary: ArrayLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along the third axis."""
    return split(ary, indices_or_sections, 2)


def tile(A: ArrayLike, reps: int | Sequence[int]) -> Tensor:  # noqa: N803
    """Repeat the whole array along each axis."""
    return torch.tile(as_tensor("tile", A), sizes("tile", reps))


def repeat(a: ArrayLike, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None) -> Tensor:
    """Repeat each element (torch's repeat tiles); of the flattened array without an axis.

    Args:
        a: The array.
        repeats: How often: a number, or one per index of the axis.
        axis: The axis.
        total_repeat_length: The length of the result along the axis. Needed inside `jit` and `vmap` if repeats is a
            tensor; a longer result is cut, and a shorter one continued with the last element.
    """
    x, axis = flat(as_tensor("repeat", a), axis)
    axis = one_axis("repeat", axis, x.ndim)
    counts = as_tensor("repeat", repeats, x).reshape(-1)
    if counts.shape[0] == 1 and isinstance(repeats, int) and total_repeat_length is None:
        wide = x.unsqueeze(axis + 1).expand(*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :])
        return wide.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    ends = torch.cumsum(counts.expand(x.shape[axis]), 0)
    total = int(ends[-1]) if total_repeat_length is None else total_repeat_length
    places = (ends[:, None] <= torch.arange(total, device=x.device)).sum(0)
    return in_wider(torch.index_select)(x, axis, places.clamp(max=x.shape[axis] - 1))


def roll(a: ArrayLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Move elements along axes; those that leave at one end enter at the other. Without an axis, of the flattened."""
    x = as_tensor("roll", a)
    if axis is None:
        return torch.roll(x, shift if isinstance(shift, int) else tuple(shift))
    axes = all_axes("roll", axis, x.ndim)
    return torch.roll(x, (shift,) * len(axes) if isinstance(shift, int) else tuple(shift), axes)


def flip(m: ArrayLike, axis: Axis = None) -> Tensor:
    """Reverse the order of elements along axes, by default all."""
    x = as_tensor("flip", m)
    return in_wider(lambda x: torch.flip(x, all_axes("flip", axis, x.ndim)))(x)


def fliplr(m: ArrayLike) -> Tensor:
    """Reverse the second axis."""
    return flip(m, 1)


def flipud(m: ArrayLike) -> Tensor:
    """Reverse the first axis."""
    return flip(m, 0)


def rot90(m: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Rotate by k times 90 degrees, from the first of two axes towards the second."""
    return in_wider(torch.rot90)(as_tensor("rot90", m), k, axes)


def delete(arr: ArrayLike, obj: Any, axis: int | None = None) -> Tensor:
    """Remove the slices at an index, several indices or a slice, or where a vector of bools is true."""
    x, axis = flat(as_tensor("delete", arr), axis)
    axis = one_axis("delete", axis, x.ndim)
    length = x.shape[axis]
    gone = {*_places(obj, length)}
    kept = [i for i in range(length) if i not in gone]
    return in_wider(torch.index_select)(x, axis, torch.tensor(kept, dtype=torch.long, device=x.device))


def _places(obj: Any, length: int) -> Iterable[int]:
    if isinstance(obj, slice):
        return range(length)[obj]
    places = as_tensor("delete", obj).reshape(-1)
    if places.dtype != torch.bool:
        return [int(i) % length for i in places]
    if len(places) != length:
        raise ValueError(f"delete: expected {length} bools, one per slice, got {len(places)}.")
    return [i for i, is_gone in enumerate(places) if is_gone]


def block(arrays: Any) -> Tensor:
    """Join nested lists of arrays: the innermost lists along the last axis, the next ones along the one before."""
    depth = _depth(arrays)
    parts = promote("block", *_leaves(arrays))
    ndim = max(depth, *(x.ndim for x in parts))
    each = iter([x.reshape((1,) * (ndim - x.ndim) + tuple(x.shape)) for x in parts])
    return _joined(arrays, each, ndim - depth)


def _depth(arrays: Any) -> int:
    return 1 + _depth(arrays[0]) if isinstance(arrays, list) else 0


def _leaves(arrays: Any) -> list[Any]:
    return [leaf for part in arrays for leaf in _leaves(part)] if isinstance(arrays, list) else [arrays]


def _joined(arrays: Any, each: Iterator[Tensor], axis: int) -> Tensor:
    if not isinstance(arrays, list):
        return next(each)
    return torch.cat([_joined(part, each, axis + 1) for part in arrays], axis)


class _Joiner:
    """r_[a, 0, 1:4]: the parts, of which slices are ranges, joined along the first axis, or the last for c_."""

    def __init__(self, columns: bool) -> None:
        self._columns = columns

    def __getitem__(self, key: Any) -> Tensor:
        given = key if isinstance(key, tuple) else (key,)
        parts = [torch.atleast_1d(x) for x in promote("r_", *(_range(part) for part in given))]
        if not self._columns:
            return torch.cat(parts)
        return torch.cat([x[:, None] if x.ndim == 1 else x for x in parts], -1)


def _range(part: Any) -> Any:
    if isinstance(part, str):
        raise ValueError(f"r_: expected arrays, numbers and slices, got {part!r}. Use concatenate or stack.")
    return points(part) if isinstance(part, slice) else part


class _Index:
    """s_[1:, None]: the index itself."""

    def __getitem__(self, key: Any) -> Any:
        return key


r_, c_ = _Joiner(columns=False), _Joiner(columns=True)
s_ = index_exp = _Index()
