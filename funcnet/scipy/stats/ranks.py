"""Ranks, the most frequent value, and the standard error of the mean."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.numpy import std
from funcnet.numpy.axes import flat, one_axis
from funcnet.numpy.promotion import ArrayLike, as_tensor, inexact

__all__ = ["ModeResult", "mode", "rankdata", "sem"]

_METHODS = ("average", "min", "max", "dense", "ordinal")


def rankdata(
    a: ArrayLike, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate"
) -> Tensor:
    """The ranks of elements, from 1; of the flattened array without an axis.

    Args:
        a: The array.
        method: The rank of equal elements: "average", "min" or "max" of their places in order, "dense" as "min" without
            gaps after them, or "ordinal" for places in the order of the array.
        axis: The axis.
        nan_policy: "propagate": all ranks along an axis with a NaN are NaN.
    Returns:
        float32 or the dtype of a floating-point array.
    Raises:
        ValueError: The method or the nan_policy is unknown.
    Example:
        >>> fn.scipy.stats.rankdata(torch.tensor([3, 1, 3, 2]))
        tensor([3.5000, 1.0000, 3.5000, 2.0000])
    """
    _check("rankdata", nan_policy)
    if method not in _METHODS:
        raise ValueError(f"rankdata: expected method to be one of {', '.join(_METHODS)}, got {method!r}.")
    x, along = flat(as_tensor("rankdata", a), axis)
    rows = _rows("rankdata", x, along)
    ranks = _ranks(rows, method).to(inexact(rows).dtype)
    ranks = torch.where(torch.isnan(rows).any(-1, keepdim=True), torch.nan, ranks)
    return torch.movedim(ranks, -1, along)


def _ranks(rows: Tensor, method: str) -> Tensor:
    ordered, order = torch.sort(rows, stable=True)
    if method == "ordinal":
        return torch.argsort(order) + 1
    if method == "dense":
        new = torch.ones_like(ordered, dtype=torch.int64)
        new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        return torch.gather(new.cumsum(-1), -1, torch.argsort(order))
    below, upto = (torch.searchsorted(ordered, rows, right=right) for right in (False, True))
    return {"min": below + 1, "max": upto, "average": (below + upto + 1) / 2}[method]


class ModeResult(NamedTuple):
    """The most frequent elements, and how often they occur."""

    mode: Tensor
    count: Any  # a tensor, int32


def mode(a: ArrayLike, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most frequent element along an axis, the least of several; of the flattened array for None.

    Raises:
        ValueError: The nan_policy is not "propagate": NaNs count as equal to each other.
    Example:
        >>> fn.scipy.stats.mode(torch.tensor([3, 1, 1, 3]))
        ModeResult(mode=tensor(1), count=tensor(2, dtype=torch.int32))
    """
    _check("mode", nan_policy)
    whole = as_tensor("mode", a)
    x, along = flat(whole, axis)
    ordered = torch.sort(_rows("mode", x, along)).values
    missing = torch.isnan(ordered)
    keys = torch.where(missing, torch.inf, ordered) if ordered.is_floating_point() else ordered  # a search needs order
    upto = torch.minimum(torch.searchsorted(keys, keys, right=True), (~missing).sum(-1, keepdim=True))
    counts = torch.where(missing, missing.sum(-1, keepdim=True), upto - torch.searchsorted(keys, keys))
    place = torch.argmax(counts, -1, keepdim=True)
    found = (torch.gather(values, -1, place) for values in (ordered.to(x.dtype), counts.to(torch.int32)))
    return ModeResult(*(_reduced(value, whole.ndim, axis, keepdims) for value in found))


def _reduced(value: Tensor, ndim: int, axis: int | None, keepdims: bool) -> Tensor:
    """Drop or place the last axis, of length 1."""
    if not keepdims:
        return value[..., 0]
    return value.reshape((1,) * ndim) if axis is None else torch.movedim(value, -1, axis)


def sem(
    a: ArrayLike, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False
) -> Tensor:
    """The standard error of the mean, std / sqrt(n), along an axis; of the flattened array for None.

    Raises:
        ValueError: The nan_policy is not "propagate".
    Example:
        >>> fn.scipy.stats.sem(torch.tensor([1.0, 2.0, 4.0]))
        tensor(0.8819)
    """
    _check("sem", nan_policy)
    x = as_tensor("sem", a)
    count = x.numel() if axis is None else x.shape[axis]
    return std(x, axis, ddof=ddof, keepdims=keepdims) / math.sqrt(count)


def _rows(name: str, x: Tensor, axis: int) -> Tensor:
    """Return the array with an axis at the end; bools as integers, as torch.searchsorted does not take them."""
    rows = torch.movedim(x, one_axis(name, axis, x.ndim), -1).contiguous()
    return rows.to(torch.int8) if rows.dtype == torch.bool else rows


def _check(name: str, nan_policy: Any) -> None:
    if nan_policy != "propagate":
        raise ValueError(f"{name}: expected nan_policy='propagate', got {nan_policy!r}.")
