"""Statistics and neighbours: cumulative sums, differences, interpolation, covariances, convolutions."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import Axis, all_axes, flat, one_axis
from funcnet.numpy.promotion import (
    ArrayLike,
    DType,
    as_dtype,
    as_like,
    as_tensor,
    conjugated,
    counted,
    floating,
    inexact,
    is_weak,
    promote,
)
from funcnet.numpy.reductions import mean
from funcnet.numpy.unsigned import in_wider

__all__ = [
    "convolve", "corrcoef", "correlate", "cov", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "diff",
    "ediff1d", "gradient", "interp", "nancumprod", "nancumsum", "trapezoid", "unwrap",
]  # fmt: skip


def cumsum(a: ArrayLike, axis: int | None = None, dtype: DType | None = None) -> Tensor:
    """The sums of all elements up to each; of the flattened array without an axis."""
    return _cumulated("cumsum", torch.cumsum, a, axis, dtype)


def cumprod(a: ArrayLike, axis: int | None = None, dtype: DType | None = None) -> Tensor:
    """The products of all elements up to each; of the flattened array without an axis."""
    return _cumulated("cumprod", torch.cumprod, a, axis, dtype)


def nancumsum(a: ArrayLike, axis: int | None = None, dtype: DType | None = None) -> Tensor:
    """`cumsum` with NaN as 0."""
    x = as_tensor("nancumsum", a)
    return cumsum(torch.where(torch.isnan(x), x.new_zeros(()), x), axis, dtype)


def nancumprod(a: ArrayLike, axis: int | None = None, dtype: DType | None = None) -> Tensor:
    """`cumprod` with NaN as 1."""
    x = as_tensor("nancumprod", a)
    return cumprod(torch.where(torch.isnan(x), x.new_ones(()), x), axis, dtype)


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False
) -> Tensor:
    """`cumsum` of the Array API: a vector needs no axis; include_initial puts a 0 first."""
    axis, total = _array_api("cumulative_sum", cumsum, x, axis, dtype)
    return torch.cat([torch.zeros_like(total.narrow(axis, 0, 1)), total], axis) if include_initial else total


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False
) -> Tensor:
    """`cumprod` of the Array API: a vector needs no axis; include_initial puts a 1 first."""
    axis, total = _array_api("cumulative_prod", cumprod, x, axis, dtype)
    return torch.cat([torch.ones_like(total.narrow(axis, 0, 1)), total], axis) if include_initial else total


def _array_api(
    operation: str, f: Callable[..., Tensor], x: ArrayLike, axis: int | None, dtype: DType | None
) -> tuple[int, Tensor]:
    x = as_tensor(operation, x)
    if axis is None and x.ndim != 1:
        raise ValueError(f"{operation}: expected an axis for an array of {x.ndim} axes.")
    axis = one_axis(operation, 0 if axis is None else axis, x.ndim)
    return axis, f(x, axis, dtype)


def _cumulated(operation: str, f: Callable[..., Tensor], a: ArrayLike, axis: int | None, dtype: DType | None) -> Tensor:
    x, axis = flat(as_tensor(operation, a), axis)
    kind = (counted(x.new_zeros(())) if x.dtype == torch.bool else x).dtype if dtype is None else None
    kind, axis = kind or as_dtype(operation, dtype), one_axis(operation, axis, x.ndim)
    return in_wider(lambda x: f(x, axis, dtype=x.dtype))(x.to(kind))


def diff(
    a: ArrayLike, n: int = 1, axis: int = -1, prepend: ArrayLike | None = None, append: ArrayLike | None = None
) -> Tensor:
    """Differences of neighbours, taken n times. prepend and append extend the axis first."""
    x = as_tensor("diff", a)
    axis = one_axis("diff", axis, x.ndim)
    ends = [None if end is None else _as_end(x, end, axis) for end in (prepend, append)]
    x = torch.cat([part for part in (ends[0], x, ends[1]) if part is not None], axis)
    for _ in range(n):
        size = x.shape[axis]
        after, before = x.narrow(axis, min(size, 1), max(size - 1, 0)), x.narrow(axis, 0, max(size - 1, 0))
        x = after ^ before if x.dtype == torch.bool else in_wider(torch.sub)(after, before)
    return x


def _as_end(x: Tensor, end: ArrayLike, axis: int) -> Tensor:
    end = as_like("diff", end, x)
    return end if end.ndim else end.expand(*x.shape[:axis], 1, *x.shape[axis + 1 :])


def ediff1d(ary: ArrayLike, to_end: ArrayLike | None = None, to_begin: ArrayLike | None = None) -> Tensor:
    """Differences of neighbours in the flattened array, after the numbers to_begin and before to_end."""
    differences = diff(as_tensor("ediff1d", ary).reshape(-1))
    ends = (() if end is None else (as_like("ediff1d", end, differences).reshape(-1),) for end in (to_begin, to_end))
    return torch.cat([*next(ends), differences, *next(ends)])


def gradient(f: ArrayLike, *varargs: ArrayLike, axis: Axis = None) -> Any:
    """Central differences along each axis, one-sided ones at the ends.

    Args:
        f: An array with at least two elements per axis.
        varargs: The distances between elements: none for 1, one number for all axes, or one per axis. A vector holds
            the coordinates of the elements instead.
        axis: The axes, by default all.
    Returns:
        One array per axis in a list, or alone if there is one axis.
    """
    x = inexact(as_tensor("gradient", f))
    axes = all_axes("gradient", axis, x.ndim)
    steps = list(varargs) * len(axes) if len(varargs) == 1 else list(varargs) or [1.0] * len(axes)
    if len(steps) != len(axes):
        raise TypeError(f"gradient: expected 0, 1 or {len(axes)} distances, got {len(varargs)}.")
    results = [_central(x, each, step) for each, step in zip(axes, steps, strict=True)]
    return results[0] if len(results) == 1 else results


def _central(x: Tensor, axis: int, step: Any) -> Tensor:
    n = x.shape[axis]
    if not is_weak(step) and as_tensor("gradient", step).ndim == 1:
        return _central_at(x, axis, inexact(as_tensor("gradient", step)))
    first, last = diff(x.narrow(axis, 0, 2), axis=axis), diff(x.narrow(axis, n - 2, 2), axis=axis)
    middle = (x.narrow(axis, 2, n - 2) - x.narrow(axis, 0, n - 2)) / 2
    return torch.cat([first, middle, last], axis) / step


def _central_at(x: Tensor, axis: int, points: Tensor) -> Tensor:
    """Return differences of second order at points of unequal distances."""
    if len(points) != x.shape[axis]:
        raise ValueError(f"gradient: expected {x.shape[axis]} coordinates along axis {axis}, got {len(points)}.")
    steps = torch.diff(points)
    slopes = diff(x, axis=axis).movedim(axis, -1) / steps
    before, after = steps[:-1], steps[1:]
    middle = (after * slopes[..., :-1] + before * slopes[..., 1:]) / (before + after)
    return torch.cat([slopes[..., :1], middle, slopes[..., -1:]], -1).movedim(-1, axis)


def unwrap(p: ArrayLike, discont: float | None = None, axis: int = -1, period: float = 2 * math.pi) -> Tensor:
    """Add multiples of the period, so that neighbours differ by at most half of it.

    Args:
        p: The values, such as angles.
        discont: Differences up to it stay; by default half a period, which is also its least value.
        axis: The axis of the neighbours.
        period: The period.
    """
    x = inexact(as_tensor("unwrap", p))
    step = diff(x, axis=axis)
    wrapped = torch.remainder(step + period / 2, period) - period / 2
    wrapped = torch.where((wrapped == -period / 2) & (step > 0), period / 2, wrapped)
    change = torch.where(torch.abs(step) < (period / 2 if discont is None else discont), 0.0, wrapped - step)
    first = x.narrow(axis, 0, 1)
    return torch.cat([first, x.narrow(axis, 1, x.shape[axis] - 1) + torch.cumsum(change, axis)], axis)


def trapezoid(y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1) -> Tensor:
    """The integral of y by the trapezoidal rule, at the points x or at distances dx."""
    values = torch.movedim(inexact(as_tensor("trapezoid", y)), axis, -1)
    points = None if x is None else as_tensor("trapezoid", x)
    step: Any = dx if points is None else diff(points if points.ndim == 1 else torch.movedim(points, axis, -1))
    return (step * (values[..., 1:] + values[..., :-1]) / 2).sum(-1)


def interp(
    x: ArrayLike,
    xp: ArrayLike,
    fp: ArrayLike,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    period: float | None = None,
) -> Tensor:
    """Interpolate linearly between the points (xp, fp), xp in ascending order; left and right hold outside of them.

    "extrapolate" for left or right continues the line at that end. With a period, x and xp count modulo it, xp needs no
    order, and left and right have no effect.
    """
    x, xp, fp = floating("interp", x, xp, fp)
    if period is not None:
        x, (xp, order) = x % period, torch.sort(xp % period)
        fp = fp[order]
        xp, fp = torch.cat([xp[-1:] - period, xp, xp[:1] + period]), torch.cat([fp[-1:], fp, fp[:1]])
        left = right = None
    upper = torch.searchsorted(xp, x.contiguous(), right=True).clamp(1, xp.shape[0] - 1)
    start, width = xp[upper - 1], xp[upper] - xp[upper - 1]
    slope = torch.where(width == 0, 0.0, (fp[upper] - fp[upper - 1]) / torch.where(width == 0, 1.0, width))
    result = fp[upper - 1] + (x - start) * slope
    if left != "extrapolate":
        result = torch.where(x < xp[0], fp[0] if left is None else left, result)
    if right != "extrapolate":
        result = torch.where(x > xp[-1], fp[-1] if right is None else right, result)
    return result


def cov(
    m: ArrayLike,
    y: ArrayLike | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: ArrayLike | None = None,
    aweights: ArrayLike | None = None,
) -> Tensor:
    """The covariance matrix of variables in rows, or in columns if not rowvar.

    Args:
        m, y: The variables; those of y follow those of m.
        rowvar: Whether variables are rows.
        bias: Whether to divide by n, not by n - 1.
        ddof: The divisor is n - ddof; None: as bias says.
        fweights: How often each observation occurs, integers.
        aweights: The weight of each observation.
    """
    x = _variables(m, rowvar) if y is None else torch.cat([_variables(part, rowvar) for part in promote("cov", m, y)])
    less = (0 if bias else 1) if ddof is None else ddof
    given = [as_tensor("cov", w, x).to(x.real.dtype) for w in (fweights, aweights) if w is not None]
    if not given:
        centred = x - mean(x, 1, keepdims=True)
        return (centred @ centred.mH / (x.shape[1] - less)).squeeze()
    weights = given[0] * given[-1] if len(given) == 2 else given[0]
    total = weights.sum()
    lost = less if aweights is None else less * (weights * given[-1]).sum() / total
    centred = x - (x * weights).sum(1, keepdim=True) / total
    return ((centred * weights) @ centred.mH / (total - lost)).squeeze()


def _variables(m: ArrayLike, rowvar: bool) -> Tensor:
    x = torch.atleast_2d(inexact(as_tensor("cov", m)))
    return x if rowvar or x.shape[0] == 1 else x.mT


def corrcoef(x: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True) -> Tensor:
    """The correlation coefficients of variables in rows, or in columns if not rowvar."""
    c = cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    scale = torch.sqrt(torch.diagonal(c).real)
    return c / scale[:, None] / scale


def convolve(a: ArrayLike, v: ArrayLike, mode: str = "full", *, precision: Any = None) -> Tensor:
    """The convolution of two vectors: sum_k a[k] v[n - k].

    Args:
        a, v: Vectors.
        mode: "full": every n with a term; "same": the length of the longer one; "valid": only n with all terms.
        precision: Accepted; products are computed in the dtype of the operands.
    """
    a, v = floating("convolve", a, v)
    return _correlated("convolve", a, v.flip(0), mode) if len(a) >= len(v) else convolve(v, a, mode)


def correlate(a: ArrayLike, v: ArrayLike, mode: str = "valid", *, precision: Any = None) -> Tensor:
    """The correlation of two vectors: sum_k a[n + k] conj(v[k]); mode and precision as in `convolve`."""
    a, v = floating("correlate", a, v)
    return convolve(a, conjugated(v).flip(0), mode)


def _correlated(operation: str, a: Tensor, v: Tensor, mode: str) -> Tensor:
    n = len(v)
    ends = {"full": (n - 1, n - 1), "same": ((n - 1) - (n - 1) // 2, (n - 1) // 2), "valid": (0, 0)}
    if mode not in ends:
        raise ValueError(f"{operation}: expected mode to be 'full', 'same' or 'valid', got {mode!r}.")
    before, after = ends[mode]
    padded = torch.nn.functional.pad(a, (before, after))
    return padded.unfold(0, n, 1) @ v
