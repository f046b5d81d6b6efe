"""Formulas of powers and activations that are accurate where the textbook formulas lose digits.

Their tensors are cast to the dtype of the result; their numbers are Python numbers, with all digits.
"""

import math
from collections.abc import Callable

import torch

from funcnet.compiler.native.loop_ir import Const, Operand
from funcnet.compiler.native.lowering.values import Emit, Number

Formula = Callable[..., Operand]


def _power(emit: Emit, x: Operand | Number, y: Operand | Number) -> Operand:
    """Return x ** y, with ATen's special cases for an exponent that is a number; no number is rounded to float32."""
    base, exponent = _number(x), _number(y)
    if exponent is not None and not isinstance(x, Number) and x.dtype.is_floating_point:
        return _power_of_number(emit, x, exponent)
    if base in (None, 1) or isinstance(y, Number) or y.dtype != torch.float32 or not 0 < base < math.inf:
        return emit("pow", x, y)
    return emit("exponential", y, *_halves(math.log(base), y.dtype))


def _number(x: Operand | Number) -> Number | None:
    return x.value if isinstance(x, Const) else x if isinstance(x, Number) else None


def _power_of_number(emit: Emit, x: Operand, exponent: Number) -> Operand:
    match exponent:
        case 0:
            return Const(1, x.dtype)
        case 0.5:
            return emit("sqrt", x)
        case -0.5:
            return emit("div", 1, emit("sqrt", x))
        case 1:
            return x
        case 2:
            return emit("mul", x, x)
        case 3:
            return emit("mul", emit("mul", x, x), x)
        case -1:
            return emit("div", 1, x)
        case -2:
            return _square(emit, emit("div", 1, x))  # 1 / x² could overflow, or be flushed to zero, too early
    if x.dtype != torch.float32 or not math.isfinite(exponent):
        return emit("pow", x, exponent)
    power = emit("power", emit("abs", x), *_halves(exponent, x.dtype))
    if exponent % 1:
        below = emit("and", emit("lt", x, 0), emit("ne", x, -math.inf))
        return emit("where", below, Const(math.nan, x.dtype), power)
    return emit("copysign", power, x) if exponent % 2 else power


def _square(emit: Emit, x: Operand) -> Operand:
    return emit("mul", x, x)


def _halves(x: Number, dtype: torch.dtype) -> tuple[float, float]:
    """Split a number into its rounding to a dtype and the remainder."""
    high = torch.tensor(float(x), dtype=dtype, device="cpu").item()
    return high, float(x) - high if math.isfinite(high) else 0.0


def _product(emit: Emit, x: Operand, factor: Number) -> tuple[Operand, Operand | Number]:
    """Return the product with a number and its rounding error."""
    if factor == 1:
        return x, 0
    high, rest = _halves(factor, x.dtype)
    product = emit("mul", x, high)
    low = emit("fma", x, Const(rest, x.dtype), emit("product_error", x, Const(high, x.dtype), product))
    return product, emit(
        "where", emit("lt", emit("abs", low), math.inf), low, Const(0, x.dtype)
    )  # an infinite product has no rounding error


def _softplus(emit: Emit, x: Operand, beta: Number = 1, threshold: Number = 20) -> Operand:
    """Return log(1 + exp(beta x)) / beta."""
    product, low = _product(emit, x, beta)
    exp = emit("exp", product)
    below = emit("log1p", exp if low == 0 else emit("fma", exp, low, exp))
    return emit("where", emit("gt", product, threshold), x, below if product is x else emit("div", below, beta))


def _softplus_backward(emit: Emit, grad: Operand, x: Operand, beta: Number, threshold: Number) -> Operand:
    product, low = _product(emit, x, beta)
    slope = emit("gated", Const(1, x.dtype), product, low)
    return emit("where", emit("gt", product, threshold), grad, emit("mul", grad, slope))


def _activation(name: str) -> Formula:
    return lambda emit, x, approximate="none": emit(name + ("_tanh" if approximate == "tanh" else ""), x)


def _gelu_backward(emit: Emit, grad: Operand, x: Operand, approximate: str = "none") -> Operand:
    return emit("mul", grad, _activation("gelu_slope")(emit, x, approximate))


def _logit(emit: Emit, x: Operand, eps: Number | None = None) -> Operand:
    """Return log(x / (1 - x)), with x clamped to [eps, 1 - eps]."""
    if eps is None:
        return emit("logit", x)
    low = float(eps)
    ends = [
        Const(end.item(), x.dtype) for end in torch.tensor([low, 1 - low], dtype=torch.float64, device="cpu").logit()
    ]
    return emit("where", emit("lt", x, low), ends[0], emit("where", emit("gt", x, 1 - low), ends[1], emit("logit", x)))


def _sinc(emit: Emit, x: Operand) -> Operand:
    """Return sin(pi x) / (pi x); pi x is in float64, which keeps its digits."""
    wide = emit("mul", emit.cast(x, torch.float64), math.pi)
    ratio = emit("div", emit("sin", wide), wide)
    return emit("where", emit("eq", x, 0), Const(1, x.dtype), emit.cast(ratio, x.dtype))


FORMULAS: dict[str, Formula] = {
    "pow": _power,
    **{name: _activation(name) for name in ("silu", "gelu", "mish")},
    "gelu_backward": _gelu_backward,
    "softplus": _softplus,
    "softplus_backward": _softplus_backward,
    "logit": _logit,
    "sinc": _sinc,
}
