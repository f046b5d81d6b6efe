"""Continuous distributions with exponential tails: functions of x, loc and scale, which broadcast."""

import math

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, floating
from funcnet.scipy.stats.distribution import Continuous, standard

__all__ = ["expon", "gumbel_l", "gumbel_r", "laplace", "logistic"]


def _expon_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("expon", x, loc, scale)
    return torch.where(z < 0, -torch.inf, -z - log_scale)


def _expon_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.expm1(-torch.clamp(standard("expon", x, loc, scale)[0], min=0))


def _expon_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.exp(-torch.clamp(standard("expon", x, loc, scale)[0], min=0))


def _expon_logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.clamp(standard("expon", x, loc, scale)[0], min=0)


def _expon_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("expon", q, loc, scale)
    return torch.where((q < 0) | (q > 1), torch.nan, loc - scale * torch.log1p(-q))


def _laplace_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("laplace", x, loc, scale)
    return -torch.abs(z) - log_scale - math.log(2)


def _laplace_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z = standard("laplace", x, loc, scale)[0]
    tail = torch.exp(-torch.abs(z)) / 2
    return torch.where(z < 0, tail, 1 - tail)


def _laplace_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return _laplace_cdf(-standard("laplace", x, loc, scale)[0])


def _logistic_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("logistic", x, loc, scale)
    return -torch.abs(z) - 2 * torch.log1p(torch.exp(-torch.abs(z))) - log_scale


def _logistic_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.sigmoid(standard("logistic", x, loc, scale)[0])


def _logistic_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.sigmoid(-standard("logistic", x, loc, scale)[0])


def _logistic_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("logistic", q, loc, scale)
    return loc + scale * torch.logit(q)


def _logistic_isf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("logistic", q, loc, scale)
    return loc - scale * torch.logit(q)


def _gumbel_r_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("gumbel_r", x, loc, scale)
    return -z - torch.exp(-z) - log_scale


def _gumbel_r_logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.exp(-standard("gumbel_r", x, loc, scale)[0])


def _gumbel_r_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.exp(_gumbel_r_logcdf(x, loc, scale))


def _gumbel_r_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.expm1(_gumbel_r_logcdf(x, loc, scale))


def _gumbel_r_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("gumbel_r", q, loc, scale)
    return loc - scale * torch.log(-torch.log(q))


def _gumbel_l_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    z, log_scale = standard("gumbel_l", x, loc, scale)
    return z - torch.exp(z) - log_scale


def _gumbel_l_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    q, loc, scale = floating("gumbel_l", q, loc, scale)
    return loc + scale * torch.log(-torch.log1p(-q))


def _gumbel_l_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.expm1(-torch.exp(standard("gumbel_l", x, loc, scale)[0]))


def _gumbel_l_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return torch.exp(_gumbel_l_logsf(x, loc, scale))


def _gumbel_l_logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Tensor:
    return -torch.exp(standard("gumbel_l", x, loc, scale)[0])


expon = Continuous("expon", _expon_logpdf, _expon_cdf, _expon_sf, _expon_ppf, log_survival=_expon_logsf)
laplace = Continuous("laplace", _laplace_logpdf, _laplace_cdf, _laplace_sf)
logistic = Continuous(
    "logistic", _logistic_logpdf, _logistic_cdf, _logistic_sf, _logistic_ppf, upper_quantile=_logistic_isf
)
gumbel_r = Continuous("gumbel_r", _gumbel_r_logpdf, _gumbel_r_cdf, _gumbel_r_sf, _gumbel_r_ppf, _gumbel_r_logcdf)
gumbel_l = Continuous(
    "gumbel_l", _gumbel_l_logpdf, _gumbel_l_cdf, _gumbel_l_sf, _gumbel_l_ppf, log_survival=_gumbel_l_logsf
)
