"""A distribution as functions of a value and its parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, floating

Density = Callable[..., Tensor]


def standard(name: str, x: ArrayLike, loc: ArrayLike, scale: ArrayLike, *shapes: ArrayLike) -> tuple[Tensor, ...]:
    """Return (x - loc) / scale, log(scale), and the parameters of shape."""
    x, loc, scale, *rest = floating(name, x, loc, scale, *shapes)
    return (x - loc) / scale, torch.log(scale), *rest


@dataclass(frozen=True)
class Continuous:
    """A distribution with a density: logpdf(x, *shapes, loc=0, scale=1) and so on, as in jax.scipy.stats.

    Args:
        name: Its name, for errors.
        logpdf: The logarithm of the density.
        distribution: The probability of values up to x, if it is known.
        survival: The probability of values above x; by default 1 minus the distribution.
        quantile: The inverse of the distribution, if it is known.
        log_distribution: The logarithm of the distribution, where it is more exact than log(cdf).
        log_survival: The same for the survival.
        upper_quantile: The inverse of the survival, where it is more exact than the quantile of 1 - q.
    """

    name: str
    logpdf: Density
    distribution: Density | None = None
    survival: Density | None = None
    quantile: Density | None = None
    log_distribution: Density | None = None
    log_survival: Density | None = None
    upper_quantile: Density | None = None

    def pdf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The density."""
        return torch.exp(self.logpdf(*args, **kwargs))

    def cdf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The probability of values up to x."""
        return self._known("cdf", self.distribution)(*args, **kwargs)

    def logcdf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The logarithm of cdf."""
        exact = self.log_distribution
        return torch.log(self.cdf(*args, **kwargs)) if exact is None else exact(*args, **kwargs)

    def sf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The probability of values above x."""
        return 1 - self.cdf(*args, **kwargs) if self.survival is None else self.survival(*args, **kwargs)

    def logsf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The logarithm of sf."""
        exact = self.log_survival
        return torch.log(self.sf(*args, **kwargs)) if exact is None else exact(*args, **kwargs)

    def ppf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The value whose cdf is q."""
        return self._known("ppf", self.quantile)(*args, **kwargs)

    def isf(self, q: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The value whose sf is q."""
        exact = self.upper_quantile
        return self.ppf(1 - q, *args, **kwargs) if exact is None else exact(q, *args, **kwargs)

    def _known(self, function: str, f: Density | None) -> Density:
        if f is None:
            raise NotImplementedError(f"{self.name}: expected logpdf or pdf, got {function}, which is not available.")
        return f


@dataclass(frozen=True)
class Discrete:
    """A distribution of integers: logpmf(k, *shapes, loc=0) and so on, as in jax.scipy.stats."""

    name: str
    logpmf: Density
    distribution: Density | None = None
    quantile: Density | None = None
    information: Density | None = None

    def pmf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The probability of k."""
        return torch.exp(self.logpmf(*args, **kwargs))

    def cdf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The probability of values up to k."""
        return self._known("cdf", self.distribution)(*args, **kwargs)

    def ppf(self, *args: Any, **kwargs: Any) -> Tensor:
        """The smallest k whose cdf is at least q."""
        return self._known("ppf", self.quantile)(*args, **kwargs)

    def entropy(self, *args: Any, **kwargs: Any) -> Tensor:
        """The expectation of -logpmf."""
        return self._known("entropy", self.information)(*args, **kwargs)

    def _known(self, function: str, f: Density | None) -> Density:
        if f is None:
            raise NotImplementedError(f"{self.name}: expected logpmf or pmf, got {function}, which is not available.")
        return f
