"""Distributions of integers, and of vectors."""

import math
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, floating
from funcnet.scipy.special import betainc
from funcnet.scipy.stats.distribution import Continuous, Discrete

__all__ = [
    "bernoulli", "betabinom", "binom", "dirichlet", "geom", "multinomial", "multivariate_normal", "nbinom", "poisson",
]  # fmt: skip


def _supported(value: Tensor, *conditions: Tensor) -> Tensor:
    """Return -infinity where one of the conditions fails."""
    for condition in conditions:
        value = torch.where(condition, value, -torch.inf)
    return value


def _bernoulli_logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, p, loc = floating("bernoulli", k, p, loc)
    x = k - loc
    value = torch.xlogy(x, p) + torch.special.xlog1py(1 - x, -p)
    return _supported(value, (x == 0) | (x == 1))


def _bernoulli_cdf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, p, loc = floating("bernoulli", k, p, loc)
    return torch.where(k - loc < 0, 0.0, torch.where(k - loc < 1, 1 - p, 1.0))


def _bernoulli_ppf(q: ArrayLike, p: ArrayLike) -> Tensor:
    q, p = floating("bernoulli", q, p)
    value = torch.where(q <= 1 - p, 0.0, 1.0).to(q.dtype)
    return torch.where((q >= 0) & (q <= 1) & (p >= 0) & (p <= 1), value, torch.nan)


def _binom_logpmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, n, p, loc = floating("binom", k, n, p, loc)
    x = k - loc
    ways = torch.lgamma(n + 1) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1)
    return _supported(ways + torch.xlogy(x, p) + torch.special.xlog1py(n - x, -p), x >= 0, x <= n)


def _binom_cdf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, n, p, loc = floating("binom", k, n, p, loc)
    x = torch.floor(k - loc)
    inside = (x >= 0) & (x < n)
    within = betainc(torch.where(inside, n - x, 1), torch.where(inside, x + 1, 1), 1 - p)
    return torch.where(inside, within, torch.where(x < 0, 0.0, 1.0))


def _betabinom_logpmf(k: ArrayLike, n: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, n, a, b, loc = floating("betabinom", k, n, a, b, loc)
    x = torch.floor(k - loc)
    ways = -torch.log1p(n) - _beta_log(n - x + 1, x + 1)
    value = _supported(ways + _beta_log(x + a, n - x + b) - _beta_log(a, b), x >= 0, x <= n)
    return torch.where((a > 0) & (b > 0) & (n >= 0), value, torch.nan)


def _beta_log(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def _nbinom_logpmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, n, p, loc = floating("nbinom", k, n, p, loc)
    x = k - loc
    ways = torch.lgamma(x + n) - torch.lgamma(n) - torch.lgamma(x + 1)
    return _supported(ways + n * torch.log(p) + torch.xlogy(x, 1 - p), x >= 0)


def _nbinom_cdf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, n, p, loc = floating("nbinom", k, n, p, loc)
    x = torch.floor(k - loc)
    return torch.where(x < 0, 0.0, betainc(n, torch.clamp(x, min=0) + 1, p))


def _geom_cdf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, p, loc = floating("geom", k, p, loc)
    return -torch.expm1(torch.clamp(torch.floor(k - loc), min=0) * torch.log1p(-p))


def _geom_logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, p, loc = floating("geom", k, p, loc)
    x = k - loc
    return _supported(torch.special.xlog1py(x - 1, -p) + torch.log(p), x > 0)


def _poisson_logpmf(k: ArrayLike, mu: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, mu, loc = floating("poisson", k, mu, loc)
    x = k - loc
    return _supported(torch.xlogy(x, mu) - torch.lgamma(x + 1) - mu, x >= 0, x == torch.floor(x))


def _poisson_cdf(k: ArrayLike, mu: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    k, mu, loc = floating("poisson", k, mu, loc)
    x = torch.floor(k - loc)
    return torch.where(x < 0, 0.0, torch.special.gammaincc(torch.clamp(x, min=0) + 1, mu))


def _poisson_entropy(mu: ArrayLike, loc: ArrayLike = 0) -> Tensor:
    """Sum over the counts that are not negligible, or for means beyond 100 take the asymptotic expansion in 1 / mu."""
    mu = floating("poisson", mu, loc)[0]
    small, inverse = mu <= 100, 1 / torch.clamp(mu, min=1)
    counts = torch.arange(256, dtype=mu.dtype, device=mu.device)
    log = _poisson_logpmf(counts, torch.where(small, mu, 1)[..., None])
    live = log > -300
    log = torch.where(live, log, 0)  # of a term that is 0, as are its derivatives
    total = -(torch.exp(log) * log).sum(-1)
    series = inverse * (1 / 12 + inverse * (1 / 24 + inverse * (19 / 360 + inverse * (9 / 80 + inverse * 863 / 2520))))
    beyond = 0.5 * (1 + math.log(2 * math.pi)) - 0.5 * torch.log(inverse) - series
    return torch.where(mu >= 0, torch.where(small, total, beyond), torch.nan)


def _multinomial_logpmf(x: ArrayLike, n: ArrayLike, p: ArrayLike) -> Tensor:
    x, n, p = floating("multinomial", x, n, p)
    value = torch.lgamma(n + 1) + (torch.xlogy(x, p) - torch.lgamma(x + 1)).sum(-1)
    return _supported(value, x.sum(-1) == n)


def _dirichlet_logpdf(x: ArrayLike, alpha: ArrayLike) -> Tensor:
    """The density at x of shape (k, ...) or, as in scipy, (k - 1, ...), the first axis being that of alpha."""
    x, alpha = floating("dirichlet", x, alpha)
    if x.shape[0] == alpha.shape[0] - 1:
        x = torch.cat([x, 1 - x.sum(0, keepdim=True)])
    if x.shape[0] != alpha.shape[0]:
        shapes = f"{tuple(x.shape)} and {tuple(alpha.shape)}"
        raise ValueError(f"dirichlet: expected the first axis of x to be that of alpha, got shapes {shapes}.")
    constant = torch.lgamma(alpha).sum() - torch.lgamma(alpha.sum())
    value = torch.xlogy(alpha.reshape(-1, *(1,) * (x.ndim - 1)) - 1, x).sum(0) - constant
    return _supported(value, (x >= 0).all(0), torch.abs(x.sum(0) - 1) < 1e-6)


def _multivariate_normal_logpdf(x: ArrayLike, mean: ArrayLike, cov: ArrayLike, allow_singular: Any = None) -> Tensor:
    """The density at x of shape (..., k); cov is a matrix, or a number for a multiple of the identity."""
    if allow_singular:
        raise NotImplementedError("multivariate_normal: expected allow_singular=None, got a true value.")
    x, mean, cov = floating("multivariate_normal", x, mean, cov)
    if mean.ndim == 0:
        return -0.5 * torch.square(x - mean) / cov - 0.5 * (math.log(2 * math.pi) + torch.log(cov))
    k = mean.shape[-1]
    cov = cov * torch.eye(k, dtype=cov.dtype, device=cov.device) if cov.ndim == 0 else cov
    if cov.shape[-2:] != (k, k):
        raise ValueError(f"multivariate_normal: expected cov of shape {(k, k)}, got {tuple(cov.shape)}.")
    factor = torch.linalg.cholesky_ex(cov).L
    z = torch.linalg.solve_triangular(factor, (x - mean)[..., None], upper=False)[..., 0]
    logdet = torch.log(torch.diagonal(factor, 0, -2, -1)).sum(-1)
    return -0.5 * torch.square(z).sum(-1) - 0.5 * k * math.log(2 * math.pi) - logdet


bernoulli = Discrete("bernoulli", _bernoulli_logpmf, _bernoulli_cdf, _bernoulli_ppf)
binom = Discrete("binom", _binom_logpmf, _binom_cdf)
betabinom = Discrete("betabinom", _betabinom_logpmf)
nbinom = Discrete("nbinom", _nbinom_logpmf, _nbinom_cdf)
geom = Discrete("geom", _geom_logpmf, _geom_cdf)
poisson = Discrete("poisson", _poisson_logpmf, _poisson_cdf, information=_poisson_entropy)
multinomial = Discrete("multinomial", _multinomial_logpmf)
dirichlet = Continuous("dirichlet", _dirichlet_logpdf)
multivariate_normal = Continuous("multivariate_normal", _multivariate_normal_logpdf)
