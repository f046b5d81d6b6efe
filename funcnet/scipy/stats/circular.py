"""Distributions of angles: functions of x, parameters of shape, loc and scale, which broadcast."""

import math

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, floating
from funcnet.scipy.stats.distribution import Continuous

__all__ = ["vonmises", "wrapcauchy"]


def _vonmises_logpdf(x: ArrayLike, kappa: ArrayLike) -> Tensor:
    angle, kappa = floating("vonmises", x, kappa)
    # i0e keeps large kappa finite: log(i0(k)) = log(i0e(k)) + k
    inside = kappa * (torch.cos(angle) - 1) - math.log(2 * math.pi) - torch.log(torch.special.i0e(kappa))
    return torch.where(kappa > 0, inside, torch.nan)


def _wrapcauchy_logpdf(x: ArrayLike, c: ArrayLike) -> Tensor:
    angle, c = floating("wrapcauchy", x, c)
    density = torch.log1p(-c * c) - math.log(2 * math.pi) - torch.log1p(c * c - 2 * c * torch.cos(angle))
    density = torch.where((angle >= 0) & (angle <= 2 * math.pi), density, -torch.inf)
    return torch.where((c > 0) & (c < 1), density, torch.nan)


vonmises = Continuous("vonmises", _vonmises_logpdf)
wrapcauchy = Continuous("wrapcauchy", _wrapcauchy_logpdf)
