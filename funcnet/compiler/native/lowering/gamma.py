"""Formulas of the derivatives of log gamma: a recurrence to arguments from 10 on, and an asymptotic series there.

They are computed in float64, and negative arguments are reflected.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import torch

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.loop_ir import Operand
from funcnet.compiler.native.lowering.values import Emit

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)  # B(2), B(4), …
_DIGAMMA = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI[:7], 1))
_HIGHEST = 16  # order of polygamma for which the series has enough terms


def _digamma(emit: Emit, x: Operand) -> Operand:
    """Return log(y) - 1 / 2y - Σ B(2k) / (2k y²ᵏ) - Σ 1 / (x + k) for y = x + 10 and k < 10."""
    wide = emit.cast(x, torch.float64)
    is_negative, fraction = emit("lt", wide, 0), emit("sub", wide, emit("round", wide))
    above = emit("where", is_negative, emit("sub", 1, wide), wide)
    # the terms of k and 9 - k are (2 x + 9) / (x (x + 9) + k (9 - k)) together
    square = emit("mul", above, emit("add", above, 9))
    pairs = [emit("div", 1, emit("add", square, k * (9 - k)) if k else square) for k in range(5)]  # keeps -0.0
    shift = emit("mul", emit("add", emit("mul", above, 2), 9), _sum(emit, pairs))
    far = emit("add", above, 10)
    inverse = emit("div", 1, far)
    tail = emit("add", emit("mul", inverse, 0.5), _series(emit, inverse, _DIGAMMA))
    result = emit("sub", emit("sub", emit("log", far), tail), shift)
    result = emit("where", emit("gt", above, 1e17), emit("log", above), result)
    mirror = emit("sub", result, emit("div", math.pi, emit("tan", emit("mul", fraction, math.pi))))
    mirror = emit("where", emit("eq", fraction, 0), math.nan, mirror, dtype=torch.float64)
    return emit.cast(emit("where", is_negative, mirror, result), x.dtype)


def _polygamma(emit: Emit, order: int, x: Operand) -> Operand:
    """Return (-1)ⁿ⁺¹ n! ζ(n + 1, x) for n = order; below 0, -n! ζ(n + 1, 1 - x) less n derivatives of pi cot(pi x)."""
    if order < 2:
        return _trigamma(emit, x) if order else _digamma(emit, x)
    if order > _HIGHEST:
        raise UnsupportedError(f"aten.polygamma of order {order}: the native backend has no rule for it")
    wide = emit.cast(x, torch.float64)
    is_negative, sign = emit("lt", wide, 0), 1 if order % 2 else -1
    scaled = emit(
        "mul", _zeta(emit, order, emit("where", is_negative, emit("sub", 1, wide), wide)), math.factorial(order)
    )
    nearest = emit("round", wide)
    fraction = emit("sub", wide, nearest)
    mirror = emit("sub", _polynomial(emit, _cotangent(emit, fraction), _cotangent_derivative(order)), scaled)
    mirror = emit("where", emit("eq", wide, nearest), sign * math.inf, mirror, dtype=torch.float64)
    result = emit("mul", emit("add", scaled, emit("mul", fraction, 0)), sign)  # NaN at infinity, as in ATen
    return emit.cast(emit("where", is_negative, mirror, result), x.dtype)


def _trigamma(emit: Emit, x: Operand) -> Operand:
    """Return 1 / y + 1 / 2y² + Σ B(2k) / y²ᵏ⁺¹ + Σ 1 / (x + k)² for y = x + 6 and k < 6.

    These are the terms that torch computes; their relative error is up to 5e-10.
    """
    wide = emit.cast(x, torch.float64)
    is_mirrored = emit("lt", wide, 0.5)
    above = emit("where", is_mirrored, emit("sub", 1, wide), wide)
    inverses = [emit("div", 1, emit("add", above, k)) for k in range(6)]
    shift = _sum(emit, [emit("mul", each, each) for each in inverses])
    inverse = emit("div", 1, emit("add", above, 6))
    series = emit("add", emit("add", emit("mul", inverse, 0.5), 1), _series(emit, inverse, _BERNOULLI[:3]))
    result = emit("add", emit("mul", inverse, series), shift)
    ratio = emit("div", math.pi, emit("sin", emit("mul", wide, math.pi)))
    mirror = emit("sub", emit("mul", ratio, ratio), result)
    return emit.cast(emit("where", is_mirrored, mirror, result), x.dtype)


def _zeta(emit: Emit, n: int, x: Operand) -> Operand:
    """Return ζ(n + 1, x) for x >= 0, by the formula of Euler and Maclaurin from y = x + 10 on.

    Σ (x + k)⁻ⁿ⁻¹ + y⁻ⁿ (1 / n + 1 / 2y + Σ B(2j) (n + 1) (n + 2) … (n + 2j - 1) / (2j)! y⁻²ʲ) for k < 10 and all j.
    """
    near = [_power(emit, emit("div", 1, emit("add", x, k)), n + 1) for k in range(10)]
    inverse = emit("div", 1, emit("add", x, 10))
    terms = [b * math.comb(n + 2 * j - 1, 2 * j) / n for j, b in enumerate(_BERNOULLI, 1)]
    series = emit("add", emit("add", emit("mul", inverse, 0.5), 1 / n), _series(emit, inverse, terms))
    return _sum(emit, [emit("mul", _power(emit, inverse, n), series), *reversed(near)])


def _power(emit: Emit, x: Operand, n: int) -> Operand:
    if n == 1:
        return x
    half = _power(emit, x, n // 2)
    square = emit("mul", half, half)
    return emit("mul", square, x) if n % 2 else square


def _cotangent(emit: Emit, x: Operand) -> Operand:
    """Return cot(pi x) for |x| <= 1/2, with all digits near its zero at 1/2."""
    size = emit("abs", x)
    is_far = emit("gt", size, 0.25)
    tangent = emit("tan", emit("mul", emit("where", is_far, emit("sub", 0.5, size), size), math.pi))
    return emit("copysign", emit("where", is_far, tangent, emit("div", 1, tangent)), x)


def _cotangent_derivative(n: int) -> list[float]:
    """Return the coefficients of the n-th derivative of -pi cot(pi x), a polynomial in cot(pi x) of degree n + 1."""
    p = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return [-c * math.pi ** (n + 1) for c in p]


def _polynomial(emit: Emit, x: Operand, coefficients: Sequence[float]) -> Operand:
    """Return Σ c xᵏ for coefficients of which every other one is zero."""
    first = 0 if coefficients[0] else 1
    square, parts = emit("mul", x, x), coefficients[first::2]
    total: Operand = emit("mul", square, parts[-1])
    for c in reversed(parts[1:-1]):
        total = emit("mul", square, emit("add", total, c))
    total = emit("add", total, parts[0])
    return emit("mul", x, total) if first else total


def _series(emit: Emit, inverse: Operand, coefficients: Sequence[float]) -> Operand:
    square = emit("mul", inverse, inverse)
    total: Operand = emit("mul", square, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = emit("mul", square, emit("add", total, coefficient))
    return total


def _sum(emit: Emit, parts: Sequence[Operand]) -> Operand:
    return reduce(lambda a, b: emit("add", a, b), parts)


GAMMA: dict[str, Callable[..., Operand]] = {"digamma": _digamma, "polygamma": _polygamma}
