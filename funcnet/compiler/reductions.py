"""Rules of reductions, matrix products and cumulative operations."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from funcnet.compiler.graph import UnsupportedError
from funcnet.compiler.loops import Const, Cumulate, Index, whole
from funcnet.compiler.lowering import Lowering, Rule
from funcnet.compiler.values import Number, Value

Dims = int | Sequence[int] | None


def _axes(value: Value, dim: Dims) -> tuple[int, ...]:
    rank = len(value.shape)
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(rank))
    return tuple(d % rank for d in ([dim] if isinstance(dim, int) else dim)) if rank else ()


def _as(b: Lowering, value: Value, dtype: torch.dtype) -> Value:
    return value if value.dtype == dtype else b.map(value.shape, lambda e, x: e.cast(x, dtype), value)


def _reduction(op: str, identity: Number) -> Rule:
    def rule(b: Lowering, x: Value, dim: Dims = None, keepdim: bool = False, **_: Any) -> Value:
        return b.reduce(op, _as(b, x, b.op.outputs[0].dtype), _axes(x, dim), identity, keepdim)

    return rule


def _extremum(op: str, sign: int) -> Rule:
    """max or min of all, or along axes; along one axis by name also the place."""

    def rule(b: Lowering, x: Value, dim: Dims = None, keepdim: bool = False) -> Value | list[Value]:
        best = b.reduce(op, x, _axes(x, dim), _bound(x.dtype, -sign), keepdim)
        return best if len(b.op.outputs) == 1 else [best, _place(b, x, op, sign, dim, keepdim)]

    return rule


def _bound(dtype: torch.dtype, sign: int) -> Number:
    if dtype == torch.bool:
        return sign > 0
    if dtype.is_floating_point:
        return sign * math.inf
    return torch.iinfo(dtype).max if sign > 0 else torch.iinfo(dtype).min


def _place(b: Lowering, x: Value, op: str, sign: int, dim: Dims, keepdim: bool) -> Value:
    """The first index, in row-major order of the reduced axes, at which the extremum or a NaN is."""
    axes = _axes(x, dim)
    best = b.reduce(op, x, axes, _bound(x.dtype, -sign), True)
    end = Const(torch.iinfo(torch.int64).max, torch.int64)

    def index(e: Any, x: Any, best: Any) -> Any:
        place: Any = Const(0, torch.int64)
        for axis in axes:
            place = e("add", e("mul", place, e.nest.shape[axis]), Index(axis))
        hit = e("or", e("eq", x, best), e("ne", x, x))
        return e("where", hit, place, end, dtype=torch.int64)

    return b.reduce("minimum", b.map(x.shape, index, x, best), axes, end.value, keepdim)


def _arg(op: str, sign: int) -> Rule:
    return lambda b, x, dim=None, keepdim=False: _place(b, x, op, sign, dim, keepdim)


def _mean(b: Lowering, x: Value, dim: Dims = None, keepdim: bool = False, **_: Any) -> Value:
    axes = _axes(x, dim)
    total = b.reduce("add", _as(b, x, b.op.outputs[0].dtype), axes, 0, keepdim)
    count = math.prod(x.shape[axis] for axis in axes)
    return b.map(total.shape, lambda e, s: e("div", s, count), total)


def _deviation(root: bool) -> Rule:
    """Variance or standard deviation in float64, as in ATen; over lanes, which that would halve, only the latter.

    The squares of a standard deviation may leave the range of float32.
    """

    def rule(b: Lowering, x: Value, dim: Dims = None, **options: Any) -> Value:
        dtype = x.dtype if b.lanes and not root else torch.float64
        variance, _ = _moments(b, x, dtype, dim, **options)
        return b.map(variance.shape, lambda e, v: e.cast(e("sqrt", v) if root else v, b.op.outputs[0].dtype), variance)

    return rule


def _moments(
    b: Lowering,
    x: Value,
    dtype: torch.dtype,
    dim: Dims = None,
    *,
    correction: Number | None = None,
    keepdim: bool = False,
) -> list[Value]:
    """(Σ c² - (Σ c)² / n) / (n - correction) with c = x - mean, and the mean.

    The second sum is the rounding of the mean, which needs no care where x is in fewer digits.
    """
    axes = _axes(x, dim)
    count = math.prod(x.shape[axis] for axis in axes)
    degrees = max(count - (1 if correction is None else correction), 0)
    total = b.reduce("add", _as(b, x, dtype), axes, 0, True)
    mean = b.map(total.shape, lambda e, s: e("div", s, count), total)
    centred = b.map(x.shape, lambda e, x, m: e("sub", e.cast(x, dtype), m), x, mean)
    squares = b.reduce("add", b.map(x.shape, lambda e, c: e("mul", c, c), centred), axes, 0, keepdim)
    sums: list[Value] = [squares] if dtype != x.dtype else [squares, b.reduce("add", centred, axes, 0, keepdim)]

    def variance(e: Any, squares: Any, *rest: Any) -> Any:
        for shift in rest:
            exact = e("maximum", e("sub", squares, e("div", e("mul", shift, shift), count)), 0)
            squares = e("where", e("lt", squares, math.inf), exact, squares)
        return e("div", squares, degrees)

    means = whole(total.buffer, squares.shape)
    return [
        b.map(squares.shape, variance, *sums),
        b.map(means.shape, lambda e, s: e("div", s, count), means),
    ]


def _any(b: Lowering, x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    found = b.reduce("or", _as(b, x, torch.bool), _axes(x, dim), False, keepdim)
    return _as(b, found, b.op.outputs[0].dtype)


def _cumulative(op: str) -> Rule:
    return lambda b, x, dim, **_: _cumulated(b, _as(b, x, b.op.outputs[0].dtype), dim, op)


def _cumulated(b: Lowering, x: Value, dim: int, op: str) -> Value:
    source = b.view(x)
    if not source.shape:
        return source
    out = b.temporary(source.shape, source.dtype, source.varying)
    b.scope.add(Cumulate(out, source, dim % len(source.shape), op), out)
    return out


def _log_cumulative(b: Lowering, x: Value, dim: int) -> Value:
    """In float64 memory, not only registers: gcc 12 fails at logaddexp of vectors wider than the machine's."""
    wide = _cumulated(b, _as(b, x, torch.float64), dim, "logaddexp")
    return _as(b, wide, b.op.outputs[0].dtype)


def _running_extremum(op: str) -> Rule:
    """cummax or cummin, and where it was met last; from a NaN on that."""

    def rule(b: Lowering, x: Value, dim: int) -> list[Value]:
        axis = dim % max(len(x.shape), 1)

        def place(e: Any, x: Any, best: Any) -> Any:
            index = Index(axis) if e.nest.shape else Const(0, torch.int64)
            hit = e("or", e("eq", x, best), e("ne", x, x))
            return e("where", hit, index, Const(0, torch.int64), dtype=torch.int64)

        best = _cumulated(b, x, axis, op)
        return [best, _cumulated(b, b.map(x.shape, place, x, best), axis, "maximum")]

    return rule


def _product(b: Lowering, left: Value, right: Value) -> Value:
    if not left.dtype.is_floating_point:
        raise UnsupportedError(f"{b.op.target} of integers: the native backend multiplies floating matrices only")
    return b.contract(left, right, b.op.outputs[0].shape)


def _vector_norm(b: Lowering, x: Value, ord: Number = 2, dim: Dims = None, keepdim: bool = False, **_: Any) -> Value:
    axes = _axes(x, dim)
    x = b.map(x.shape, lambda e, x: e("abs", x), _as(b, x, b.op.outputs[0].dtype))
    if math.isinf(ord):
        return b.reduce("maximum" if ord > 0 else "minimum", x, axes, 0 if ord > 0 else math.inf, keepdim)
    if ord == 0:
        return b.reduce("add", b.map(x.shape, lambda e, x: e.cast(e("ne", x, 0), x.dtype), x), axes, 0, keepdim)
    power = x if ord == 1 else b.map(x.shape, lambda e, x: e("mul", x, x) if ord == 2 else e("pow", x, ord), x)
    total = b.reduce("add", power, axes, 0, keepdim)
    if ord == 1:
        return total
    return b.map(total.shape, lambda e, s: e("sqrt", s) if ord == 2 else e("pow", s, 1 / ord), total)


RULES: dict[str, Rule] = {
    "sum": _reduction("add", 0),
    "prod": _reduction("mul", 1),
    "amax": _extremum("maximum", 1),
    "amin": _extremum("minimum", -1),
    "max": _extremum("maximum", 1),
    "min": _extremum("minimum", -1),
    "argmax": _arg("maximum", 1),
    "argmin": _arg("minimum", -1),
    "mean": _mean,
    "var": _deviation(False),
    "std": _deviation(True),
    "var_mean": lambda b, x, dim=None, **options: _moments(b, x, x.dtype, dim, **options),
    "any": _any,
    "cumsum": _cumulative("add"),
    "cumprod": _cumulative("mul"),
    "logcumsumexp": _log_cumulative,
    "cummax": _running_extremum("maximum"),
    "cummin": _running_extremum("minimum"),
    "linalg_vector_norm": _vector_norm,
    "mm": _product,
    "bmm": _product,
}
