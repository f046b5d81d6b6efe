"""Reductions over the elements that are not NaN."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import Axis
from funcnet.numpy.promotion import ArrayLike, as_tensor, named
from funcnet.numpy.reductions import all, argmax, argmin, max, mean, min, prod, std, sum, var

__all__ = [
    "nanargmax", "nanargmin", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar",
]  # fmt: skip


def _ignoring_nan(name: str, reduce: Callable[..., Tensor], doc: str) -> Callable[..., Tensor]:
    """Make a reduction of the elements that are not NaN."""

    def function(a: ArrayLike, axis: Axis = None, *, where: ArrayLike = True, **options: Any) -> Tensor:
        x = as_tensor(name, a)
        known = ~torch.isnan(x)
        x = torch.where(known, x, x.new_zeros(()))  # derivatives meet no NaN, either
        return reduce(x, axis, where=known & as_tensor(name, where, x), **options)

    return named(function, name, doc)


nansum = _ignoring_nan("nansum", sum, "The sum of the elements that are not NaN; options of `sum`.")
nanprod = _ignoring_nan("nanprod", prod, "The product of the elements that are not NaN; options of `prod`.")
nanmean = _ignoring_nan("nanmean", mean, "The mean of the elements that are not NaN; options of `mean`.")
nanvar = _ignoring_nan("nanvar", var, "The variance of the elements that are not NaN; options of `var`.")
nanstd = _ignoring_nan("nanstd", std, "The standard deviation of the elements that are not NaN; options of `std`.")


def nanmax(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """The largest element that is not NaN; NaN if all are. Options of `max`: initial and where."""
    x = as_tensor("nanmax", a)
    return _or_nan(x, max(_without_nan(x, -torch.inf), axis, keepdims=keepdims, **options), axis, keepdims, **options)


def nanmin(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """The smallest element that is not NaN; NaN if all are. Options of `min`: initial and where."""
    x = as_tensor("nanmin", a)
    return _or_nan(x, min(_without_nan(x, torch.inf), axis, keepdims=keepdims, **options), axis, keepdims, **options)


def _without_nan(x: Tensor, number: float) -> Tensor:
    """Replace NaN; integers have none, and keep their dtype."""
    return torch.where(torch.isnan(x), number, x) if x.is_floating_point() else x


def _or_nan(
    x: Tensor, result: Tensor, axis: Axis, keepdims: bool, initial: ArrayLike | None = None, where: ArrayLike = True
) -> Tensor:
    if not x.is_floating_point() or initial is not None:
        return result
    return torch.where(all(torch.isnan(x), axis, keepdims=keepdims, where=where), torch.nan, result)


def nanargmax(a: ArrayLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The position of the largest element that is not NaN, int32; -1 if all are NaN."""
    x = as_tensor("nanargmax", a)
    found = argmax(_without_nan(x, -torch.inf), axis, keepdims=keepdims)
    return torch.where(all(torch.isnan(x), axis, keepdims=keepdims), -1, found)


def nanargmin(a: ArrayLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The position of the smallest element that is not NaN, int32; -1 if all are NaN."""
    x = as_tensor("nanargmin", a)
    found = argmin(_without_nan(x, torch.inf), axis, keepdims=keepdims)
    return torch.where(all(torch.isnan(x), axis, keepdims=keepdims), -1, found)
