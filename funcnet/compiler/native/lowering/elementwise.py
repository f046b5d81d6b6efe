"""The table of operations: how each ATen operation is made of loops, one line each where it can be.

A formula takes emit and its operands and returns the result at one index. Operands of ELEMENTWISE come in the dtype of
the result, those of PREDICATES in the dtype that they have in common.
"""

import math
from typing import Any

import torch

from funcnet.compiler.native.loop_ir import Const, Index, Operand
from funcnet.compiler.native.lowering.formulas import FORMULAS, Formula
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Number, Splat, Value


def elementwise(formula: Formula) -> Rule:
    """Rule of an operation whose operands are cast to the dtype of its result."""

    def rule(b: Lowering, *args: Value | Number, **options: Any) -> Value:
        dtype = b.op.outputs[0].dtype
        return _mapped(b, lambda e, *xs: e.cast(formula(e, *(e.cast(x, dtype) for x in xs), **options), dtype), args)

    return rule


def with_numbers(formula: Formula) -> Rule:
    """Rule of an operation whose tensors are cast to the dtype of its result, and whose numbers are not."""

    def rule(b: Lowering, *args: Value | Number, **options: Any) -> Value:
        dtype = b.op.outputs[0].dtype

        def cast(e: Emit, *xs: Operand | Number) -> Operand:
            return e.cast(formula(e, *(x if isinstance(x, Number) else e.cast(x, dtype) for x in xs), **options), dtype)

        return _mapped(b, cast, args)

    return rule


def predicate(formula: Formula) -> Rule:
    """Rule of an operation that compares or tests operands of their common dtype."""

    def rule(b: Lowering, *args: Value | Number) -> Value:
        dtype = _common(args)
        return _mapped(b, lambda e, *xs: e.cast(formula(e, *(e.cast(x, dtype) for x in xs)), torch.bool), args)

    return rule


def _mapped(b: Lowering, formula: Formula, args: tuple[Value | Number, ...]) -> Value:
    return b.map(b.op.outputs[0].shape, formula, *args)


def _common(args: tuple[Value | Number, ...]) -> torch.dtype:
    like = [x if isinstance(x, Number) else torch.empty(x.shape, dtype=x.dtype, device="meta") for x in args]
    return torch.result_type(like[0], like[-1])


def _primitive(op: str) -> Formula:
    return lambda e, *xs: e(op, *xs)


def _rounding(op: str) -> Formula:
    return lambda e, x: e(op, x) if x.dtype.is_floating_point else x


def _round(e: Emit, x: Operand, decimals: int = 0) -> Operand:
    """Round to some decimals as ATen does: scaled by a power of ten, and back."""
    if decimals == 0 or not x.dtype.is_floating_point:
        return _rounding("round")(e, x)
    scale, back = ("mul", "div") if decimals > 0 else ("div", "mul")
    power = 10.0 ** abs(decimals)
    return e(back, e("round", e(scale, x, power)), power)


def _scaled(e: Emit, a: Operand, b: Operand, alpha: Number | Const) -> Operand:
    """a + alpha b, rounded once for floats, as ATen's vectors do."""
    if alpha == 1:
        return e("add", a, b)
    return e("fma", b, e.cast(alpha, a.dtype), a) if a.dtype.is_floating_point else e("add", a, e("mul", b, alpha))


def _divide(e: Emit, a: Operand, b: Operand, rounding_mode: str | None = None) -> Operand:
    if rounding_mode is None:
        return e("div", a, b)
    if not a.dtype.is_floating_point:
        return e("floordiv" if rounding_mode == "floor" else "quotient", a, b)
    return e("floordiv", a, b) if rounding_mode == "floor" else e("trunc", e("div", a, b))


def _sign(e: Emit, x: Operand) -> Operand:
    if x.dtype == torch.bool:
        return x
    one, zero = Const(1, x.dtype), Const(0, x.dtype)
    return e("sub", e("where", e("gt", x, 0), one, zero), e("where", e("lt", x, 0), one, zero))


def _at_least(e: Emit, x: Operand, low: Operand) -> Operand:
    """x where it is equal to the bound, or NaN, or the bound is not NaN and below."""
    return e("where", e("lt", x, low), low, x) if isinstance(low, Const) else e("maximum", x, low)


def _at_most(e: Emit, x: Operand, high: Operand) -> Operand:
    return e("where", e("gt", x, high), high, x) if isinstance(high, Const) else e("minimum", x, high)


def _hardtanh(e: Emit, x: Operand, low: Number | Const = -1, high: Number | Const = 1) -> Operand:
    return _at_most(e, _at_least(e, x, e.cast(low, x.dtype)), e.cast(high, x.dtype))


def _elu(
    e: Emit, x: Operand, alpha: Number | Const = 1, scale: Number | Const = 1, rate: Number | Const = 1
) -> Operand:
    """scale x where positive, else scale alpha (exp(rate x) - 1)."""
    below = e("mul", e("expm1", e("mul", x, rate)), e("mul", e.cast(alpha, x.dtype), scale))
    return e("where", e("lt", x, 0), below, e("mul", x, scale))


def _clamp(b: Lowering, x: Value, min: Value | Number | None = None, max: Value | Number | None = None) -> Value:
    dtype, bounds = b.op.outputs[0].dtype, [bound for bound in (min, max) if bound is not None]
    if any(isinstance(bound, float) and math.isnan(bound) for bound in bounds):
        return Splat(Const(math.nan, dtype), b.op.outputs[0].shape)

    def formula(e: Emit, x: Operand, *rest: Operand | Number) -> Operand:
        cast = iter([e.cast(bound, dtype) for bound in rest])
        x = e.cast(x, dtype)
        x = x if min is None else _at_least(e, x, next(cast))
        return x if max is None else _at_most(e, x, next(cast))

    return _mapped(b, formula, (x, *bounds))


def _where(b: Lowering, condition: Value, x: Value, y: Value) -> Value:
    dtype = b.op.outputs[0].dtype
    return _mapped(
        b, lambda e, c, x, y: e("where", e.cast(c, torch.bool), e.cast(x, dtype), e.cast(y, dtype)), (condition, x, y)
    )


def _cast(b: Lowering, x: Value, **_: Any) -> Value:
    """The same values in the dtype of the result."""
    dtype = b.op.outputs[0].dtype
    return x if x.dtype == dtype else _mapped(b, lambda e, x: e.cast(x, dtype), (x,))


def _interpolate(e: Emit, a: Operand, b: Operand, weight: Operand) -> Operand:
    """a + weight (b - a), from the nearer end."""
    difference, far = e("sub", b, a), e("ge", e("abs", weight), 0.5)
    return e("fma", e("where", far, e("sub", weight, 1), weight), difference, e("where", far, b, a))


def _check(b: Lowering, condition: Value, message: str) -> list[Value]:
    b.check(condition, message)
    return []


def _full(b: Lowering, _: Any, value: Number, **__: Any) -> Value:
    return Splat(Const(value, b.op.outputs[0].dtype), b.op.outputs[0].shape)


def _arange(b: Lowering, start: Number, _: Number, step: Number = 1, **__: Any) -> Value:
    dtype = b.op.outputs[0].dtype
    return _mapped(b, lambda e: e("add", e("mul", e.cast(Index(0), dtype), step), start), ())


def _logical(op: str) -> Formula:
    return lambda e, a, b: e(op, e.cast(a, torch.bool), e.cast(b, torch.bool))


_PRIMITIVES = """mul neg exp exp2 expm1 log log2 log10 log1p sqrt sigmoid tanh sin cos tan asin acos atan sinh cosh
asinh acosh atanh erf erfc lgamma abs maximum minimum fmax fmin fmod remainder atan2 hypot copysign nextafter logaddexp
logaddexp2"""

ELEMENTWISE: dict[str, Formula] = {name: _primitive(name) for name in _PRIMITIVES.split()} | {
    **{name: _rounding(name) for name in ("floor", "ceil", "trunc")},
    "round": _round,
    "add": lambda e, a, b, alpha=1: _scaled(e, a, b, alpha),
    "sub": lambda e, a, b, alpha=1: e("sub", a, b) if alpha == 1 else _scaled(e, a, e("neg", b), alpha),
    "div": _divide,
    "reciprocal": lambda e, x: e("div", 1, x),
    "rsqrt": lambda e, x: e("div", 1, e("sqrt", x)),
    "sign": _sign,
    "relu": lambda e, x: _at_least(e, x, Const(0, x.dtype)),
    "leaky_relu": lambda e, x, slope=0.01: e("where", e("gt", x, 0), x, e("mul", x, slope)),
    "hardtanh": _hardtanh,
    "elu": _elu,
    "lerp": _interpolate,
    "addcmul": lambda e, x, a, b, value=1: _scaled(e, x, a if value == 1 else e("mul", a, value), b),
    "bitwise_and": lambda e, a, b: e("and", a, b),
    "bitwise_or": lambda e, a, b: e("or", a, b),
    "bitwise_xor": lambda e, a, b: e("xor", a, b),
    "bitwise_not": lambda e, x: e("not", x),
    "bitwise_left_shift": lambda e, a, b: e("shl", a, b),
    "bitwise_right_shift": lambda e, a, b: e("shr", a, b),
    "__lshift__": lambda e, a, b: e("shl", a, b),
    "__rshift__": lambda e, a, b: e("shr", a, b),
}

PREDICATES: dict[str, Formula] = {name: _primitive(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")} | {
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_xor": _logical("xor"),
    "logical_not": lambda e, x: e("not", e.cast(x, torch.bool)),
    "isnan": lambda e, x: e("ne", x, x),
    "isinf": lambda e, x: e("eq", e("abs", x), math.inf) if x.dtype.is_floating_point else Const(False, torch.bool),
    "signbit": lambda e, x: e("lt", e("copysign", Const(1, x.dtype), x) if x.dtype.is_floating_point else x, 0),
}

RULES: dict[str, Rule] = {
    **{name: elementwise(formula) for name, formula in ELEMENTWISE.items()},
    **{name: with_numbers(formula) for name, formula in FORMULAS.items()},
    **{name: predicate(formula) for name, formula in PREDICATES.items()},
    "_assert_async": _check,
    "full": _full,
    "arange": _arange,
    "clamp": _clamp,
    "where": _where,
    **dict.fromkeys(("_to_copy", "clone", "lift_fresh_copy"), _cast),
}
