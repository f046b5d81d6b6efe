"""Special functions: jax.scipy.special, as far as torch has them. Integers count as float32."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet import nn
from funcnet.lax.incomplete_beta import betainc
from funcnet.lax.special import zeta
from funcnet.nn import logsumexp
from funcnet.numpy.axes import Axis
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact, named
from funcnet.scipy.error_integrals import dawsn, fresnel, owens_t, sici, wofz
from funcnet.scipy.exponential_integrals import exp1, expi, expn
from funcnet.scipy.harmonics import bernoulli, bessel_jn, sph_harm_y
from funcnet.scipy.hypergeometric import hyp1f1, hyp2f1
from funcnet.transforms import custom_jvp

__all__ = [
    "bernoulli", "bessel_jn", "beta", "betainc", "betaln", "boxcox", "boxcox1p", "comb", "dawsn", "digamma", "entr",
    "erf", "erfc", "erfcx", "erfinv", "exp1", "expi", "expit", "expn", "factorial", "fresnel", "gamma", "gammainc",
    "gammaincc", "gammaln", "gammasgn", "hyp1f1", "hyp2f1", "i0", "i0e", "i1", "i1e", "kl_div", "log_ndtr",
    "log_softmax", "loggamma", "logit", "logsumexp", "multigammaln", "ndtr", "ndtri", "owens_t", "poch", "polygamma",
    "psi", "rel_entr", "sici", "softmax", "spence", "sph_harm_y", "wofz", "xlog1py", "xlogy", "zeta",
]  # fmt: skip


def _unary(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Callable[[ArrayLike], Tensor]:
    def function(x: ArrayLike) -> Tensor:
        return f(inexact(as_tensor(name, x)))

    return named(function, name, doc)


def _binary(name: str, f: Callable[[Tensor, Tensor], Tensor], doc: str) -> Callable[[ArrayLike, ArrayLike], Tensor]:
    def function(x: ArrayLike, y: ArrayLike) -> Tensor:
        return f(*floating(name, x, y))

    return named(function, name, doc)


def _gamma_sign(x: Tensor) -> Tensor:
    negative = (x < 0) & (torch.remainder(torch.floor(x), 2) == 1)
    sign = torch.where(negative, -1.0, 1.0).to(x.dtype)
    pole = (x < 0) & (x == torch.floor(x))
    return torch.where(
        torch.isnan(x) | pole | torch.isneginf(x), torch.nan, torch.where((x == 0) & torch.signbit(x), -1.0, sign)
    )


def _gamma(x: Tensor) -> Tensor:
    return _gamma_sign(x) * torch.exp(torch.lgamma(x))


def _beta_log(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def _beta(a: Tensor, b: Tensor) -> Tensor:
    return _gamma_sign(a) * _gamma_sign(b) * _gamma_sign(a + b) * torch.exp(_beta_log(a, b))


def _relative_entropy(p: Tensor, q: Tensor) -> Tensor:
    inside, zero = (p > 0) & (q > 0), (p == 0) & (q >= 0)
    term = torch.where(inside, p, 1.0) * (
        torch.log(torch.where(inside, p, 1.0)) - torch.log(torch.where(inside, q, 1.0))
    )
    return torch.where(inside, term, torch.where(zero, 0.0, torch.inf))


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    return _relative_entropy(p, q) - p + q


def _pochhammer(z: Tensor, m: Tensor) -> Tensor:
    return torch.exp(torch.lgamma(z + m) - torch.lgamma(z))


def _box_cox(x: Tensor, power: Tensor) -> Tensor:
    return _over_power(torch.log(x), power)


def _box_cox_1p(x: Tensor, power: Tensor) -> Tensor:
    return _over_power(torch.log1p(x), power)


def _over_power(log: Tensor, power: Tensor) -> Tensor:
    """Return (exp(power log) - 1) / power, and log for a power of 0."""
    none = power == 0
    return torch.where(none, log, torch.expm1(power * log) / torch.where(none, 1, power))


def ndtr_of(x: Tensor) -> Tensor:
    """Return ndtr(x) from erfc, which is exact in the lower tail, where torch.special.ndtr is 0 from -6 or -9 on."""
    return torch.erfc(x * -math.sqrt(0.5)) / 2


def log_ndtr_of(x: Tensor) -> Tensor:
    """Return log(ndtr(x)), in the lower tail from erfcx, which is exact there."""
    tail, z = x < -1, x * math.sqrt(0.5)
    low = torch.log(torch.special.erfcx(torch.where(tail, -z, 1.0)) / 2) - torch.square(z)
    return torch.where(tail, low, torch.log1p(-torch.erfc(torch.where(tail, 0.0, z)) / 2))


@custom_jvp
def _spence(x: Tensor) -> Tensor:
    """Sum the series in u = -log(x) for x from 1/2 to 2, and use spence(x) + spence(1/x) = -log(x)^2 / 2 beyond."""
    above = x > 2
    y = torch.where(above, 1 / x, x)
    low = y < 0.5  # spence(y) + spence(1 - y) = pi^2 / 6 - log(y) log(1 - y)
    log = -torch.log(torch.where(low, 1 - y, y))
    series = log - log * log / 4
    for order, number in enumerate(_BERNOULLI, 1):
        series = series + number / math.factorial(2 * order + 1) * log ** (2 * order + 1)
    value = torch.where(low, math.pi**2 / 6 - torch.xlogy(torch.log1p(-y), y) - series, series)
    return torch.where(above, -torch.square(torch.log(x)) / 2 - value, value)


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _spence_rule(tangent: Tensor, value: Tensor, x: Tensor) -> Tensor:
    u = x - 1
    near = u.abs() < 1e-4
    far = torch.where(near, 1, u)
    return tangent * torch.where(near, -1 + u * (1 / 2 - u * (1 / 3 - u / 4)), -torch.log1p(far) / far)


_spence.defjvps(_spence_rule)
erf = _unary("erf", torch.erf, "The error function.")
erfc = _unary("erfc", torch.erfc, "1 - erf(x), exact for large x.")
erfcx = _unary("erfcx", torch.special.erfcx, "exp(x^2) erfc(x).")
erfinv = _unary("erfinv", torch.erfinv, "The inverse of erf.")
expit = _unary("expit", torch.sigmoid, "1 / (1 + exp(-x)).")
logit = _unary("logit", torch.logit, "log(x / (1 - x)).")
entr = _unary("entr", torch.special.entr, "-x log(x), 0 at 0 and -infinity below.")
gammaln = _unary("gammaln", torch.lgamma, "The logarithm of abs(gamma(x)).")
gammasgn = _unary("gammasgn", _gamma_sign, "The sign of gamma(x).")
loggamma = _unary("loggamma", torch.lgamma, "The logarithm of gamma(x) of real x, as gammaln.")
spence = _unary("spence", _spence, "Spence's function: the integral of log(t) / (1 - t) from 1 to x.")
gamma = _unary("gamma", _gamma, "The gamma function.")
digamma = psi = _unary("digamma", torch.digamma, "The derivative of gammaln.")
ndtr = _unary("ndtr", ndtr_of, "The distribution function of the normal distribution.")
log_ndtr = _unary("log_ndtr", log_ndtr_of, "log(ndtr(x)), exact for small x.")
i0 = _unary("i0", torch.special.i0, "The modified Bessel function of the first kind of order 0.")
i0e = _unary("i0e", torch.special.i0e, "exp(-abs(x)) i0(x).")
i1 = _unary("i1", torch.special.i1, "The modified Bessel function of the first kind of order 1.")
i1e = _unary("i1e", torch.special.i1e, "exp(-abs(x)) i1(x).")
xlogy = _binary("xlogy", torch.xlogy, "x log(y), 0 for x = 0.")
xlog1py = _binary("xlog1py", torch.special.xlog1py, "x log(1 + y), 0 for x = 0.")


def betaln(a: ArrayLike, b: ArrayLike) -> Tensor:
    """The logarithm of the beta function of positive numbers."""
    return _beta_log(*floating("betaln", a, b))


def beta(a: ArrayLike, b: ArrayLike) -> Tensor:
    """gamma(a) gamma(b) / gamma(a + b)."""
    return _beta(*floating("beta", a, b))


def boxcox(x: ArrayLike, lmbda: ArrayLike) -> Tensor:
    """(x^lmbda - 1) / lmbda, and log(x) for the power 0."""
    return _box_cox(*floating("boxcox", x, lmbda))


def boxcox1p(x: ArrayLike, lmbda: ArrayLike) -> Tensor:
    """boxcox of 1 + x, exact for small x."""
    return _box_cox_1p(*floating("boxcox1p", x, lmbda))


def gammainc(a: ArrayLike, x: ArrayLike) -> Tensor:
    """The lower regularised incomplete gamma function."""
    return torch.special.gammainc(*floating("gammainc", a, x))


def gammaincc(a: ArrayLike, x: ArrayLike) -> Tensor:
    """The upper regularised incomplete gamma function."""
    return torch.special.gammaincc(*floating("gammaincc", a, x))


def rel_entr(p: ArrayLike, q: ArrayLike) -> Tensor:
    """p log(p / q), 0 for p = 0."""
    return _relative_entropy(*floating("rel_entr", p, q))


def kl_div(p: ArrayLike, q: ArrayLike) -> Tensor:
    """p log(p / q) - p + q."""
    return _divergence(*floating("kl_div", p, q))


def poch(z: ArrayLike, m: ArrayLike) -> Tensor:
    """gamma(z + m) / gamma(z), for positive z and z + m."""
    return _pochhammer(*floating("poch", z, m))


def ndtri(p: ArrayLike) -> Tensor:
    """The inverse of ndtr."""
    return torch.special.ndtri(inexact(as_tensor("ndtri", p)))


def comb(N: ArrayLike, k: ArrayLike, exact: bool = False, repetition: bool = False) -> Tensor:  # noqa: N803
    """The number of ways to choose k of N things, as floating-point numbers; 0 for k outside of [0, N].

    With repetition, the same thing may be chosen several times, and k may be larger than N.
    """
    if exact:
        raise NotImplementedError("comb: expected exact=False, got exact=True. Use math.comb.")
    n, m = floating("comb", N, k)
    inside = (m >= 0) & (n > 0 if repetition else m <= n) | (n == 0) & (m == 0)
    n = (n + m - 1).clamp(min=0) if repetition else n
    n, m = torch.where(inside, n, 1), torch.where(inside, m, 0)
    ways = torch.exp(torch.lgamma(n + 1) - torch.lgamma(m + 1) - torch.lgamma(n - m + 1))
    return torch.where(inside, ways, 0)


def softmax(x: ArrayLike, axis: Axis = None) -> Tensor:
    """exp(x) / sum(exp(x)) over axes, by default all; `fn.nn.softmax` has the last one as its default."""
    x = as_tensor("softmax", x)
    return nn.softmax(x, tuple(range(x.ndim)) if axis is None else axis)


def log_softmax(x: ArrayLike, axis: Axis = None) -> Tensor:
    """x - log(sum(exp(x))) over axes, by default all; `fn.nn.log_softmax` has the last one as its default."""
    x = as_tensor("log_softmax", x)
    return nn.log_softmax(x, tuple(range(x.ndim)) if axis is None else axis)


def factorial(n: ArrayLike, exact: bool = False) -> Tensor:
    """n!, as floating-point numbers; 0 for negative n."""
    if exact:
        raise NotImplementedError("factorial: expected exact=False, got exact=True. Use math.factorial.")
    x = inexact(as_tensor("factorial", n))
    return torch.where(x < 0, 0.0, torch.exp(torch.lgamma(x + 1)))


def polygamma(n: ArrayLike, x: ArrayLike) -> Tensor:
    """The n-th derivative of digamma, for n >= 0: (-1)^(n+1) n! zeta(n + 1, x)."""
    if isinstance(n, int):
        return _polygamma(n, inexact(as_tensor("polygamma", x)))
    order, point = floating("polygamma", n, x)
    sign = torch.where(torch.remainder(order, 2) == 0, -1.0, 1.0)
    value = sign * torch.exp(torch.lgamma(order + 1)) * torch.special.zeta(order + 1, point)
    return torch.where(order == 0, torch.digamma(point), value)


def _polygamma(n: int, x: Tensor) -> Tensor:
    """Compute positive x by zeta: torch.polygamma(1, x) has an error of 1e-9 in float64, too."""
    if n == 0:
        return torch.digamma(x)
    factor = float((-1) ** (n + 1) * math.factorial(n))

    def value(x: Tensor) -> Tensor:
        by_zeta = factor * torch.special.zeta(torch.full_like(x, n + 1), torch.where(x > 0, x, 1))
        return torch.where(x > 0, by_zeta, torch.polygamma(n, x))

    differentiable = custom_jvp(value)
    differentiable.defjvps(lambda tangent, _, x: tangent * _polygamma(n + 1, x))
    result: Tensor = differentiable(x)
    return result


def multigammaln(a: ArrayLike, d: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension d."""
    x = inexact(as_tensor("multigammaln", a))
    terms: list[Any] = [torch.lgamma(x - i / 2) for i in range(d)]
    return sum(terms) + d * (d - 1) / 4 * math.log(math.pi)


def __dir__() -> list[str]:
    return __all__
