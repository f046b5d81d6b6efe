"""Reading by indices and conditions, and the positions of elements. An index out of range is not an error."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import flat, one_axis
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, promote
from funcnet.numpy.unsigned import in_wider

__all__ = [
    "argwhere", "choose", "compress", "extract", "flatnonzero", "nonzero", "piecewise", "ravel_multi_index", "select",
    "take", "take_along_axis", "unravel_index", "where",
]  # fmt: skip

MODES = ("fill", "clip", "wrap", "promise_in_bounds")


def where(
    condition: ArrayLike,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    /,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """x where the condition holds and y elsewhere; with the condition alone, `nonzero`.

    Raises:
        ValueError: One of x and y is given.
    """
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise ValueError("where: expected both x and y, or neither, got one of them.")
    mask = as_tensor("where", condition)
    return torch.where(mask if mask.dtype == torch.bool else mask != 0, *promote("where", x, y))


def select(condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0) -> Tensor:
    """The first choice whose condition holds, or the default."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            f"select: expected one choice per condition, got {len(condlist)} conditions and {len(choicelist)} choices."
        )
    *choices, result = promote("select", *choicelist, default)
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        result = where(condition, choice, result)
    return result


def piecewise(x: ArrayLike, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Tensor:
    """The function, or number, of the last condition that holds; one more of them is the default, else 0.

    Every function is computed for every element, so that this works inside `jit` and `vmap`.
    """
    x = as_tensor("piecewise", x)
    conditions = (
        list(condlist)
        if isinstance(condlist, list | tuple) or as_tensor("piecewise", condlist).ndim > x.ndim
        else [condlist]
    )
    if len(funclist) not in (len(conditions), len(conditions) + 1):
        raise ValueError(f"piecewise: expected {len(conditions)} functions, or one more, got {len(funclist)}.")
    values = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    result = (
        torch.zeros_like(x)
        if len(values) == len(conditions)
        else torch.full_like(x, 0) + as_like("piecewise", values.pop(), x)
    )
    for condition, value in zip(conditions, values, strict=True):
        result = torch.where(as_tensor("piecewise", condition) != 0, as_like("piecewise", value, x), result)
    return result


def choose(a: ArrayLike, choices: Sequence[ArrayLike], mode: str = "clip") -> Tensor:
    """The element of choices[a], where `a` selects among several arrays; mode "clip" or "wrap"."""
    table = torch.stack(torch.broadcast_tensors(*promote("choose", *choices)))
    index, _ = bounded("choose", as_tensor("choose", a, table), table.shape[0], mode)
    shape = torch.broadcast_shapes(index.shape, table.shape[1:])
    return torch.gather(table.expand(-1, *shape), 0, index.expand(shape)[None])[0]


def bounded(operation: str, index: Tensor, length: int, mode: str | None) -> tuple[Tensor, Tensor | None]:
    """Return indices in [0, length), and which ones were in range if others are to be filled.

    Negative indices count from the end, except in mode "clip" of `take`, which is numpy's.
    """
    mode = "fill" if mode is None else mode
    if mode not in MODES:
        raise ValueError(f"{operation}: expected mode to be one of {', '.join(MODES)}, got {mode!r}.")
    if index.dtype == torch.bool or index.is_floating_point():
        raise TypeError(f"{operation}: expected integers as indices, got a {index.dtype} tensor.")
    index = index.long()
    if mode == "wrap":
        return torch.remainder(index, max(length, 1)), None
    if mode == "clip":
        return index.clamp(0, max(length - 1, 0)), None
    index = torch.where(index < 0, index + length, index)
    inside = None if mode == "promise_in_bounds" else (index >= 0) & (index < length)
    return index.clamp(0, max(length - 1, 0)), inside


def filled(x: Tensor, inside: Tensor | None, fill_value: ArrayLike | None) -> Tensor:
    """Replace the elements that were out of range: by NaN or, for integers, the least number, unless one is given."""
    if inside is None:
        return x
    if fill_value is None:
        fill_value = torch.nan if x.is_floating_point() or x.is_complex() else _least(x.dtype)
    return torch.where(inside, x, as_like("take", fill_value, x))


def _least(dtype: torch.dtype) -> int:
    if dtype == torch.bool:
        return 1
    limits = torch.iinfo(dtype)
    return limits.min if limits.min < 0 else limits.max


def take(
    a: ArrayLike,
    indices: ArrayLike,
    axis: int | None = None,
    mode: str | None = None,
    *,
    fill_value: ArrayLike | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
) -> Tensor:
    """The slices at indices along an axis; of the flattened array without an axis.

    Args:
        a: The array.
        indices: Integers of any shape, which takes the place of the axis.
        axis: The axis.
        mode: For an index out of range, "fill": fill_value, by default NaN or the least integer; "clip": the nearest
            one, 0 for negative ones; "wrap": modulo the length; "promise_in_bounds": there is none. The default is
            "fill", where negative indices count from the end.
        fill_value: See mode.
        unique_indices, indices_are_sorted: Promises, which are not needed.
    """
    x, axis = flat(as_tensor("take", a), axis)
    axis = one_axis("take", axis, x.ndim)
    index, inside = bounded("take", as_tensor("take", indices, x), x.shape[axis], mode)
    found = in_wider(lambda x: x.index_select(axis, index.reshape(-1)))(x)
    found = found.reshape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
    trailing = (1,) * (x.ndim - axis - 1)
    return filled(found, None if inside is None else inside.reshape((*inside.shape, *trailing)), fill_value)


def take_along_axis(
    arr: ArrayLike,
    indices: ArrayLike,
    axis: int | None = -1,
    mode: str | None = None,
    fill_value: ArrayLike | None = None,
) -> Tensor:
    """The elements at indices along an axis; the other axes of arr and indices broadcast. mode is that of `take`."""
    x = as_tensor("take_along_axis", arr)
    index = as_tensor("take_along_axis", indices, x)
    x, axis = flat(x, axis)
    if index.ndim != x.ndim:
        raise ValueError(f"take_along_axis: expected indices of {x.ndim} axes, got {index.ndim}.")
    axis = one_axis("take_along_axis", axis, x.ndim)
    index, inside = bounded("take_along_axis", index, x.shape[axis], mode)
    sizes = [1 if i == axis else size for i, size in enumerate(x.shape)]
    others = list(torch.broadcast_shapes(sizes, [1 if i == axis else size for i, size in enumerate(index.shape)]))
    x = x.expand([x.shape[axis] if i == axis else size for i, size in enumerate(others)])
    index = index.expand([index.shape[axis] if i == axis else size for i, size in enumerate(others)])
    return filled(torch.gather(x, axis, index), inside, fill_value)


def nonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> tuple[Tensor, ...]:
    """The indices of the elements other than 0, int32, a vector per axis.

    Args:
        a: The array.
        size: The length of the result: more are left out, fewer are filled up. Needed inside `jit` and `vmap`.
        fill_value: The indices to fill up with: a number, or one per axis. 0 by default.
    """
    x = torch.atleast_1d(as_tensor("nonzero", a))
    mask = (x != 0).reshape(-1)
    if size is None:
        return tuple(index.to(torch.int32) for index in torch.nonzero(mask.reshape(x.shape), as_tuple=True))
    place = torch.where(mask, torch.cumsum(mask, 0) - 1, size).clamp(max=size)
    order = torch.arange(mask.shape[0], device=x.device)
    found = torch.zeros(size + 1, dtype=torch.long, device=x.device).index_add(0, place, order)[:size]
    missing = torch.arange(size, device=x.device) >= mask.sum()
    fills = fill_value if isinstance(fill_value, tuple) else (0 if fill_value is None else fill_value,) * x.ndim
    axes = unravel_index(found, tuple(x.shape))
    return tuple(torch.where(missing, fill, index) for fill, index in zip(fills, axes, strict=True))


def flatnonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Tensor:
    """The indices of the elements other than 0 in the flattened array; size and fill_value as in `nonzero`."""
    return nonzero(as_tensor("flatnonzero", a).reshape(-1), size=size, fill_value=fill_value)[0]


def argwhere(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Tensor:
    """The indices of the elements other than 0 in rows; size and fill_value as in `nonzero`."""
    return torch.stack(nonzero(a, size=size, fill_value=fill_value), -1)


def unravel_index(indices: ArrayLike, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The index along each axis of positions in a flattened array, int32."""
    rest, axes = as_tensor("unravel_index", indices), []
    for size in reversed((shape,) if isinstance(shape, int) else tuple(shape)):
        axes.append(torch.remainder(rest, size).to(torch.int32))
        rest = torch.div(rest, size, rounding_mode="floor")
    return tuple(reversed(axes))


def ravel_multi_index(
    multi_index: Sequence[ArrayLike], dims: Sequence[int], mode: str = "clip", order: str = "C"
) -> Tensor:
    """The positions in a flattened array of indices along each axis; mode "clip" or "wrap"; order as in `reshape`."""
    pairs = [*zip(multi_index, dims, strict=True)]
    position: Any = 0
    for index, size in reversed(pairs) if order == "F" else pairs:
        position = position * size + bounded("ravel_multi_index", as_tensor("ravel_multi_index", index), size, mode)[0]
    return position.to(torch.int32)


def compress(
    condition: ArrayLike,
    a: ArrayLike,
    axis: int | None = None,
    *,
    size: int | None = None,
    fill_value: ArrayLike = 0,
) -> Tensor:
    """The slices where a vector of conditions holds.

    Args:
        condition: The conditions; those that are missing do not hold.
        a: The array, flattened without an axis.
        axis: The axis of the slices.
        size: The number of slices to return: more are left out, fewer are filled up. Needed inside `jit` and `vmap`.
        fill_value: The value of the elements beyond the slices.
    """
    x, axis = flat(as_tensor("compress", a), axis)
    axis, holds = one_axis("compress", axis, x.ndim), as_tensor("compress", condition, x) != 0
    if size is None:
        return x.index_select(axis, torch.nonzero(holds)[:, 0])
    order = torch.argsort((~holds).to(torch.int8), stable=True)[:size]  # those that hold come first
    chosen = torch.movedim(x.index_select(axis, order), axis, -1)
    chosen = torch.nn.functional.pad(chosen, (0, size - len(order)))
    kept = torch.arange(size, device=x.device) < holds.sum()
    return torch.movedim(torch.where(kept, chosen, as_like("compress", fill_value, x)), -1, axis)


def extract(condition: ArrayLike, arr: ArrayLike, *, size: int | None = None, fill_value: ArrayLike = 0) -> Tensor:
    """The elements where the condition holds; size and fill_value as in `compress`."""
    return compress(as_tensor("extract", condition).reshape(-1), arr, size=size, fill_value=fill_value)
