"""Continuous distributions: functions of x, parameters of shape, loc and scale, which broadcast."""

import math

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, floating
from funcnet.scipy.special import betainc, log_ndtr_of, ndtr_of
from funcnet.scipy.stats.distribution import Continuous

__all__ = [
    "beta", "cauchy", "chi2", "expon", "gamma", "gennorm", "gumbel_l", "gumbel_r", "laplace", "logistic", "norm",
    "pareto", "t", "truncnorm", "uniform",
]  # fmt: skip


def _standard(name: str, x: ArrayLike, loc: ArrayLike, scale: ArrayLike, *shapes: ArrayLike) -> tuple[Tensor, ...]:
    """Return (x - loc) / scale, log(scale), and the parameters of shape."""
    x, loc, scale, *rest = floating(name, x, loc, scale, *shapes)
    return (x - loc) / scale, torch.log(scale), *rest


def _norm_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("norm", x, loc, scale)
    return -0.5 * torch.square(z) - log_scale - 0.5 * math.log(2 * math.pi)


def _norm_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return ndtr_of(_standard("norm", x, loc, scale)[0])


def _norm_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return ndtr_of(-_standard("norm", x, loc, scale)[0])


def _norm_logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return log_ndtr_of(_standard("norm", x, loc, scale)[0])


def _norm_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("norm", q, loc, scale)
    return torch.special.ndtri(q) * scale + loc


def _truncnorm_logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, low, high = _standard("truncnorm", x, loc, scale, a, b)
    inside = -0.5 * torch.square(z) - log_scale - 0.5 * math.log(2 * math.pi) - _log_mass(low, high)
    return torch.where((z < low) | (z > high), -torch.inf, inside)


def _log_mass(low: Tensor, high: Tensor) -> Tensor:
    """Return log(ndtr(high) - ndtr(low)), from the tail where the difference is exact."""
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)
    above, below = log_ndtr_of(high), log_ndtr_of(low)
    return above + torch.log1p(-torch.exp(below - above))


def _truncnorm_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, low, high = _standard("truncnorm", x, loc, scale, a, b)
    return torch.exp(_log_mass(low, torch.clamp(z, low, high)) - _log_mass(low, high))


def _gennorm_logpdf(x: ArrayLike, beta: ArrayLike) -> Tensor:
    z, power = floating("gennorm", x, beta)
    return torch.log(power / 2) - torch.lgamma(1 / power) - z.abs() ** power


def _gennorm_cdf(x: ArrayLike, beta: ArrayLike) -> Tensor:
    z, power = floating("gennorm", x, beta)
    return (1 + z.sign() * torch.special.gammainc(1 / power, z.abs() ** power)) / 2


def _uniform_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("uniform", x, loc, scale)
    return torch.where((z < 0) | (z > 1), -torch.inf, -log_scale)


def _uniform_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.clamp(_standard("uniform", x, loc, scale)[0], 0, 1)


def _uniform_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("uniform", q, loc, scale)
    return torch.where((q < 0) | (q > 1), torch.nan, q * scale + loc)


def _expon_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("expon", x, loc, scale)
    return torch.where(z < 0, -torch.inf, -z - log_scale)


def _expon_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.expm1(-torch.clamp(_standard("expon", x, loc, scale)[0], min=0))


def _expon_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.exp(-torch.clamp(_standard("expon", x, loc, scale)[0], min=0))


def _expon_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("expon", q, loc, scale)
    return torch.where((q < 0) | (q > 1), torch.nan, loc - scale * torch.log1p(-q))


def _laplace_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("laplace", x, loc, scale)
    return -torch.abs(z) - log_scale - math.log(2)


def _laplace_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z = _standard("laplace", x, loc, scale)[0]
    tail = torch.exp(-torch.abs(z)) / 2
    return torch.where(z < 0, tail, 1 - tail)


def _cauchy_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("cauchy", x, loc, scale)
    return -torch.log1p(torch.square(z)) - log_scale - math.log(math.pi)


def _cauchy_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.atan(_standard("cauchy", x, loc, scale)[0]) / math.pi + 0.5


def _cauchy_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("cauchy", q, loc, scale)
    return loc + scale * torch.tan(math.pi * (q - 0.5))


def _logistic_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("logistic", x, loc, scale)
    return -torch.abs(z) - 2 * torch.log1p(torch.exp(-torch.abs(z))) - log_scale


def _logistic_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.sigmoid(_standard("logistic", x, loc, scale)[0])


def _logistic_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.sigmoid(-_standard("logistic", x, loc, scale)[0])


def _logistic_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("logistic", q, loc, scale)
    return loc + scale * torch.logit(q)


def _gumbel_r_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("gumbel_r", x, loc, scale)
    return -z - torch.exp(-z) - log_scale


def _gumbel_r_logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.exp(-_standard("gumbel_r", x, loc, scale)[0])


def _gumbel_r_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.exp(_gumbel_r_logcdf(x, loc, scale))


def _gumbel_r_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("gumbel_r", q, loc, scale)
    return loc - scale * torch.log(-torch.log(q))


def _gumbel_l_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = _standard("gumbel_l", x, loc, scale)
    return z - torch.exp(z) - log_scale


def _gumbel_l_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("gumbel_l", q, loc, scale)
    return loc + scale * torch.log(-torch.log1p(-q))


def _gumbel_l_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.expm1(-torch.exp(_standard("gumbel_l", x, loc, scale)[0]))


def _gamma_logpdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, a = _standard("gamma", x, loc, scale, a)
    return torch.where(z < 0, -torch.inf, torch.xlogy(a - 1, z) - z - torch.lgamma(a) - log_scale)


def _gamma_cdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a = _standard("gamma", x, loc, scale, a)
    return torch.special.gammainc(a, torch.clamp(z, min=0))


def _gamma_sf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a = _standard("gamma", x, loc, scale, a)
    return torch.special.gammaincc(a, torch.clamp(z, min=0))


def _chi2_logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _gamma_logpdf(x, df / 2, loc, 2 * scale)


def _chi2_cdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _gamma_cdf(x, df / 2, loc, 2 * scale)


def _chi2_sf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _gamma_sf(x, df / 2, loc, 2 * scale)


def _beta_logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, a, b = _standard("beta", x, loc, scale, a, b)
    constant = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b) - log_scale
    inside = torch.xlogy(a - 1, z) + torch.special.xlog1py(b - 1, -z) + constant
    return torch.where((z < 0) | (z > 1), -torch.inf, inside)


def _beta_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a, b = _standard("beta", x, loc, scale, a, b)
    return betainc(a, b, torch.clamp(z, 0, 1))


def _beta_sf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a, b = _standard("beta", x, loc, scale, a, b)
    return betainc(b, a, 1 - torch.clamp(z, 0, 1))


def _pareto_logpdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, b = _standard("pareto", x, loc, scale, b)
    return torch.where(z < 1, -torch.inf, torch.log(b) - (b + 1) * torch.log(z) - log_scale)


def _pareto_logsf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, b = _standard("pareto", x, loc, scale, b)
    return -b * torch.log(torch.clamp(z, min=1))


def _pareto_cdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.expm1(_pareto_logsf(x, b, loc, scale))


def _pareto_sf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.exp(_pareto_logsf(x, b, loc, scale))


def _pareto_ppf(q: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, b, loc, scale = floating("pareto", q, b, loc, scale)
    return torch.where((q < 0) | (q > 1), torch.nan, loc + scale * torch.exp(-torch.log1p(-q) / b))


def _t_logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, df = _standard("t", x, loc, scale, df)
    constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * torch.log(df * math.pi) - log_scale
    return constant - (df + 1) / 2 * torch.log1p(torch.square(z) / df)


def _t_cdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    """Return I_y(df / 2, df / 2) with y = (1 + z / sqrt(df + z^2)) / 2, which is computed exactly in the lower tail."""
    z, _, df = _standard("t", x, loc, scale, df)
    root, negative = torch.sqrt(df + torch.square(z)), z < 0
    tail = df / (root - torch.where(negative, z, 0))
    return betainc(df / 2, df / 2, torch.where(negative, tail, root + z) / (2 * root))


def _t_sf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, df = _standard("t", x, loc, scale, df)
    return _t_cdf(-z, df)


norm = Continuous("norm", _norm_logpdf, _norm_cdf, _norm_sf, _norm_ppf, _norm_logcdf)
truncnorm = Continuous("truncnorm", _truncnorm_logpdf, _truncnorm_cdf)
uniform = Continuous("uniform", _uniform_logpdf, _uniform_cdf, quantile=_uniform_ppf)
expon = Continuous("expon", _expon_logpdf, _expon_cdf, _expon_sf, _expon_ppf)
laplace = Continuous("laplace", _laplace_logpdf, _laplace_cdf)
cauchy = Continuous("cauchy", _cauchy_logpdf, _cauchy_cdf, quantile=_cauchy_ppf)
logistic = Continuous("logistic", _logistic_logpdf, _logistic_cdf, _logistic_sf, _logistic_ppf)
gumbel_r = Continuous("gumbel_r", _gumbel_r_logpdf, _gumbel_r_cdf, None, _gumbel_r_ppf, _gumbel_r_logcdf)
gumbel_l = Continuous("gumbel_l", _gumbel_l_logpdf, _gumbel_l_cdf, quantile=_gumbel_l_ppf)
gamma = Continuous("gamma", _gamma_logpdf, _gamma_cdf, _gamma_sf)
chi2 = Continuous("chi2", _chi2_logpdf, _chi2_cdf, _chi2_sf)
beta = Continuous("beta", _beta_logpdf, _beta_cdf, _beta_sf)
pareto = Continuous("pareto", _pareto_logpdf, _pareto_cdf, _pareto_sf, _pareto_ppf)
t = Continuous("t", _t_logpdf, _t_cdf, _t_sf)
gennorm = Continuous("gennorm", _gennorm_logpdf, _gennorm_cdf)
