"""Order: sorting, unique elements and membership."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.numpy.axes import flat, one_axis
from funcnet.numpy.indexing import compress
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, promote

__all__ = [
    "UniqueAll", "UniqueCounts", "UniqueInverse", "argpartition", "argsort", "intersect1d", "isin", "lexsort",
    "partition", "setdiff1d", "setxor1d", "sort", "sort_complex", "union1d", "unique", "unique_all",
    "unique_counts", "unique_inverse", "unique_values",
]  # fmt: skip


def sort(a: ArrayLike, axis: int | None = -1, *, stable: bool = True, descending: bool = False) -> Tensor:
    """The elements in order along an axis, alone (`argsort` has their positions); NaN counts as the largest."""
    x, axis = flat(as_tensor("sort", a), axis)
    along = one_axis("sort", axis, x.ndim)
    if x.is_complex():
        return torch.gather(x, along, _complex_order(x, along, descending))
    return torch.sort(x, dim=along, descending=descending, stable=stable).values


def _complex_order(x: Tensor, axis: int, descending: bool) -> Tensor:
    """Return the positions that put complex numbers in order by their real, then by their imaginary parts."""
    order = torch.sort(x.imag, dim=axis, descending=descending, stable=True).indices
    by_real = torch.sort(torch.gather(x.real, axis, order), dim=axis, descending=descending, stable=True).indices
    return torch.gather(order, axis, by_real)


def sort_complex(a: ArrayLike) -> Tensor:
    """The elements in order along the last axis, by real, then by imaginary parts; complex."""
    x = as_tensor("sort_complex", a)
    return sort(x if x.is_complex() else x.to(torch.complex64))


def argsort(a: ArrayLike, axis: int | None = -1, *, stable: bool = True, descending: bool = False) -> Tensor:
    """The positions that put the elements in order along an axis, int32; equal elements keep their order."""
    x, axis = flat(as_tensor("argsort", a), axis)
    along = one_axis("argsort", axis, x.ndim)
    if x.is_complex():
        return _complex_order(x, along, descending).to(torch.int32)
    return torch.sort(x, dim=along, descending=descending, stable=stable).indices.to(torch.int32)


def lexsort(keys: Sequence[ArrayLike], axis: int = -1) -> Tensor:
    """The positions that sort by several keys, the last key first, int32."""
    rows = [as_tensor("lexsort", key) for key in keys]
    axis = one_axis("lexsort", axis, rows[0].ndim)
    order = torch.sort(rows[0], dim=axis, stable=True).indices
    for row in rows[1:]:
        order = torch.gather(order, axis, torch.sort(torch.gather(row, axis, order), dim=axis, stable=True).indices)
    return order.to(torch.int32)


def partition(a: ArrayLike, kth: int, axis: int = -1) -> Tensor:
    """The elements with the kth in its sorted place, smaller ones before it; here they are all sorted."""
    x = as_tensor("partition", a)
    one_axis("partition", kth, x.shape[one_axis("partition", axis, x.ndim)])
    return sort(x, axis)


def argpartition(a: ArrayLike, kth: int, axis: int = -1) -> Tensor:
    """The positions of `partition`, int32."""
    x = as_tensor("argpartition", a)
    one_axis("argpartition", kth, x.shape[one_axis("argpartition", axis, x.ndim)])
    return argsort(x, axis)


def isin(
    element: ArrayLike,
    test_elements: ArrayLike,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    method: str = "auto",
) -> Tensor:
    """Whether each element is among the test elements, or is not if invert; the other options have no effect."""
    x, among = promote("isin", element, test_elements)
    found = (x[..., None] == among.reshape(-1)).any(-1)
    return ~found if invert else found


def unique(
    ar: ArrayLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
    sorted: bool = True,
) -> Any:
    """The different elements of the flattened array, or slices along an axis, in ascending order.

    Args:
        ar: The array.
        return_index: Whether to return the position of the first of each, int32.
        return_inverse: Whether to return the position in the result of each element, int32, of the shape of ar; of each
            slice, a vector.
        return_counts: Whether to return how often each occurs, int32.
        axis: The axis of the slices, which are compared as vectors. None: elements are compared.
        equal_nan: Whether NaNs count as equal.
        size: The length of the result: more are left out, fewer are filled up. Needed inside `jit` and `vmap`.
        fill_value: The element to fill up with; by default the least one.
        sorted: Changes nothing: the result is sorted.
    Returns:
        The elements, or a tuple of them and the positions and counts that are asked for.
    """
    x = as_tensor("unique", ar)
    rows = x.reshape(-1) if axis is None else torch.movedim(x, one_axis("unique", axis, x.ndim), 0)
    order = _order(rows)
    ordered = rows[order]
    new = _starts(ordered, equal_nan)
    length = int(new.sum()) if size is None else size
    group = torch.cumsum(new, 0) - 1
    place = torch.where(new, group, length).clamp(max=length)
    first = torch.zeros(length + 1, dtype=torch.long, device=x.device).index_add(0, place, _range(ordered))[:length]
    missing = torch.arange(length, device=x.device) >= new.sum()
    first = torch.where(missing, 0, first)
    values = ordered[first] if len(ordered) else ordered.new_zeros(length, *rows.shape[1:])
    if fill_value is not None:
        mask = missing.reshape(-1, *(1,) * (values.ndim - 1))
        values = torch.where(mask, as_like("unique", fill_value, x), values)
    inverse = torch.zeros_like(group).index_add(0, order, group).to(torch.int32)
    inverse = inverse.reshape(x.shape) if axis is None else inverse
    counts = torch.zeros(length + 1, dtype=torch.int32, device=x.device)
    counts = counts.index_add(0, group.clamp(max=length), torch.ones_like(group, dtype=torch.int32))[:length]
    asked = zip(
        (True, return_index, return_inverse, return_counts),
        (values if axis is None else torch.movedim(values, 0, axis), order[first].to(torch.int32), inverse, counts),
        strict=True,
    )
    results = tuple(result for wanted, result in asked if wanted)
    return results if len(results) > 1 else results[0]


def _order(rows: Tensor) -> Tensor:
    """Return the stable order of elements, or of rows, which are compared column by column."""
    order = _range(rows)
    for column in reversed(rows.reshape(len(rows), -1 if rows.numel() else 0).unbind(1)):
        order = order[argsort(column[order]).long()]
    return order


def _starts(ordered: Tensor, equal_nan: bool = True) -> Tensor:
    """Tell which elements, or rows, in ascending order differ from the one before."""
    before, after = ordered[:-1], ordered[1:]
    differs = after != before
    differs = differs & ~((after != after) & (before != before)) if equal_nan else differs
    differs = differs.flatten(1).any(1) if differs.ndim > 1 else differs
    return torch.cat([torch.ones(len(ordered[:1]), dtype=torch.bool, device=ordered.device), differs])


def _range(x: Tensor) -> Tensor:
    return torch.arange(x.shape[0], device=x.device)


def union1d(ar1: ArrayLike, ar2: ArrayLike, *, size: int | None = None, fill_value: ArrayLike | None = None) -> Tensor:
    """The different elements of two arrays in ascending order; size and fill_value as in `unique`."""
    parts = [x.reshape(-1) for x in promote("union1d", ar1, ar2)]
    return unique(torch.cat(parts), size=size, fill_value=fill_value)


def setdiff1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    assume_unique: bool = False,
    *,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Tensor:
    """The different elements of ar1 that are not in ar2, ascending.

    Args:
        ar1, ar2: The arrays.
        assume_unique: Whether to leave the elements in the order of ar1, which has each once.
        size: The length of the result: more are left out, fewer are filled up. Needed inside `jit` and `vmap`.
        fill_value: The element to fill up with, by default 0.
    """
    x = as_tensor("setdiff1d", ar1).reshape(-1)
    if assume_unique:
        return _kept(x, isin(x, ar2, invert=True), size, fill_value)
    ordered = torch.sort(x).values
    return _kept(ordered, _starts(ordered) & isin(ordered, ar2, invert=True), size, fill_value)


def _kept(ordered: Tensor, keep: Tensor, size: int | None, fill_value: ArrayLike | None) -> Tensor:
    return compress(keep, ordered, size=size, fill_value=0 if fill_value is None else fill_value)


def intersect1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Any:
    """The different elements that are in both arrays, ascending.

    size and fill_value are as for `setdiff1d`, but by default the least element of the result fills up. With
    return_indices, also the positions in each array of the first of them, int32; these are not computed for a
    size.
    """
    x, y = (part.reshape(-1) for part in promote("intersect1d", ar1, ar2))
    if return_indices and size is not None:
        raise NotImplementedError("intersect1d: expected size=None for return_indices=True.")
    ordered = torch.sort(x).values
    values = _least_first(ordered, _starts(ordered) & isin(ordered, y), size, fill_value)
    return (values, *(_first_places(each, values) for each in (x, y))) if return_indices else values


def _least_first(ordered: Tensor, keep: Tensor, size: int | None, fill_value: ArrayLike | None) -> Tensor:
    values = _kept(ordered, keep, size, fill_value)
    if size is None or fill_value is not None:
        return values
    return torch.where(torch.arange(size, device=values.device) < keep.sum(), values, values[:1])


def _first_places(x: Tensor, values: Tensor) -> Tensor:
    return (x == values[:, None]).to(torch.int8).argmax(1).to(torch.int32)


def setxor1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    assume_unique: bool = False,
    *,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Tensor:
    """The different elements that are in one of two arrays only, ascending; arguments as for `intersect1d`."""
    x, y = (part.reshape(-1) for part in promote("setxor1d", ar1, ar2))
    ordered = torch.sort(torch.cat([x, y])).values
    return _least_first(ordered, _starts(ordered) & ~(isin(ordered, x) & isin(ordered, y)), size, fill_value)


def unique_values(x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None) -> Tensor:
    """The different elements; `unique` with its other results left out."""
    return unique(x, size=size, fill_value=fill_value)


class UniqueCounts(NamedTuple):
    """The different elements, and how often each occurs."""

    values: Tensor
    counts: Tensor


def unique_counts(x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None) -> UniqueCounts:
    """The different elements, and how often each occurs."""
    return UniqueCounts(*unique(x, return_counts=True, size=size, fill_value=fill_value))


class UniqueInverse(NamedTuple):
    """The different elements, and the position in them of each element."""

    values: Tensor
    inverse_indices: Tensor


def unique_inverse(x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None) -> UniqueInverse:
    """The different elements, and the position in them of each element."""
    return UniqueInverse(*unique(x, return_inverse=True, size=size, fill_value=fill_value))


class UniqueAll(NamedTuple):
    """The different elements, the position of the first of each, those of all elements in them, and their counts."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


def unique_all(x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None) -> UniqueAll:
    """The different elements with all the results of `unique`."""
    return UniqueAll(*unique(x, True, True, True, size=size, fill_value=fill_value))
