"""Rules of reductions, matrix products and cumulative operations."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from funcnet.compiler.native.buffers import whole
from funcnet.compiler.native.loop_ir import Const, Cumulate, Index, Operand
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Number, Value
from funcnet.compiler.program import Var

Dims = int | Sequence[int] | None


def _axes(value: Value, dim: Dims) -> tuple[int, ...]:
    rank = len(value.shape)
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(rank))
    return tuple(d % rank for d in ([dim] if isinstance(dim, int) else dim)) if rank else ()


def _as(lowering: Lowering, value: Value, dtype: torch.dtype) -> Value:
    return value if value.dtype == dtype else lowering.map(value.shape, lambda emit, x: emit.cast(x, dtype), value)


def _reduction(op: str, identity: Number) -> Rule:
    def rule(lowering: Lowering, x: Value, dim: Dims = None, keepdim: bool = False, **_: object) -> Value:
        return lowering.reduce(op, _as(lowering, x, lowering.op.outputs[0].dtype), _axes(x, dim), identity, keepdim)

    return rule


def _extremum(op: str, sign: int) -> Rule:
    """Return the rule of max or min over all elements or some axes; max.dim and min.dim also return the index."""

    def rule(lowering: Lowering, x: Value, dim: Dims = None, keepdim: bool = False) -> Value | list[Value]:
        axes = _axes(x, dim)
        best = lowering.reduce(op, x, axes, _bound(x.dtype, -sign), True)
        values = whole(best.buffer, _kept(x, axes, keepdim))
        return values if len(lowering.op.outputs) == 1 else [values, _place(lowering, x, best, axes, keepdim)]

    return rule


def _kept(x: Value, axes: Sequence[int], keepdim: bool) -> tuple[int, ...]:
    """Return the shape of a reduction."""
    sizes = ((1 if axis in axes else size, axis) for axis, size in enumerate(x.shape))
    return tuple(size for size, axis in sizes if keepdim or axis not in axes)


def _bound(dtype: torch.dtype, sign: int) -> Number:
    if dtype == torch.bool:
        return sign > 0
    if dtype.is_floating_point:
        return sign * math.inf
    return torch.iinfo(dtype).max if sign > 0 else torch.iinfo(dtype).min


def first_place(lowering: Lowering, x: Value, op: str, sign: int, dim: Dims, keepdim: bool) -> Value:
    """Return the first index, in row-major order of the reduced axes, of the extremum or of a NaN."""
    axes = _axes(x, dim)
    return _place(lowering, x, lowering.reduce(op, x, axes, _bound(x.dtype, -sign), True), axes, keepdim)


def _place(lowering: Lowering, x: Value, best: Value, axes: Sequence[int], keepdim: bool) -> Value:
    """Return the first index of the extremum."""
    dtype = _of_places(x, axes)
    end = Const(torch.iinfo(dtype).max, dtype)

    def index(emit: Emit, x: Operand, best: Operand) -> Operand:
        place: Operand = Const(0, dtype)
        for axis in axes:
            place = emit("add", emit("mul", place, emit.nest.shape[axis]), emit.cast(Index(axis), dtype))
        hit = emit("eq", x, best)
        if x.dtype.is_floating_point:
            hit = emit("or", hit, emit("ne", x, x))
        return emit("where", hit, place, end, dtype=dtype)

    first = lowering.reduce("minimum", lowering.map(x.shape, index, x, best), axes, end.value, keepdim)
    return _as(lowering, first, torch.int64)


def _of_places(x: Value, axes: Sequence[int]) -> torch.dtype:
    """Return the dtype of the indices along some axes: int32 if it is enough, of which vectors hold more."""
    count = math.prod(x.shape[axis] for axis in axes)
    return torch.int32 if count < torch.iinfo(torch.int32).max else torch.int64


def _arg(op: str, sign: int) -> Rule:
    return lambda lowering, x, dim=None, keepdim=False: first_place(lowering, x, op, sign, dim, keepdim)


def _mean(lowering: Lowering, x: Value, dim: Dims = None, keepdim: bool = False, **_: object) -> Value:
    axes = _axes(x, dim)
    total = lowering.reduce("add", _as(lowering, x, lowering.op.outputs[0].dtype), axes, 0, keepdim)
    count = math.prod(x.shape[axis] for axis in axes)
    return lowering.map(total.shape, lambda emit, s: emit("div", s, count), total)


def _deviation(root: bool) -> Rule:
    """Return the rule of the variance or standard deviation, computed in float64, as in ATen.

    A variance over lanes is computed in the dtype of x, because vectors of float64 hold half as many lanes. A standard
    deviation is not: its squares may leave the range of float32.
    """

    def rule(
        lowering: Lowering, x: Value, dim: Dims = None, *, correction: Number | None = None, keepdim: bool = False
    ) -> Value:
        dtype = x.dtype if lowering.lanes and not root else torch.float64
        variance, _ = _moments(lowering, x, dtype, dim, correction=correction, keepdim=keepdim)
        return lowering.map(
            variance.shape,
            lambda emit, v: emit.cast(emit("sqrt", v) if root else v, lowering.op.outputs[0].dtype),
            variance,
        )

    return rule


def _moments(
    lowering: Lowering,
    x: Value,
    dtype: torch.dtype,
    dim: Dims = None,
    *,
    correction: Number | None = None,
    keepdim: bool = False,
) -> list[Value]:
    """Return (Σ c² - (Σ c)² / n) / (n - correction) with c = x - mean, and the mean.

    The second sum corrects for the rounding of the mean; it is left out if `dtype` has more digits than x.
    """
    axes = _axes(x, dim)
    count = math.prod(x.shape[axis] for axis in axes)
    degrees = max(count - (1 if correction is None else correction), 0)
    total = lowering.reduce("add", _as(lowering, x, dtype), axes, 0, True)
    mean = lowering.map(total.shape, lambda emit, s: emit("div", s, count), total)
    centred = lowering.map(x.shape, lambda emit, x, m: emit("sub", emit.cast(x, dtype), m), x, mean)
    squares = lowering.reduce(
        "add", lowering.map(x.shape, lambda emit, c: emit("mul", c, c), centred), axes, 0, keepdim
    )
    sums: list[Value] = [squares] if dtype != x.dtype else [squares, lowering.reduce("add", centred, axes, 0, keepdim)]

    def variance(emit: Emit, squares: Operand, *rest: Operand) -> Operand:
        for shift in rest:
            exact = emit("maximum", emit("sub", squares, emit("div", emit("mul", shift, shift), count)), 0)
            squares = emit("where", emit("lt", squares, math.inf), exact, squares)
        return emit("div", squares, degrees)

    means = whole(total.buffer, squares.shape)
    return [
        lowering.map(squares.shape, variance, *sums),
        lowering.map(means.shape, lambda emit, s: emit("div", s, count), means),
    ]


def _any(lowering: Lowering, x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    found = lowering.reduce("or", _as(lowering, x, torch.bool), _axes(x, dim), False, keepdim)
    return _as(lowering, found, lowering.op.outputs[0].dtype)


def _cumulative(op: str) -> Rule:
    return lambda lowering, x, dim, **_: _cumulated(lowering, _as(lowering, x, lowering.op.outputs[0].dtype), dim, op)


def _cumulated(lowering: Lowering, x: Value, dim: int, op: str) -> Value:
    source = lowering.view(x)
    if not source.shape:
        return source
    out = lowering.temporary(source.shape, source.dtype, source.varying)
    lowering.scope.add(Cumulate(out, source, dim % len(source.shape), op), out)
    return out


def _log_cumulative(lowering: Lowering, x: Value, dim: int) -> Value:
    """Compute in float64 memory, not in registers: gcc 12 fails on logaddexp of vectors wider than the machine's."""
    wide = _cumulated(lowering, _as(lowering, x, torch.float64), dim, "logaddexp")
    return _as(lowering, wide, lowering.op.outputs[0].dtype)


def _running_extremum(op: str) -> Rule:
    """Return the rule of cummax or cummin, with the last index of the extremum; a NaN remains the extremum."""

    def rule(lowering: Lowering, x: Value, dim: int) -> list[Value]:
        axis = dim % max(len(x.shape), 1)
        dtype = _of_places(x, [axis] if x.shape else [])

        def place(emit: Emit, x: Operand, best: Operand) -> Operand:
            index = emit.cast(Index(axis), dtype) if emit.nest.shape else Const(0, dtype)
            hit = emit("or", emit("eq", x, best), emit("ne", x, x))
            return emit("where", hit, index, Const(0, dtype), dtype=dtype)

        best = _cumulated(lowering, x, axis, op)
        last = _cumulated(lowering, lowering.map(x.shape, place, x, best), axis, "maximum")
        return [best, _as(lowering, last, torch.int64)]

    return rule


def _product(lowering: Lowering, left: Value, right: Value) -> Value:
    """Multiply matrices; short integers as int32, whose low bits are those of the result."""
    dtype, op = left.dtype, lowering.op
    if dtype.is_floating_point or dtype.itemsize >= 4:
        return lowering.contract(left, right)
    lowering.op = replace(op, outputs=tuple(Var(var.shape, torch.int32, var.device) for var in op.outputs))
    return _as(lowering, lowering.contract(_as(lowering, left, torch.int32), _as(lowering, right, torch.int32)), dtype)


def _vector_norm(
    lowering: Lowering, x: Value, ord: Number = 2, dim: Dims = None, keepdim: bool = False, **_: object
) -> Value:
    axes = _axes(x, dim)
    x = lowering.map(x.shape, lambda emit, x: emit("abs", x), _as(lowering, x, lowering.op.outputs[0].dtype))
    if math.isinf(ord):
        return lowering.reduce("maximum" if ord > 0 else "minimum", x, axes, 0 if ord > 0 else math.inf, keepdim)
    if ord == 0:
        return lowering.reduce(
            "add", lowering.map(x.shape, lambda emit, x: emit.cast(emit("ne", x, 0), x.dtype), x), axes, 0, keepdim
        )
    power = (
        x
        if ord == 1
        else lowering.map(x.shape, lambda emit, x: emit("mul", x, x) if ord == 2 else emit("pow", x, ord), x)
    )
    total = lowering.reduce("add", power, axes, 0, keepdim)
    if ord == 1:
        return total
    return lowering.map(total.shape, lambda emit, s: emit("sqrt", s) if ord == 2 else emit("pow", s, 1 / ord), total)


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
    "var_mean": lambda lowering, x, dim=None, **options: _moments(lowering, x, x.dtype, dim, **options),
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
