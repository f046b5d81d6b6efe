"""Arrays with elements put in: jax.numpy's functions that numpy has as writes in place, and insertions."""

from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import flat, one_axis
from funcnet.numpy.indexing import bounded
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor
from funcnet.numpy.unsigned import in_wider

__all__ = ["insert", "place", "put", "put_along_axis"]


def insert(arr: ArrayLike, obj: Any, values: ArrayLike, axis: int | None = None) -> Tensor:
    """Put values before an index, several indices or the elements of a slice; into the flattened array without an axis.

    Args:
        arr: The array.
        obj: An int, integers, or a slice; of the array as it was before.
        values: One number or slice for all places, or one per index.
        axis: The axis.
    """
    x, axis = flat(as_tensor("insert", arr), axis)
    axis = one_axis("insert", axis, x.ndim)
    length = x.shape[axis]
    places = torch.arange(length)[obj] if isinstance(obj, slice) else as_tensor("insert", obj).long()
    new = as_like("insert", values, x)
    new = new.reshape((1,) * (x.ndim - new.ndim) + new.shape)
    if places.ndim == 0:
        new = new.movedim(0, axis)
    count = new.shape[axis] if places.numel() == 1 else places.numel()
    places = places.reshape(-1).to(x.device).expand(count)
    places = torch.where(places < 0, places + length, places).clamp(0, length)
    new = new.expand([count if i == axis else n for i, n in enumerate(x.shape)])
    order = torch.cat([2 * torch.arange(length, device=x.device) + 1, 2 * places]).argsort(stable=True)
    return in_wider(torch.index_select)(torch.cat([x, new], axis), axis, order)


def put_along_axis(
    arr: ArrayLike,
    indices: ArrayLike,
    values: ArrayLike,
    axis: int | None,
    inplace: bool = True,
    *,
    mode: str | None = None,
) -> Tensor:
    """Return the array with the elements at indices along an axis replaced; the inverse of `take_along_axis`.

    Args:
        arr: The array.
        indices: Integers of as many axes as arr.
        values: Numbers that broadcast to the shape of indices.
        axis: The axis; None: that of the flattened array.
        inplace: Must be False, because the array itself does not change.
        mode: For an index out of range, None or "drop": nothing is written; "clip": the nearest element.
    Raises:
        ValueError: inplace is True, mode is unknown, or the axes differ.
    """
    if inplace:
        raise ValueError("put_along_axis: expected inplace=False, as the array itself does not change.")
    whole = as_tensor("put_along_axis", arr)
    x, axis = flat(whole, axis)
    axis = one_axis("put_along_axis", axis, x.ndim)
    index = as_tensor("put_along_axis", indices, x)
    if index.ndim != x.ndim:
        raise ValueError(f"put_along_axis: expected indices of {x.ndim} axes, got {index.ndim}.")
    length = x.shape[axis]
    index, inside = bounded("put_along_axis", index, length, "fill" if mode == "drop" else mode)
    index = index.expand([n if i == axis else x.shape[i] for i, n in enumerate(index.shape)])
    if inside is not None:
        index = torch.where(inside, index, length)
    extended = torch.cat([x, torch.zeros_like(x.narrow(axis, 0, 1))], axis)  # its last slice takes what is dropped
    new = as_like("put_along_axis", values, x).expand(index.shape)
    return extended.scatter(axis, index, new).narrow(axis, 0, length).reshape(whole.shape)


def put(a: ArrayLike, ind: ArrayLike, v: ArrayLike, mode: str | None = None, *, inplace: bool = True) -> Tensor:
    """Return the array with the elements at indices of the flattened array replaced, by values that are repeated.

    Args:
        a: The array.
        ind: Integers.
        v: The values.
        mode: For an index out of range, None or "clip": the nearest element; "drop": nothing is written; "wrap": the
            index modulo the length.
        inplace: Must be False, because the array itself does not change.
    Raises:
        ValueError: inplace is True, or mode is unknown.
    """
    if inplace:
        raise ValueError("put: expected inplace=False, as the array itself does not change.")
    x = as_tensor("put", a)
    places = as_tensor("put", ind, x).reshape(-1).long()
    values = as_like("put", v, x).reshape(-1)
    if values.numel() == 0 or places.numel() == 0:
        return x
    values = values[torch.arange(places.numel(), device=x.device) % values.numel()]
    if mode == "wrap":
        places = places % x.numel()
    places = torch.where(places < 0, places + x.numel(), places)
    kept = "drop" if mode == "wrap" else mode or "clip"
    return put_along_axis(x.reshape(-1), places, values, 0, inplace=False, mode=kept).reshape(x.shape)


def place(arr: ArrayLike, mask: ArrayLike, vals: ArrayLike, *, inplace: bool = True) -> Tensor:
    """Return the array with the elements where the mask holds replaced, in order, by values that are repeated.

    Raises:
        ValueError: inplace is True, the mask has another number of elements, or there are no values.
    """
    if inplace:
        raise ValueError("place: expected inplace=False, as the array itself does not change.")
    x = as_tensor("place", arr)
    chosen, values = as_tensor("place", mask, x).bool(), as_like("place", vals, x).reshape(-1)
    if chosen.numel() != x.numel() or values.numel() == 0:
        raise ValueError(f"place: expected a mask of {x.numel()} elements and values, got {chosen.numel()} elements.")
    order = (torch.cumsum(chosen.reshape(-1), 0) - 1).clamp(min=0) % values.numel()
    return torch.where(chosen.reshape(x.shape), values[order].reshape(x.shape), x)
