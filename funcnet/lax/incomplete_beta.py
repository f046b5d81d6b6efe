"""The regularised incomplete beta function."""

from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.control_flow import while_loop
from funcnet.numpy.promotion import ArrayLike, floating
from funcnet.transforms import custom_jvp, jvp

_Fraction = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Tensor:
    """The regularised incomplete beta function I_x(a, b): the beta distribution's probability of values up to x.

    Args:
        a, b: The parameters, positive.
        x: Numbers from 0 to 1.
    Returns:
        Numbers from 0 to 1; NaN for x outside of [0, 1] and for negative parameters. It is differentiable in x, and,
        unlike JAX's, once in a and in b.
    Source:
        Press et al. (2007), Numerical Recipes, section 6.4: the continued fraction, by Lentz's method.
    Example:
        >>> fn.scipy.special.betainc(2.0, 3.0, torch.tensor([0.0, 0.4, 1.0]))
        tensor([0.0000, 0.5248, 1.0000])
    """
    values = torch.broadcast_tensors(*floating("betainc", a, b, x))
    dtype = values[0].dtype
    first, second, place = (value.double() for value in values)  # the logarithms of its factors nearly cancel
    inner = _in_all if _torch.has_derivative(first) or _torch.has_derivative(second) else _in_x
    result: Tensor = inner(first, second, place)
    return result.to(dtype)


def _value(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Use I_x(a, b) = 1 - I_(1 - x)(b, a) where the fraction converges slowly."""
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1) & torch.isfinite(a) & torch.isfinite(b)
    a, b, y = torch.where(inside, a, 1), torch.where(inside, b, 1), torch.where(inside, x, 0.5)
    turned = y > (a + 1) / (a + b + 2)
    p, q, z = torch.where(turned, b, a), torch.where(turned, a, b), torch.where(turned, 1 - y, y)
    part = torch.exp(p * torch.log(z) + q * torch.log1p(-z) - _log_beta(p, q)) / p * _fraction(p, q, z)
    return torch.where(inside, torch.where(turned, 1 - part, part), torch.nan)


def _edges(a: Tensor, b: Tensor, x: Tensor, value: Tensor) -> Tensor:
    """Put in the values at x = 0 and 1, and for an infinite parameter those of the limit."""
    known = (a >= 0) & (b >= 0) & (a + b > 0) & (x >= 0) & (x <= 1)
    low = known & ((x == 0) | ((b == 0) | torch.isinf(a)) & (x < 1))
    high = known & ~low & ((x == 1) | (a == 0) | torch.isinf(b) & torch.isfinite(a))
    return torch.where(low, 0, torch.where(high, 1, value))


def _whole(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return _edges(a, b, x, _value(a, b, x))


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def _fraction(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Evaluate the continued fraction, two of its coefficients per step."""
    eps, tiny = torch.finfo(x.dtype).eps, torch.finfo(x.dtype).tiny

    def appended(coefficient: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        d, c = 1 + coefficient * d, 1 + coefficient / c
        d, c = (torch.where(v.abs() < tiny, tiny, v) for v in (d, c))
        return c, 1 / d

    def step(state: _Fraction) -> _Fraction:
        m, c, d, value, _ = state
        c, d = appended(m * (b - m) * x / ((a - 1 + 2 * m) * (a + 2 * m)), c, d)
        value = value * c * d
        c, d = appended(-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 1 + 2 * m)), c, d)
        return m + 1, c, d, value * c * d, c * d

    def goes_on(state: _Fraction) -> Tensor:
        return ((state[4] - 1).abs() > eps).any() & (state[0] < _LONGEST).all()

    one = torch.ones_like(x)
    start = 1 / (1 - (a + b) * x / (a + 1))
    return while_loop(goes_on, step, (one, one, start, start, one + 1))[3]


_LONGEST = 600  # steps; parameters of n need about sqrt(n)


def _by_x(tangent: Tensor, value: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    inside = (x > 0) & (x < 1)
    y = torch.where(inside, x, 0.5)
    density = torch.exp(torch.xlogy(a - 1, y) + torch.special.xlog1py(b - 1, -y) - _log_beta(a, b))
    ends = torch.xlogy(a - 1, x) + torch.special.xlog1py(b - 1, -x) - _log_beta(a, b)
    return tangent * torch.where(inside, density, torch.exp(ends).detach())


def _by_a(tangent: Tensor, value: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    slope = jvp(lambda a: _value(a, b, x), (a,), (torch.ones_like(a),))[1]
    return tangent * _edges(a, b, x, slope * (value == value)) * ((x > 0) & (x < 1))


def _by_b(tangent: Tensor, value: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return -_by_a(tangent, value, b, a, 1 - x)  # I_x(a, b) = 1 - I_(1 - x)(b, a)


def _only_x(a: Tensor, b: Tensor, primals: Any, tangents: Any) -> tuple[Tensor, Tensor]:
    value: Tensor = _in_x(a, b, *primals)
    return value, _by_x(tangents[0], value, a, b, primals[0])


_in_x = custom_jvp(_whole, nondiff_argnums=(0, 1))
_in_x.defjvp(_only_x)
_in_all = custom_jvp(_whole)
_in_all.defjvps(_by_a, _by_b, _by_x)
