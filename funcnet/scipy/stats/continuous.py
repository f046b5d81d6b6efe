"""Continuous distributions: functions of x, parameters of shape, loc and scale, which broadcast."""

import math

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, floating
from funcnet.scipy.special import betainc, log_ndtr_of, ndtr_of
from funcnet.scipy.stats.distribution import Continuous, standard

__all__ = ["beta", "cauchy", "chi2", "gamma", "gennorm", "norm", "pareto", "t", "truncnorm", "uniform"]


def _norm_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("norm", x, loc, scale)
    return -0.5 * torch.square(z) - log_scale - 0.5 * math.log(2 * math.pi)


def _norm_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return ndtr_of(standard("norm", x, loc, scale)[0])


def _norm_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return ndtr_of(-standard("norm", x, loc, scale)[0])


def _norm_logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return log_ndtr_of(standard("norm", x, loc, scale)[0])


def _norm_logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return log_ndtr_of(-standard("norm", x, loc, scale)[0])


def _norm_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("norm", q, loc, scale)
    return torch.special.ndtri(q) * scale + loc


def _norm_isf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("norm", q, loc, scale)
    return loc - torch.special.ndtri(q) * scale


def _truncnorm_logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, low, high = standard("truncnorm", x, loc, scale, a, b)
    inside = -0.5 * torch.square(z) - log_scale - 0.5 * math.log(2 * math.pi) - _log_mass(low, high)
    return torch.where((z < low) | (z > high), -torch.inf, inside)


def _log_mass(low: Tensor, high: Tensor) -> Tensor:
    """Return log(ndtr(high) - ndtr(low)), from the tail where the difference is exact."""
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)
    above, below = log_ndtr_of(high), log_ndtr_of(low)
    return above + torch.log1p(-torch.exp(below - above))


def _truncnorm_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, low, high = standard("truncnorm", x, loc, scale, a, b)
    return torch.exp(_log_mass(low, torch.clamp(z, low, high)) - _log_mass(low, high))


def _gennorm_logpdf(x: ArrayLike, beta: ArrayLike) -> Tensor:
    z, power = floating("gennorm", x, beta)
    return torch.log(power / 2) - torch.lgamma(1 / power) - z.abs() ** power


def _gennorm_cdf(x: ArrayLike, beta: ArrayLike) -> Tensor:
    z, power = floating("gennorm", x, beta)
    return (1 + z.sign() * torch.special.gammainc(1 / power, z.abs() ** power)) / 2


def _uniform_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("uniform", x, loc, scale)
    return torch.where((z < 0) | (z > 1), -torch.inf, -log_scale)


def _uniform_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.clamp(standard("uniform", x, loc, scale)[0], 0, 1)


def _uniform_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("uniform", q, loc, scale)
    return torch.where((q < 0) | (q > 1), torch.nan, q * scale + loc)


def _cauchy_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("cauchy", x, loc, scale)
    return -torch.log1p(torch.square(z)) - log_scale - math.log(math.pi)


def _cauchy_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z = standard("cauchy", x, loc, scale)[0]
    return torch.atan2(torch.ones_like(z), -z) / math.pi  # exact in the lower tail


def _cauchy_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _cauchy_cdf(-standard("cauchy", x, loc, scale)[0])


def _cauchy_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("cauchy", q, loc, scale)
    return loc - scale / torch.tan(math.pi * q)


def _cauchy_isf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("cauchy", q, loc, scale)
    return loc + scale / torch.tan(math.pi * q)


def _gamma_logpdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, a = standard("gamma", x, loc, scale, a)
    return torch.where(z < 0, -torch.inf, torch.xlogy(a - 1, z) - z - torch.lgamma(a) - log_scale)


def _gamma_cdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a = standard("gamma", x, loc, scale, a)
    return torch.special.gammainc(a, torch.clamp(z, min=0))


def _gamma_sf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a = standard("gamma", x, loc, scale, a)
    return torch.special.gammaincc(a, torch.clamp(z, min=0))


def _chi2_logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _gamma_logpdf(x, df / 2, loc, 2 * scale)


def _chi2_cdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _gamma_cdf(x, df / 2, loc, 2 * scale)


def _chi2_sf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _gamma_sf(x, df / 2, loc, 2 * scale)


def _beta_logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, a, b = standard("beta", x, loc, scale, a, b)
    constant = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b) - log_scale
    inside = torch.xlogy(a - 1, z) + torch.special.xlog1py(b - 1, -z) + constant
    return torch.where((z < 0) | (z > 1), -torch.inf, inside)


def _beta_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a, b = standard("beta", x, loc, scale, a, b)
    return betainc(a, b, torch.clamp(z, 0, 1))


def _beta_sf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, a, b = standard("beta", x, loc, scale, a, b)
    return betainc(b, a, 1 - torch.clamp(z, 0, 1))


def _pareto_logpdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, b = standard("pareto", x, loc, scale, b)
    return torch.where(z < 1, -torch.inf, torch.log(b) - (b + 1) * torch.log(z) - log_scale)


def _pareto_logsf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, b = standard("pareto", x, loc, scale, b)
    return -b * torch.log(torch.clamp(z, min=1))


def _pareto_cdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.expm1(_pareto_logsf(x, b, loc, scale))


def _pareto_sf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.exp(_pareto_logsf(x, b, loc, scale))


def _pareto_ppf(q: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, b, loc, scale = floating("pareto", q, b, loc, scale)
    return torch.where((q < 0) | (q > 1), torch.nan, loc + scale * torch.exp(-torch.log1p(-q) / b))


def _t_logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale, df = standard("t", x, loc, scale, df)
    constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * torch.log(df * math.pi) - log_scale
    return constant - (df + 1) / 2 * torch.log1p(torch.square(z) / df)


def _t_cdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    """Return I_y(df / 2, df / 2) with y = (1 + z / sqrt(df + z^2)) / 2; 1 - y is computed for z >= 0."""
    z, _, df = standard("t", x, loc, scale, df)
    root = torch.sqrt(df + torch.square(z))
    distance = torch.where(z < 0, -z, z)  # its derivative at 0 is 1, unlike that of abs
    tail = df / (root + distance) / (2 * root)  # exact for large distances, and 0 for infinite ones
    return betainc(df / 2, df / 2, torch.where(z < 0, tail, 1 - tail))


def _t_sf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, _, df = standard("t", x, loc, scale, df)
    return _t_cdf(-z, df)


norm = Continuous("norm", _norm_logpdf, _norm_cdf, _norm_sf, _norm_ppf, _norm_logcdf, _norm_logsf, _norm_isf)
truncnorm = Continuous("truncnorm", _truncnorm_logpdf, _truncnorm_cdf)
uniform = Continuous("uniform", _uniform_logpdf, _uniform_cdf, quantile=_uniform_ppf)
cauchy = Continuous("cauchy", _cauchy_logpdf, _cauchy_cdf, _cauchy_sf, _cauchy_ppf, upper_quantile=_cauchy_isf)
gamma = Continuous("gamma", _gamma_logpdf, _gamma_cdf, _gamma_sf)
chi2 = Continuous("chi2", _chi2_logpdf, _chi2_cdf, _chi2_sf)
beta = Continuous("beta", _beta_logpdf, _beta_cdf, _beta_sf)
pareto = Continuous("pareto", _pareto_logpdf, _pareto_cdf, _pareto_sf, _pareto_ppf, log_survival=_pareto_logsf)
t = Continuous("t", _t_logpdf, _t_cdf, _t_sf)
gennorm = Continuous("gennorm", _gennorm_logpdf, _gennorm_cdf)
