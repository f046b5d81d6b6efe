"""Hypergeometric functions of real numbers: power series, after transformations that make them converge fast."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.control_flow import while_loop
from funcnet.numpy.promotion import ArrayLike, floating
from funcnet.transforms import custom_jvp

_State = tuple[Tensor, ...]
_LONGEST = 50_000  # terms: those of 2F1 for x = 0.999


def hyp1f1(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Tensor:
    """The confluent hypergeometric function 1F1(a; b; x): the sum of (a)_k / (b)_k x^k / k! for k = 0, 1, ...

    Args:
        a, b, x: Real numbers, which broadcast. Reverse-mode derivatives with respect to a and b are of first order.
    Source:
        Pearson, Olver and Porter (2017), Numerical methods for the computation of the confluent and Gauss
        hypergeometric functions, https://doi.org/10.1007/s11075-016-0173-0
    Example:
        >>> fn.scipy.special.hyp1f1(1.0, 1.0, torch.tensor([-1.0, 0.0, 2.0]))  # exp(x)
        tensor([0.3679, 1.0000, 7.3891])
    """
    return _value("hyp1f1", _confluent, (a, b), x)


def hyp2f1(a: ArrayLike, b: ArrayLike, c: ArrayLike, x: ArrayLike) -> Tensor:
    """The hypergeometric function 2F1(a, b; c; x): the sum of (a)_k (b)_k / (c)_k x^k / k! for k = 0, 1, ...

    Args:
        a, b, c: Real numbers, which broadcast. Reverse-mode derivatives with respect to them are of first order.
        x: Real numbers of at most 1. The result is NaN above 1, and where the series is too long: for c - a - b
            within 0.01 of an integer and x between 0.999 and 1, and for b - a likewise and x below -999.
    Source:
        Pearson, Olver and Porter (2017), Numerical methods for the computation of the confluent and Gauss
        hypergeometric functions, https://doi.org/10.1007/s11075-016-0173-0
    Example:
        >>> fn.scipy.special.hyp2f1(1.0, 1.0, 2.0, torch.tensor([-1.0, 0.5]))  # -log(1 - x) / x
        tensor([0.6931, 1.3863])
    """
    return _value("hyp2f1", _gauss, (a, b, c), x)


def _value(name: str, f: Callable[..., Tensor], parameters: Sequence[ArrayLike], x: ArrayLike) -> Tensor:
    """Compute f in float64, with derivatives with respect to parameters only if they are tensors."""
    *values, place = torch.broadcast_tensors(*floating(name, *parameters, x))
    fixed = not any(isinstance(parameter, Tensor) for parameter in parameters)
    total = _sum if fixed else _sum_of_all
    return f(total, *[value.double() for value in values], place.double()).to(place.dtype)


def _terms(x: Tensor, lower: Tensor, *upper: Tensor) -> Tensor:
    """Sum terms of which each is the last one times x / (k + 1) and (a + k) for each a of upper, over (lower + k).

    An element stops when its terms have become small, so that its bits do not depend on the others.
    """
    return _loop(x, lower, upper)[0]


def _loop(x: Tensor, lower: Tensor, upper: Sequence[Tensor], slopes: bool = False) -> tuple[Tensor, Tensor]:
    """Return the sum and, stacked, its derivatives with respect to the numbers of lower and upper."""
    small = torch.finfo(x.dtype).eps / 8
    last = torch.stack([a.abs() for a in (*upper, lower)]).amax(0)  # where terms may grow once more

    def step(state: Any) -> Any:
        k, term, slope, total, of_total, active = state
        factors = torch.stack([lower + k, *[a + k for a in upper]])
        ratio = x / (factors[0] * (k + 1))
        if slopes:
            others = [torch.cat([factors[1:i], factors[i + 1 :]]).prod(0) for i in range(1, len(factors))]
            direct = torch.stack([-factors[1:].prod(0) / factors[0], *others]) * ratio * term
            slope = slope * factors[1:].prod(0) * ratio + direct
            of_total = torch.where(active, of_total + slope, of_total)
        term = term * factors[1:].prod(0) * ratio
        total = torch.where(active, total + term, total)
        moving = (term.abs() > small * total.abs()) | (slope.abs() > small * of_total.abs()).any(0)
        return k + 1, term, slope, total, of_total, active & (moving | ((k < last) & (term != 0)))

    one, none = torch.ones_like(x), torch.zeros((1 + len(upper), *x.shape), dtype=x.dtype, device=x.device)
    start: _State = torch.zeros((), dtype=x.dtype, device=x.device), one, none, one, none, one > 0
    *_, total, of_total, active = while_loop(lambda state: state[-1].any() & (state[0] < _LONGEST), step, start)
    return torch.where(active, torch.nan, total), of_total


def _by_x(x: Tensor, lower: Tensor, *upper: Tensor) -> Tensor:
    """The derivative with respect to x, a sum of the same kind."""
    factor = 1 / lower
    for a in upper:
        factor = factor * a
    return factor * _sum(x, lower + 1, *[a + 1 for a in upper])


def _rule(primals: tuple[Tensor, ...], tangents: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    return _sum(*primals), _by_x(*primals) * tangents[0]


def _rule_of_all(primals: tuple[Tensor, ...], tangents: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    x, lower, *upper = primals
    slopes = _loop(x, lower, upper, slopes=True)[1]
    return _sum_of_all(*primals), _by_x(*primals) * tangents[0] + (slopes * torch.stack(tangents[1:])).sum(0)


_sum, _sum_of_all = custom_jvp(_terms), custom_jvp(_terms)
_sum.defjvp(_rule)
_sum_of_all.defjvp(_rule_of_all)


def _confluent(total_of: Callable[..., Tensor], a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Sum the series of abs(x), by 1F1(a; b; x) = exp(x) 1F1(b - a; b; -x); terms of one sign do not cancel."""
    negative = x < 0
    total = total_of(torch.where(negative, -x, x), b, torch.where(negative, b - a, a))
    return torch.where(negative, torch.exp(torch.where(negative, x, 0)) * total, total)


def _gauss(total_of: Callable[..., Tensor], a: Tensor, b: Tensor, c: Tensor, x: Tensor) -> Tensor:
    """Map x < 0 to x / (x - 1), which is in [0, 1)."""
    negative = x < 0
    place = torch.where(negative, x / (x - 1), x)
    total = _unit(total_of, a, torch.where(negative, c - b, b), c, place)
    value = torch.where(negative, (1 - torch.where(negative, x, 0)) ** -a * total, total)
    divides_by_zero = _is_pole(c) & ~_is_pole(a) & ~_is_pole(b)
    return torch.where(divides_by_zero & (x != 0) & (x <= 1), torch.inf, value)


def _unit(total_of: Callable[..., Tensor], a: Tensor, b: Tensor, c: Tensor, x: Tensor) -> Tensor:
    """2F1 for x in [0, 1]: beyond 0.9 by series in 1 - x, for which c - a - b must not be an integer."""
    d, y = c - a - b, 1 - x
    ends = _is_pole(a) | _is_pole(b)  # a polynomial
    near = (x > 0.9) & (x < 1) & ((d - torch.round(d)).abs() > 0.01) & ~ends
    inside = ends | (x >= 0) & (x < 1) & ~near
    euler = inside & (d < 0) & ~ends  # (1 - x)^d 2F1(c - a, c - b; c; x), whose terms fall faster
    first, second = torch.where(euler, c - a, a), torch.where(euler, c - b, b)
    direct = total_of(torch.where(inside, x, 0), c, first, second)
    direct = torch.where(euler, torch.where(euler, y, 1) ** d * direct, direct)
    s, e = torch.where(near, y, 0), torch.where(near, d, 0.5)
    regular = _gammas([c, e], [c - a, c - b]) * total_of(s, 1 - e, a, b)
    singular = _gammas([c, -e], [a, b]) * total_of(s, 1 + e, c - a, c - b)
    far = regular + torch.where(near, y, 1) ** e * singular
    at_one = torch.where(d > 0, _gammas([c, torch.where(d > 0, d, 1)], [c - a, c - b]), torch.inf)
    value = torch.where(near, far, torch.where(inside, direct, torch.nan))
    return torch.where((x == 1) & ~ends, at_one, value)


def _is_pole(x: Tensor) -> Tensor:
    return (x <= 0) & (x == torch.floor(x))


def _gammas(upper: Sequence[Tensor], lower: Sequence[Tensor]) -> Tensor:
    """Return the product of gamma functions over another; one over gamma is 0 at 0, -1, -2, ..."""
    log, sign = torch.zeros_like(upper[0]), torch.ones_like(upper[0])
    for values, power in ((upper, 1), (lower, -1)):
        for x in values:
            pole = _is_pole(x)
            log = log + power * torch.where(pole, torch.inf, torch.lgamma(torch.where(pole, 1, x)))
            sign = sign * torch.where((x < 0) & (torch.remainder(torch.floor(x), 2) == 1), -1, 1)
    return sign * torch.exp(log)
