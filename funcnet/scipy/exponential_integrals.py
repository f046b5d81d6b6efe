"""Exponential integrals.

Source:
    Press et al. (2007), Numerical Recipes, section 6.3: power series for small x; for large x, a continued fraction by
    Lentz's method and an asymptotic series.
"""

from typing import Any

import torch
from torch import Tensor

from funcnet.control_flow import while_loop
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.transforms import custom_jvp

_State = tuple[Tensor, ...]
_EULER, _LONGEST = 0.5772156649015329, 500


def exp1(x: ArrayLike) -> Tensor:
    """The exponential integral E1(x) of x >= 0: the integral of exp(-t) / t from x to infinity.

    Example:
        >>> fn.scipy.special.exp1(torch.tensor([0.5, 2.0]))
        tensor([0.5598, 0.0489])
    """
    return expn(1, x)


def expn(n: ArrayLike, x: ArrayLike) -> Tensor:
    """The exponential integral E_n(x) of x >= 0: the integral of exp(-x t) / t^n from 1 to infinity.

    Args:
        n: Integers of at least 0. The result is not differentiable in them.
        x: Numbers; the result is NaN for negative ones.
    Example:
        >>> fn.scipy.special.expn(torch.tensor([0, 1, 2]), 0.5)
        tensor([1.2131, 0.5598, 0.3266])
    """
    order, place = torch.broadcast_tensors(*floating("expn", n, x))
    result: Tensor = _expn(*_wide(order.detach(), place))
    return result.to(place.dtype)


def expi(x: ArrayLike) -> Tensor:
    """The exponential integral Ei(x), the principal value of the integral of exp(t) / t from -infinity to x.

    Example:
        >>> fn.scipy.special.expi(torch.tensor([-1.0, 0.5, 2.0]))
        tensor([-0.2194,  0.4542,  4.9542])
    """
    place = inexact(as_tensor("expi", x))
    result: Tensor = _expi(*_wide(place))
    return result.to(place.dtype)


def _wide(*values: Tensor) -> list[Tensor]:
    return [x.float() if x.dtype.itemsize < 4 else x for x in values]


def _expn_value(n: Tensor, x: Tensor) -> Tensor:
    small, large = (x > 0) & (x <= 1) & (n > 0), (x > 1) & torch.isfinite(x) & (n > 0)
    value = torch.where(small, _series(n.clamp(min=1), torch.where(small, x, 1)), torch.nan)
    fraction = _fraction(n.clamp(min=1), torch.where(large, x, 2))
    value = torch.where(large, fraction * torch.exp(-x), value)
    value = torch.where(torch.isposinf(x), 0, value)
    at_zero = torch.where(n > 1, 1 / (n - 1), torch.inf)
    value = torch.where(n == 0, torch.exp(-x) / x, torch.where(x == 0, at_zero, value))
    return torch.where((n < 0) | (x < 0), torch.nan, value)


def _series(n: Tensor, x: Tensor) -> Tensor:
    """Sum (-x)^i / ((n - 1 - i) i!), with a logarithm in place of the term of i = n - 1."""
    log = -torch.log(x) + torch.digamma(n)

    def term(i: Tensor, power: Tensor) -> Tensor:
        special = i == n - 1
        return power * torch.where(special, log, 1 / torch.where(special, 1, n - 1 - i))

    def step(state: _State) -> _State:
        i, power, total, _ = state
        power = -power * x / i
        added = term(i, power)
        return i + 1, power, total + added, added

    one = torch.ones_like(x)
    return _repeated(step, (one, one, term(0 * one, one), one))[2]


def _fraction(n: Tensor, x: Tensor) -> Tensor:
    """Evaluate the continued fraction of exp(x) E_n(x)."""

    def step(state: _State) -> _State:
        i, c, d, value, _ = state
        a, b = -i * (n - 1 + i), x + n + 2 * i
        c, d = b + a / c, 1 / (a * d + b)
        return i + 1, c, d, value * c * d, value * (c * d - 1)

    one, d = torch.ones_like(x), 1 / (x + n)
    return _repeated(step, (one, one / torch.finfo(x.dtype).tiny, d, d, one))[3]


def _repeated(step: Any, state: _State) -> _State:
    """Repeat a step until the last number of the state, the change, is small next to the one before or to the total."""
    eps = torch.finfo(state[0].dtype).eps

    def goes_on(state: _State) -> Tensor:
        *_, value, change = state
        return (change.abs() > eps * value.abs()).any() & (state[0] < _LONGEST).all()

    return while_loop(goes_on, step, state)


def _expi_value(x: Tensor) -> Tensor:
    few = -torch.log(torch.tensor(torch.finfo(x.dtype).eps)).item()  # where the asymptotic series is exact
    small, large = (x > 0) & (x <= few), (x > few) & torch.isfinite(x)
    near, far = torch.where(small, x, 1), torch.where(large, x, 2 * few)
    value = torch.where(
        small, torch.log(near) + _EULER + _power_series(near), _expn_value(torch.ones_like(x), -x).neg()
    )
    value = torch.where(large, torch.exp(far / 2) / far * _asymptotic_series(far) * torch.exp(far / 2), value)
    return torch.where(torch.isposinf(x), torch.inf, value)


def _power_series(x: Tensor) -> Tensor:
    """Sum x^k / (k k!) from k = 1."""

    def step(state: _State) -> _State:
        k, power, total, _ = state
        power = power * x / k
        return k + 1, power, total + power / k, power / k

    one = torch.ones_like(x)
    return _repeated(step, (one, one, 0 * one, one))[2]


def _asymptotic_series(x: Tensor) -> Tensor:
    """Sum k! / x^k from k = 0, for x so large that the terms fall below the precision before they grow."""

    def step(state: _State) -> _State:
        k, total, term = state
        term = torch.where(term.abs() > torch.finfo(x.dtype).eps, term * k / x, 0)
        return k + 1, total + term, term

    one = torch.ones_like(x)
    return _repeated(step, (one, one, one))[1]


def _expn_rule(n: Tensor, primals: Any, tangents: Any) -> tuple[Tensor, Tensor]:
    (x,), (tangent,) = primals, tangents
    none = n == 0
    y = torch.where(none, x, 1)
    slope = torch.where(none, torch.exp(-y) * (1 / y + 1 / (y * y)), _expn((n - 1).clamp(min=0), x))
    return _expn(n, x), -tangent * slope


def _expi_rule(tangent: Tensor, value: Tensor, x: Tensor) -> Tensor:
    return tangent * torch.exp(x) / x


_expn = custom_jvp(_expn_value, nondiff_argnums=(0,))
_expn.defjvp(_expn_rule)
_expi = custom_jvp(_expi_value)
_expi.defjvps(_expi_rule)
