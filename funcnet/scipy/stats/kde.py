"""A density estimated from samples: a sum of normal densities around them."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet import random
from funcnet.numpy import cov as covariance_of
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.random import Key
from funcnet.scipy.special import ndtr_of
from funcnet.tree_util import register_pytree_node_class

__all__ = ["gaussian_kde"]

Bandwidth = str | float | Callable[..., Any] | None


@register_pytree_node_class
class gaussian_kde:  # noqa: N801
    """A density as a weighted sum of normal densities, one around each sample.

    Args:
        dataset: The samples, of shape (d, n); or (n,) for d = 1.
        bw_method: The width: "scott" (the default, neff^(-1 / (d + 4))), "silverman" ((neff (d + 2) / 4)^(-1 / (d +
            4))), a number, or a function of the estimate. Its square scales the covariance of the samples.
        weights: The weight of each sample, of shape (n,); by default they are equal.
    Raises:
        ValueError: There are fewer than two samples, weights has another shape, or bw_method is unknown.
    Source:
        jax.scipy.stats.gaussian_kde; Scott (1992), Multivariate Density Estimation.
    Example:
        >>> kde = fn.scipy.stats.gaussian_kde(torch.tensor([0.0, 1.0, 3.0]))
        >>> kde(torch.tensor([0.5, 2.0]))
        tensor([0.2132, 0.1842])
    """

    dataset: Tensor  # (d, n)
    weights: Tensor  # (n,), their sum is 1
    covariance: Tensor  # (d, d), that of one normal density
    inv_cov: Tensor

    def __init__(self, dataset: ArrayLike, bw_method: Bandwidth = None, weights: ArrayLike | None = None) -> None:
        samples = torch.atleast_2d(inexact(as_tensor("gaussian_kde", dataset)))
        if samples.ndim != 2 or samples.shape[1] < 2:
            raise ValueError(f"gaussian_kde: expected samples of shape (d, n), n > 1, got {tuple(samples.shape)}.")
        self.dataset, count = samples, samples.shape[1]
        given = torch.ones(count, device=samples.device) if weights is None else as_tensor("gaussian_kde", weights)
        if given.shape != (count,):
            raise ValueError(f"gaussian_kde: expected weights of shape ({count},), got {tuple(given.shape)}.")
        self.weights = (given / given.sum()).to(samples.dtype)
        spread = torch.atleast_2d(covariance_of(samples, aweights=self.weights))
        self.covariance = spread * self._factor(bw_method) ** 2
        self.inv_cov = torch.linalg.inv(self.covariance)

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return self.dataset.shape[0]

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.dataset.shape[1]

    @property
    def neff(self) -> Tensor:
        """The effective number of samples, 1 / sum(weights^2)."""
        return 1 / torch.sum(torch.square(self.weights))

    def _factor(self, bw_method: Bandwidth) -> Any:
        if bw_method is None or bw_method == "scott":
            return self.neff ** (-1.0 / (self.d + 4))
        if bw_method == "silverman":
            return (self.neff * (self.d + 2) / 4) ** (-1.0 / (self.d + 4))
        if isinstance(bw_method, str):
            raise ValueError(f"gaussian_kde: expected bw_method to be 'scott' or 'silverman', got {bw_method!r}.")
        return bw_method(self) if callable(bw_method) else bw_method

    def tree_flatten(self) -> tuple[tuple[Tensor, ...], None]:
        """Return the children of the node: an estimate may be an argument of `jit` and `vmap`."""
        return (self.dataset, self.weights, self.covariance, self.inv_cov), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: Any) -> "gaussian_kde":
        """Make an estimate from the children of a node."""
        kde = object.__new__(cls)
        kde.dataset, kde.weights, kde.covariance, kde.inv_cov = children
        return kde

    def logpdf(self, x: ArrayLike) -> Tensor:
        """The logarithm of the density at points of shape (d, m), or (m,) for d = 1, of shape (m,)."""
        points, samples = floating("gaussian_kde", torch.atleast_2d(as_tensor("gaussian_kde", x)), self.dataset)
        if self.d != points.shape[0] and points.shape == (1, self.d):
            points = points.mT
        if self.d != points.shape[0]:
            raise ValueError(f"gaussian_kde: expected points of shape ({self.d}, m), got {tuple(points.shape)}.")
        return self._log_mixture(points[:, None] - samples[:, :, None], self.covariance, self.inv_cov)

    def _log_mixture(self, distances: Tensor, cov: Tensor, precision: Tensor) -> Tensor:
        """Return the logarithm of the weighted sum of normal densities at distances of shape (d, n, m)."""
        energy = torch.einsum("inm,ij,jnm->nm", distances, precision, distances) / 2
        constant = (self.d * math.log(2 * math.pi) + torch.linalg.slogdet(cov).logabsdet) / 2
        return torch.logsumexp(torch.log(self.weights)[:, None] - energy, 0) - constant

    def evaluate(self, points: ArrayLike) -> Tensor:
        """The density at points of shape (d, m), or (m,) for d = 1, of shape (m,)."""
        return torch.exp(self.logpdf(points))

    __call__ = pdf = evaluate

    def integrate_gaussian(self, mean: ArrayLike, cov: ArrayLike) -> Tensor:
        """The integral of the density times a normal density of this mean (d,) and covariance (d, d)."""
        centre, spread = floating("integrate_gaussian", mean, cov)
        total = self.covariance + torch.atleast_2d(spread)
        distances = torch.atleast_1d(centre)[:, None, None] - self.dataset[:, :, None]
        return torch.exp(self._log_mixture(distances, total, torch.linalg.inv(total)))[0]

    def integrate_box_1d(self, low: ArrayLike, high: ArrayLike) -> Tensor:
        """The integral of a density of one dimension from low to high.

        Raises:
            ValueError: The density has several dimensions.
        """
        if self.d != 1:
            raise ValueError(f"integrate_box_1d: expected a density of one dimension, got {self.d}.")
        start, end = floating("integrate_box_1d", low, high)
        below, above = ((x - self.dataset[0]) / torch.sqrt(self.covariance[0, 0]) for x in (start, end))
        return torch.sum(self.weights * (ndtr_of(above) - ndtr_of(below)))

    def integrate_kde(self, other: "gaussian_kde") -> Tensor:
        """The integral of the product of two densities.

        Raises:
            ValueError: They differ in their number of dimensions.
        """
        if self.d != other.d:
            raise ValueError(f"integrate_kde: expected a density of {self.d} dimensions, got {other.d}.")
        total = self.covariance + other.covariance
        distances = self.dataset[:, :, None] - other.dataset[:, None]
        return torch.sum(torch.exp(self._log_mixture(distances, total, torch.linalg.inv(total))) * other.weights)

    def resample(self, key: Key, shape: tuple[int, ...] = ()) -> Tensor:
        """Draw numbers of the density, of shape (d, *shape)."""
        of_samples, of_noise = random.split(key)
        chosen = random.choice(of_samples, self.n, shape, p=self.weights)
        zero = torch.zeros_like(self.dataset[:, 0])
        noise = random.multivariate_normal(of_noise, zero, self.covariance, shape, self.dataset.dtype)
        return self.dataset[:, chosen.long()] + torch.movedim(noise, -1, 0)
