"""Distributions: jax.scipy.stats. Each has logpdf and pdf, or logpmf and pmf; many have cdf, sf, ppf and others.

Example:
    >>> fn.scipy.stats.norm.logpdf(0.0), fn.scipy.stats.poisson.pmf(torch.tensor([0, 1]), 1.0)
    (tensor(-0.9189), tensor([0.3679, 0.3679]))
"""

from funcnet.scipy.stats.circular import vonmises, wrapcauchy
from funcnet.scipy.stats.continuous import beta, cauchy, chi2, gamma, gennorm, norm, pareto, t, truncnorm, uniform
from funcnet.scipy.stats.discrete import (
    bernoulli,
    betabinom,
    binom,
    dirichlet,
    geom,
    multinomial,
    multivariate_normal,
    nbinom,
    poisson,
)
from funcnet.scipy.stats.exponential import expon, gumbel_l, gumbel_r, laplace, logistic
from funcnet.scipy.stats.kde import gaussian_kde
from funcnet.scipy.stats.ranks import ModeResult, mode, rankdata, sem

__all__ = [
    "ModeResult", "bernoulli", "beta", "betabinom", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma",
    "gaussian_kde", "gennorm", "geom", "gumbel_l", "gumbel_r", "laplace", "logistic", "mode", "multinomial",
    "multivariate_normal", "nbinom", "norm", "pareto", "poisson", "rankdata", "sem", "t", "truncnorm", "uniform",
    "vonmises", "wrapcauchy",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
