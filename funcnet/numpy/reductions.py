"""Reductions over axes: sums, means, extremes, and their positions.

Each takes `axis` (an int, several, or None for all), `keepdims`, and, where it makes sense, `where` (a bool tensor that
broadcasts to the array: the elements to include) and `initial` (a value that the reduction starts from).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import Axis, all_axes, one_axis
from funcnet.numpy.binary import maximum, minimum
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_like, as_tensor, counted, inexact, promote
from funcnet.numpy.unsigned import in_wider, widened

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "max", "mean", "min", "prod",
    "ptp", "std", "sum", "trace", "var",
]  # fmt: skip


def sum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType | None = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Tensor:
    """The sum of elements; bools and small integers are added as int32, unless promote_integers is False."""
    x = _included(_accumulated("sum", a, dtype, promote_integers), where, 0)
    axes = all_axes("sum", axis, x.ndim)
    total = torch.sum(x, axes, keepdim=keepdims, dtype=x.dtype) if axes else x  # torch sums over all axes for ()
    total = total if initial is None else total + as_like("sum", initial, total)
    return total.to(torch.uint32) if _is_uint32(a, dtype) else total


def prod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType | None = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Tensor:
    """The product of elements; bools and small integers are multiplied as int32, unless promote_integers is False."""
    x = _included(_accumulated("prod", a, dtype, promote_integers), where, 1)
    for each in sorted(all_axes("prod", axis, x.ndim), reverse=True):
        x = torch.prod(x, each, keepdim=keepdims, dtype=x.dtype)
    x = x if initial is None else x * as_like("prod", initial, x)
    return x.to(torch.uint32) if _is_uint32(a, dtype) else x


def _is_uint32(a: ArrayLike, dtype: DType | None) -> bool:
    """Tell whether a result in int32 is to be read modulo 2^32."""
    return dtype is None and isinstance(a, Tensor) and a.dtype == torch.uint32


def _accumulated(operation: str, a: ArrayLike, dtype: DType | None, promote_integers: bool) -> Tensor:
    x = as_tensor(operation, a)
    return (counted(x) if promote_integers else x) if dtype is None else x.to(as_dtype(operation, dtype))


def _included(x: Tensor, where: ArrayLike | None, neutral: float) -> Tensor:
    """Replace the elements that are not included by one that does not change the result."""
    return x if where is None else torch.where(as_tensor("where", where), x, x.new_full((), neutral))


def mean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType | None = None,
    *,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> Tensor:
    """The mean of elements, floating-point; NaN of none."""
    x = _averaged("mean", a, dtype)
    axes = all_axes("mean", axis, x.ndim)
    average = sum(x, axes, keepdims=keepdims, where=where) / _count(x, axes, keepdims, where)
    return average.to(x.dtype)


def _averaged(operation: str, a: ArrayLike, dtype: DType | None) -> Tensor:
    x = as_tensor(operation, a)
    return inexact(x) if dtype is None else x.to(as_dtype(operation, dtype))


def _count(x: Tensor, axes: tuple[int, ...], keepdims: bool, where: ArrayLike | None) -> Any:
    """Count the elements that each result includes: a number, or a tensor."""
    if where is None:
        return math.prod(x.shape[axis] for axis in axes)
    included = torch.broadcast_to(as_tensor("mean", where), x.shape)
    return sum(included, axes, keepdims=keepdims, dtype=x.real.dtype)


def var(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType | None = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    where: ArrayLike | None = None,
    correction: float | None = None,
) -> Tensor:
    """The variance: squared distances to the mean, over n - ddof. Unlike in torch, ddof is 0 by default.

    `correction` is another name of ddof.
    """
    ddof = _ddof("var", ddof, correction)
    x = _averaged("var", a, dtype)
    axes = all_axes("var", axis, x.ndim)
    distance = x - mean(x, axes, keepdims=True, where=where)
    squared = (distance * distance.conj()).real if x.is_complex() else torch.square(distance)
    total = sum(squared, axes, keepdims=keepdims, where=where)
    divisor = _count(squared, axes, keepdims, where) - ddof
    return total / (torch.clamp(divisor, min=0) if isinstance(divisor, Tensor) else divisor * (divisor > 0))


def std(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType | None = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    where: ArrayLike | None = None,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation: the square root of `var`. Unlike in torch, ddof is 0 by default."""
    ddof = _ddof("std", ddof, correction)
    return torch.sqrt(var(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where))


def _ddof(operation: str, ddof: float, correction: float | None) -> float:
    if correction is not None and ddof:
        raise ValueError(f"{operation}: expected ddof or correction, got ddof={ddof} and correction={correction}.")
    return ddof if correction is None else correction


def max(
    a: ArrayLike,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """The largest element, alone (`argmax` has its position); NaN if one is NaN. `where` needs `initial`."""
    return _extreme("max", torch.amax, maximum, a, axis, keepdims, initial, where)


def min(
    a: ArrayLike,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """The smallest element, alone (`argmin` has its position); NaN if one is NaN. `where` needs `initial`."""
    return _extreme("min", torch.amin, minimum, a, axis, keepdims, initial, where)


amax, amin = max, min


def _extreme(
    operation: str,
    reduce: Callable[..., Tensor],
    larger: Callable[[Any, Any], Tensor],
    a: ArrayLike,
    axis: Axis,
    keepdims: bool,
    initial: ArrayLike | None,
    where: ArrayLike | None,
) -> Tensor:
    x = as_tensor(operation, a)
    axes = all_axes(operation, axis, x.ndim)
    if initial is None and (where is not None or any_empty(x, axes)):
        raise ValueError(f"{operation}: an empty maximum or minimum is not defined; expected `initial` as well.")
    if initial is None:
        return in_wider(lambda x: reduce(x, axes, keepdim=keepdims))(x) if axes else x
    start = as_like(operation, initial, x)
    x = x if where is None else torch.where(as_tensor(operation, where), x, start)
    if any_empty(x, axes):
        return start.expand_as(torch.sum(x, axes, keepdim=keepdims, dtype=x.dtype))
    return larger(in_wider(lambda x: reduce(x, axes, keepdim=keepdims))(x) if axes else x, start)


def any_empty(x: Tensor, axes: Sequence[int]) -> bool:
    """Tell whether one of the axes has no elements."""
    return 0 in [x.shape[axis] for axis in axes]


def ptp(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest minus the smallest element."""
    return in_wider(torch.sub)(max(a, axis, keepdims=keepdims), min(a, axis, keepdims=keepdims))


def all(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike | None = None) -> Tensor:
    """Whether all elements are nonzero."""
    x = _included(as_tensor("all", a) != 0, where, True)
    axes = all_axes("all", axis, x.ndim)
    return torch.all(x, axes, keepdim=keepdims) if axes else x


def any(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike | None = None) -> Tensor:
    """Whether one of the elements is nonzero."""
    x = _included(as_tensor("any", a) != 0, where, False)
    axes = all_axes("any", axis, x.ndim)
    return torch.any(x, axes, keepdim=keepdims) if axes else x


def count_nonzero(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The number of nonzero elements, int32."""
    return sum(as_tensor("count_nonzero", a) != 0, axis, keepdims=keepdims)


def argmax(a: ArrayLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The position of the largest element, the first of equal ones, int32; of the flattened array without an axis."""
    return _position("argmax", torch.argmax, a, axis, keepdims)


def argmin(a: ArrayLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The position of the smallest element, the first of equal ones, int32; of the flattened array without an axis."""
    return _position("argmin", torch.argmin, a, axis, keepdims)


def _position(operation: str, find: Callable[..., Tensor], a: ArrayLike, axis: int | None, keepdims: bool) -> Tensor:
    x = as_tensor(operation, a)
    x = x.to(torch.int32) if x.dtype == torch.bool else widened(x)
    if axis is not None:
        return find(x, one_axis(operation, axis, x.ndim), keepdim=keepdims).to(torch.int32)
    found = find(x.reshape(-1), 0).to(torch.int32)
    return found.reshape((1,) * x.ndim) if keepdims else found


def average(
    a: ArrayLike, axis: Axis = None, weights: ArrayLike | None = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """The mean with weights of the shape of a, or of the length of its axis; with `returned`, also their sum."""
    x = inexact(as_tensor("average", a))
    if weights is None:
        result = mean(x, axis, keepdims=keepdims)
        return (result, torch.full_like(result, x.numel() // result.numel())) if returned else result
    x, w = promote("average", x, weights)
    if w.shape != x.shape:
        shape = [1] * x.ndim
        shape[all_axes("average", axis, x.ndim)[0]] = -1
        w = torch.broadcast_to(w.reshape(shape), x.shape)
    scale = sum(w, axis, keepdims=keepdims)
    result = sum(x * w, axis, keepdims=keepdims) / scale
    return (result, scale) if returned else result


def trace(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DType | None = None) -> Tensor:
    """The sum of a diagonal."""
    return sum(torch.diagonal(as_tensor("trace", a), offset, axis1, axis2), -1, dtype)
