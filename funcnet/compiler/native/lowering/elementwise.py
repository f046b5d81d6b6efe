"""Rules of elementwise operations, one line each where possible.

A formula takes emit and its operands and returns the result at one index. Operands in ELEMENTWISE are cast to the dtype
of the result, those in PREDICATES to their common dtype.
"""

import math

import torch

from funcnet.compiler.native.c.primitives import OF_ATEN, PRIMITIVES, Kind
from funcnet.compiler.native.loop_ir import Const, Index, Operand
from funcnet.compiler.native.lowering.formulas import FORMULAS, Formula
from funcnet.compiler.native.lowering.gamma import GAMMA
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Number, Splat, Value


def elementwise(formula: Formula) -> Rule:
    """Return the rule of an operation whose operands are cast to the dtype of its result."""

    def rule(lowering: Lowering, *args: Value | Number, **options: object) -> Value:
        dtype = lowering.op.outputs[0].dtype
        return _mapped(
            lowering,
            lambda emit, *xs: emit.cast(formula(emit, *(emit.cast(x, dtype) for x in xs), **options), dtype),
            args,
        )

    return rule


def with_numbers(formula: Formula) -> Rule:
    """Return the rule of an operation whose tensors are cast to the dtype of its result, and whose numbers are not."""

    def rule(lowering: Lowering, *args: Value | Number, **options: object) -> Value:
        dtype = lowering.op.outputs[0].dtype

        def cast(emit: Emit, *xs: Operand | Number) -> Operand:
            return emit.cast(
                formula(emit, *(x if isinstance(x, Number) else emit.cast(x, dtype) for x in xs), **options), dtype
            )

        return _mapped(lowering, cast, args)

    return rule


def predicate(formula: Formula) -> Rule:
    """Return the rule of an operation that compares or tests operands in their common dtype."""

    def rule(lowering: Lowering, *args: Value | Number) -> Value:
        dtype = _common(args)
        return _mapped(
            lowering, lambda emit, *xs: emit.cast(formula(emit, *(emit.cast(x, dtype) for x in xs)), torch.bool), args
        )

    return rule


def _mapped(lowering: Lowering, formula: Formula, args: tuple[Value | Number, ...]) -> Value:
    return lowering.map(lowering.op.outputs[0].shape, formula, *args)


def _common(args: tuple[Value | Number, ...]) -> torch.dtype:
    like = [x if isinstance(x, Number) else torch.empty(x.shape, dtype=x.dtype, device="meta") for x in args]
    return torch.result_type(like[0], like[-1])


def _primitive(op: str) -> Formula:
    return lambda emit, *xs: emit(op, *xs)


def _rounding(op: str) -> Formula:
    return lambda emit, x: emit(op, x) if x.dtype.is_floating_point else x


def _round(emit: Emit, x: Operand, decimals: int = 0) -> Operand:
    """Round to some decimals as ATen does: scale by a power of ten, round, and scale back."""
    if decimals == 0 or not x.dtype.is_floating_point:
        return _rounding("round")(emit, x)
    scale, back = ("mul", "div") if decimals > 0 else ("div", "mul")
    power = 10.0 ** abs(decimals)
    return emit(back, emit("round", emit(scale, x, power)), power)


def _scaled(emit: Emit, a: Operand, b: Operand, alpha: Number | Const) -> Operand:
    """Return a + alpha b, rounded once for floats, as in ATen's vectorised kernels."""
    if alpha == 1:
        return emit("add", a, b)
    return (
        emit("fma", b, emit.cast(alpha, a.dtype), a)
        if a.dtype.is_floating_point
        else emit("add", a, emit("mul", b, alpha))
    )


def _divide(emit: Emit, a: Operand, b: Operand, rounding_mode: str | None = None) -> Operand:
    if rounding_mode is None:
        return emit("div", a, b)
    if not a.dtype.is_floating_point:
        return emit("floordiv" if rounding_mode == "floor" else "quotient", a, b)
    return emit("floordiv", a, b) if rounding_mode == "floor" else emit("trunc", emit("div", a, b))


def _sign(emit: Emit, x: Operand) -> Operand:
    if x.dtype == torch.bool:
        return x
    one, zero = Const(1, x.dtype), Const(0, x.dtype)
    return emit("sub", emit("where", emit("gt", x, 0), one, zero), emit("where", emit("lt", x, 0), one, zero))


def _at_least(emit: Emit, x: Operand, low: Operand) -> Operand:
    """Return max(x, low); x if they are equal, if x is NaN, or if low is the number NaN."""
    return emit("where", emit("lt", x, low), low, x) if isinstance(low, Const) else emit("maximum", x, low)


def _at_most(emit: Emit, x: Operand, high: Operand) -> Operand:
    return emit("where", emit("gt", x, high), high, x) if isinstance(high, Const) else emit("minimum", x, high)


def _hardtanh(emit: Emit, x: Operand, low: Number | Const = -1, high: Number | Const = 1) -> Operand:
    return _at_most(emit, _at_least(emit, x, emit.cast(low, x.dtype)), emit.cast(high, x.dtype))


def _elu(
    emit: Emit, x: Operand, alpha: Number | Const = 1, scale: Number | Const = 1, rate: Number | Const = 1
) -> Operand:
    """Return scale x for positive x, else scale alpha (exp(rate x) - 1)."""
    below = emit("mul", emit("expm1", emit("mul", x, rate)), emit("mul", emit.cast(alpha, x.dtype), scale))
    return emit("where", emit("lt", x, 0), below, emit("mul", x, scale))


def _clamp(lowering: Lowering, x: Value, min: Value | Number | None = None, max: Value | Number | None = None) -> Value:
    dtype, bounds = lowering.op.outputs[0].dtype, [bound for bound in (min, max) if bound is not None]
    if any(isinstance(bound, float) and math.isnan(bound) for bound in bounds):
        return Splat(Const(math.nan, dtype), lowering.op.outputs[0].shape)

    def formula(emit: Emit, x: Operand, *rest: Operand | Number) -> Operand:
        cast = iter([emit.cast(bound, dtype) for bound in rest])
        x = emit.cast(x, dtype)
        x = x if min is None else _at_least(emit, x, next(cast))
        return x if max is None else _at_most(emit, x, next(cast))

    return _mapped(lowering, formula, (x, *bounds))


def _where(lowering: Lowering, condition: Value, x: Value, y: Value) -> Value:
    dtype = lowering.op.outputs[0].dtype
    return _mapped(
        lowering,
        lambda emit, c, x, y: emit("where", emit.cast(c, torch.bool), emit.cast(x, dtype), emit.cast(y, dtype)),
        (condition, x, y),
    )


def _cast(lowering: Lowering, x: Value, **_: object) -> Value:
    """Convert to the dtype of the result."""
    dtype = lowering.op.outputs[0].dtype
    return x if x.dtype == dtype else _mapped(lowering, lambda emit, x: emit.cast(x, dtype), (x,))


def _interpolate(emit: Emit, a: Operand, b: Operand, weight: Operand) -> Operand:
    """Return a + weight (b - a), computed from the nearer of a and b."""
    difference, far = emit("sub", b, a), emit("ge", emit("abs", weight), 0.5)
    return emit("fma", emit("where", far, emit("sub", weight, 1), weight), difference, emit("where", far, b, a))


def _check(lowering: Lowering, condition: Value, message: str) -> list[Value]:
    lowering.check(condition, message)
    return []


def _full(lowering: Lowering, _: object, value: Number, **__: object) -> Value:
    return Splat(Const(value, lowering.op.outputs[0].dtype), lowering.op.outputs[0].shape)


def _arange(lowering: Lowering, start: Number, _: Number, step: Number = 1, **__: object) -> Value:
    dtype = lowering.op.outputs[0].dtype
    return _mapped(lowering, lambda emit: emit("add", emit("mul", emit.cast(Index(0), dtype), step), start), ())


def _logical(op: str) -> Formula:
    return lambda emit, a, b: emit(op, emit.cast(a, torch.bool), emit.cast(b, torch.bool))


ELEMENTWISE: dict[str, Formula] = {name: _primitive(name) for name in OF_ATEN} | {
    **{name: _rounding(name) for name in ("floor", "ceil", "trunc")},
    "round": _round,
    "add": lambda emit, a, b, alpha=1: _scaled(emit, a, b, alpha),
    "sub": lambda emit, a, b, alpha=1: emit("sub", a, b) if alpha == 1 else _scaled(emit, a, emit("neg", b), alpha),
    "div": _divide,
    "reciprocal": lambda emit, x: emit("div", 1, x),
    "rsqrt": lambda emit, x: emit("div", 1, emit("sqrt", x)),
    "sign": _sign,
    "relu": lambda emit, x: _at_least(emit, x, Const(0, x.dtype)),
    "leaky_relu": lambda emit, x, slope=0.01: emit("where", emit("gt", x, 0), x, emit("mul", x, slope)),
    "hardtanh": _hardtanh,
    "elu": _elu,
    "lerp": _interpolate,
    "addcmul": lambda emit, x, a, b, value=1: _scaled(emit, x, a if value == 1 else emit("mul", a, value), b),
    "bitwise_and": lambda emit, a, b: emit("and", a, b),
    "bitwise_or": lambda emit, a, b: emit("or", a, b),
    "bitwise_xor": lambda emit, a, b: emit("xor", a, b),
    "bitwise_not": lambda emit, x: emit("not", x),
    "bitwise_left_shift": lambda emit, a, b: emit("shl", a, b),
    "bitwise_right_shift": lambda emit, a, b: emit("shr", a, b),
    "__lshift__": lambda emit, a, b: emit("shl", a, b),
    "__rshift__": lambda emit, a, b: emit("shr", a, b),
}

PREDICATES: dict[str, Formula] = {
    name: _primitive(name) for name, row in PRIMITIVES.items() if row.kind is Kind.COMPARISON
} | {
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_xor": _logical("xor"),
    "logical_not": lambda emit, x: emit("not", emit.cast(x, torch.bool)),
    "isnan": lambda emit, x: emit("ne", x, x),
    "isinf": lambda emit, x: (
        emit("eq", emit("abs", x), math.inf) if x.dtype.is_floating_point else Const(False, torch.bool)
    ),
    "signbit": lambda emit, x: emit(
        "lt", emit("copysign", Const(1, x.dtype), x) if x.dtype.is_floating_point else x, 0
    ),
}

RULES: dict[str, Rule] = {
    **{name: elementwise(formula) for name, formula in ELEMENTWISE.items()},
    **{name: with_numbers(formula) for name, formula in (FORMULAS | GAMMA).items()},
    **{name: predicate(formula) for name, formula in PREDICATES.items()},
    "_assert_async": _check,
    "full": _full,
    "arange": _arange,
    "clamp": _clamp,
    "where": _where,
    **dict.fromkeys(("_to_copy", "clone", "lift_fresh_copy"), _cast),
}
