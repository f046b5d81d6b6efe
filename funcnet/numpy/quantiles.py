"""Quantiles: of sorted elements, with linear interpolation by default."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import Axis, all_axes
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, inexact, is_weak

__all__ = ["median", "nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile"]


def quantile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, *, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """The value below which a fraction q of the elements is; the axes of q come first in the result.

    Args:
        a: The array.
        q: Fractions in [0, 1], a number or an array.
        axis: The axes to reduce, by default all.
        method: Between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: Whether the reduced axes stay, with length 1.
    Raises:
        ValueError: method is none of these.
    """
    return _quantile("quantile", a, q, axis, method, keepdims, ignore_nan=False)


def percentile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, *, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of q / 100."""
    return _quantile("percentile", a, _hundredth("percentile", q), axis, method, keepdims, ignore_nan=False)


def median(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The middle element, or the mean of the two middle ones (torch's median is the lower of these)."""
    return _quantile("median", a, 0.5, axis, "midpoint", keepdims, ignore_nan=False)


def nanquantile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, *, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", a, q, axis, method, keepdims, ignore_nan=True)


def nanpercentile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, *, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`percentile` of the elements that are not NaN."""
    return _quantile("nanpercentile", a, _hundredth("percentile", q), axis, method, keepdims, ignore_nan=True)


def nanmedian(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """`median` of the elements that are not NaN."""
    return _quantile("nanmedian", a, 0.5, axis, "midpoint", keepdims, ignore_nan=True)


def _hundredth(operation: str, q: ArrayLike) -> Any:
    return q / 100 if is_weak(q) else as_tensor(operation, q) / 100


_BETWEEN: dict[str, Callable[[Tensor], Tensor]] = {  # the weight of the upper of two elements, from the fraction
    "linear": lambda fraction: fraction,
    "lower": torch.zeros_like,
    "higher": lambda fraction: (fraction > 0).to(fraction.dtype),
    "midpoint": lambda fraction: (fraction > 0).to(fraction.dtype) / 2,
    "nearest": lambda fraction: (fraction > 0.5).to(fraction.dtype),
}


def _quantile(
    operation: str, a: ArrayLike, q: ArrayLike, axis: Axis, method: str, keepdims: bool, ignore_nan: bool
) -> Tensor:
    if method not in _BETWEEN:
        raise ValueError(f"{operation}: expected method to be one of {', '.join(_BETWEEN)}, got {method!r}.")
    x = inexact(as_tensor(operation, a))
    axes = all_axes(operation, axis, x.ndim)
    values = torch.movedim(x, axes, tuple(range(-len(axes), 0))).flatten(-len(axes)) if axes else x[..., None]
    fractions = as_like(operation, q, x)
    result = _of_sorted(values, fractions.reshape(-1), _BETWEEN[method], ignore_nan)
    result = torch.movedim(result, -1, 0).reshape((*fractions.shape, *values.shape[:-1]))
    for each in sorted(axes) if keepdims else ():
        result = result.unsqueeze(fractions.ndim + each)
    return result


def _of_sorted(values: Tensor, q: Tensor, weigh: Callable[[Tensor], Tensor], ignore_nan: bool) -> Tensor:
    """Return (*values.shape[:-1], len(q)): NaN sorts last, so it is counted instead of searched."""
    ordered, missing = torch.sort(values, -1).values, torch.isnan(values).sum(-1, keepdim=True)
    count = values.shape[-1] - missing if ignore_nan else torch.full_like(missing, values.shape[-1])
    place = q * (count - 1).to(values.dtype)
    below = torch.floor(place).long().clamp(0, values.shape[-1] - 1)
    above = torch.minimum(below + 1, (count - 1).clamp(min=0))
    weight = weigh(place - torch.floor(place))
    lower, upper = torch.gather(ordered, -1, below), torch.gather(ordered, -1, above)
    result = torch.where(weight == 0, lower, lower * (1 - weight) + upper * weight)
    return torch.where((count == 0) if ignore_nan else (missing > 0), torch.nan, result)
