"""The table of elementwise operations on complex numbers, as formulas of their parts.

Operations that are not in the table are those that a formula would compute less accurately than torch, or as slowly.
"""

import math
from collections.abc import Callable

import torch

from funcnet._torch import Operation
from funcnet.compiler.complex_numbers.parts import Pair, Real

aten = torch.ops.aten

Formula = Callable[..., Pair | Real | None]  # (*pairs, **options) -> a pair or, if the result is real, a real


def _add(x: Pair, y: Pair, alpha: Pair | None = None) -> Pair:
    y = y if alpha is None else _mul(alpha, y)
    return Pair(x.re + y.re, x.im + y.im)


def _sub(x: Pair, y: Pair, alpha: Pair | None = None) -> Pair:
    y = y if alpha is None else _mul(alpha, y)
    return Pair(x.re - y.re, x.im - y.im)


def _mul(x: Pair, y: Pair) -> Pair:
    return Pair(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re)


def _div(x: Pair, y: Pair) -> Pair:
    """Divide by y over its larger part, so that no square overflows; by zero as real numbers are divided.

    The larger part over itself is 1, even if it is infinite: a number divided by infinity is zero.
    """
    if isinstance(y.im.value, float) and y.im.value == 0.0:
        return Pair(x.re / y.re, x.im / y.re)
    scale = _abs(y.re).with_(_abs(y.im), aten.maximum.default)
    c, d = (_sign(part).where(_is_equal(_abs(part), scale), part / scale) for part in y)
    square = c * c + d * d
    re, im = (x.re * c + x.im * d) / square / scale, (x.im * c - x.re * d) / square / scale
    is_zero = _is_equal(scale, scale.number(0.0))
    return Pair((x.re / scale).where(is_zero, re), (x.im / scale).where(is_zero, im))


def _reciprocal(x: Pair) -> Pair:
    return _div(_number(x, 1.0), x)


def _pow(x: Pair, exponent: Pair) -> Pair | None:
    """Multiply, for the exponents for which torch does so; None for others."""
    n = exponent.re.value
    if exponent.im.value != 0.0 or n not in (1.0, 2.0, 3.0, -1.0):
        return None
    return _reciprocal(x) if n == -1.0 else x if n == 1.0 else _mul(x, x) if n == 2.0 else _mul(_mul(x, x), x)


def _exp(x: Pair) -> Pair:
    radius = x.re.apply(aten.exp.default)
    return Pair(radius * x.im.apply(aten.cos.default), _times(radius, x.im.apply(aten.sin.default)))


def _polar(radius: Pair, angle: Pair) -> Pair:
    r, a = radius.re, angle.re
    return Pair(r * a.apply(aten.cos.default), r * a.apply(aten.sin.default))


def _log(x: Pair) -> Pair:
    return Pair(_modulus(x).apply(aten.log.default), _angle(x))


def _sqrt(x: Pair) -> Pair:
    """Compute the larger part by a square root, and the other by a division, without cancellation.

    Source:
        Press et al., Numerical Recipes, sqrt of complex numbers.
    """
    zero = x.re.number(0.0)
    larger = ((_modulus(x) + _abs(x.re)) * x.re.number(0.5)).apply(aten.sqrt.default)
    other = x.im * x.re.number(0.5) / larger
    other = x.im.where(_is_equal(larger, zero), other)
    other = x.im.where(_is_equal(_abs(x.im), x.im.number(math.inf)), other)
    is_right = x.re.with_(zero, aten.ge.Tensor, torch.bool)
    return Pair(larger.where(is_right, _abs(other)), other.where(is_right, larger.with_(x.im, aten.copysign.Tensor)))


def _cosh(x: Pair) -> Pair:
    return Pair(
        x.re.apply(aten.cosh.default) * x.im.apply(aten.cos.default),
        _times(x.re.apply(aten.sinh.default), x.im.apply(aten.sin.default)),
    )


def _sinh(x: Pair) -> Pair:
    return Pair(
        x.re.apply(aten.sinh.default) * x.im.apply(aten.cos.default),
        _times(x.re.apply(aten.cosh.default), x.im.apply(aten.sin.default)),
    )


def _sin(x: Pair) -> Pair:
    im, re = _sinh(Pair(-x.im, x.re))
    return Pair(re, -im)


def _times(x: Real, y: Real) -> Real:
    """Multiply; zero is the product with a y of zero, even if x is infinite."""
    return (_sign(x) * y).where(_is_equal(y, y.number(0.0)), x * y)


def _sign(x: Real) -> Real:
    return x.number(1.0).with_(x, aten.copysign.Tensor)


def _is_equal(x: Real, y: Real) -> Real:
    return x.with_(y, aten.eq.Tensor, torch.bool)


def _abs(x: Real) -> Real:
    return x.apply(aten.abs.default)


def _modulus(x: Pair) -> Real:
    return x.re.with_(x.im, aten.hypot.default)


def _angle(x: Pair) -> Real:
    return x.im.with_(x.re, aten.atan2.default)


def _both(op: Operation, comparison: Operation) -> Callable[[Pair, Pair], Real]:
    def formula(x: Pair, y: Pair) -> Real:
        re, im = (a.with_(b, comparison, torch.bool) for a, b in zip(x, y, strict=True))
        return re.with_(im, op, torch.bool)

    return formula


_EQUAL = _both(aten.logical_and.default, aten.eq.Tensor)
_UNEQUAL = _both(aten.logical_or.default, aten.ne.Tensor)


def _logical(op: Operation) -> Formula:
    return lambda x, y: _UNEQUAL(x, _number(x, 0.0)).with_(_UNEQUAL(y, _number(y, 0.0)), op, torch.bool)


def _number(like: Pair, number: float) -> Pair:
    return Pair(like.re.number(number), like.re.number(0.0))


FORMULAS: dict[Operation, Formula] = {
    **dict.fromkeys((aten.add.Tensor, aten.add.Scalar), _add),
    **dict.fromkeys((aten.sub.Tensor, aten.sub.Scalar), _sub),
    **dict.fromkeys((aten.mul.Tensor, aten.mul.Scalar), _mul),
    **dict.fromkeys((aten.div.Tensor, aten.div.Scalar), _div),
    **dict.fromkeys((aten.eq.Tensor, aten.eq.Scalar), _EQUAL),
    **dict.fromkeys((aten.ne.Tensor, aten.ne.Scalar), _UNEQUAL),
    **dict.fromkeys(
        (aten._conj.default, aten._conj_physical.default, aten.conj_physical.default), lambda x: Pair(x.re, -x.im)
    ),
    aten.neg.default: lambda x: Pair(-x.re, -x.im),
    aten.reciprocal.default: _reciprocal,
    aten.pow.Tensor_Scalar: _pow,
    aten.complex.default: lambda re, im: Pair(re.re, im.re),
    aten.polar.default: _polar,
    aten.abs.default: _modulus,
    aten.angle.default: _angle,
    aten.exp.default: _exp,
    aten.log.default: _log,
    aten.sqrt.default: _sqrt,
    aten.rsqrt.default: lambda x: _reciprocal(_sqrt(x)),
    aten.sin.default: _sin,
    aten.cos.default: lambda x: _cosh(Pair(-x.im, x.re)),
    aten.sinh.default: _sinh,
    aten.cosh.default: _cosh,
    aten.addcmul.default: lambda x, a, b, value=None: _add(x, _mul(a, b), value),
    aten.log2.default: lambda x: _div(_log(x), _number(x, math.log(2))),
    aten.log10.default: lambda x: _div(_log(x), _number(x, math.log(10))),
    aten.logical_and.default: _logical(aten.logical_and.default),
    aten.logical_or.default: _logical(aten.logical_or.default),
    aten.logical_xor.default: _logical(aten.logical_xor.default),
    aten.logical_not.default: lambda x: _EQUAL(x, _number(x, 0.0)),
    aten.isnan.default: lambda x: _UNEQUAL(x, x),
}
