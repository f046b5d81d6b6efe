"""Smooth versions of functions such as argmax, by random perturbations of their arguments.

Source:
    Berthet et al. (2020), Learning with Differentiable Perturbed Optimizers, https://arxiv.org/abs/2002.08676; names
    and options as in optax.perturbations.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.reprs import names_call
from funcnet.transforms import vmap
from funcnet.tree import Tree

__all__ = ["Gumbel", "Noise", "Normal", "make_perturbed_fun"]


class Noise(Protocol):
    """A distribution with density: samples, and log density up to a constant."""

    def sample(self, key: random.Key, sample_shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Draw samples."""

    def log_prob(self, inputs: Tensor) -> Tensor:
        """Return the log density, up to a constant."""


class Normal(NamedTuple):
    """Standard normal noise."""

    def sample(self, key: random.Key, sample_shape: Sequence[int] = (), dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw samples."""
        return random.normal(key, sample_shape, dtype)

    def log_prob(self, inputs: Tensor) -> Tensor:
        """Return the log density, up to a constant."""
        return -0.5 * inputs.square()


class Gumbel(NamedTuple):
    """Gumbel noise, for which the perturbed argmax of scores is their softmax."""

    def sample(self, key: random.Key, sample_shape: Sequence[int] = (), dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw samples."""
        return random.gumbel(key, sample_shape, dtype)

    def log_prob(self, inputs: Tensor) -> Tensor:
        """Return the log density."""
        return -inputs - (-inputs).exp()


GUMBEL = Gumbel()


@names_call
def make_perturbed_fun(
    fun: Callable[[Tree], Tree],
    num_samples: int = 1000,
    sigma: float | Tensor = 0.1,
    noise: Noise = GUMBEL,
    use_baseline: bool = True,
) -> Callable[[random.Key, Tree], Tree]:
    """Make the mean of fun(x + sigma z) over noise z, whose derivatives exist even where those of fun are 0 or do not.

    Value and derivatives of every order are Monte Carlo estimates: the derivative of the density, not of fun, is taken.

    Args:
        fun: A function from a tree of tensors to a tree of tensors.
        num_samples: Samples per call.
        sigma: Scale of the noise.
        noise: A distribution, `Gumbel()` or `Normal()`.
        use_baseline: Whether fun(x) is subtracted from the samples in derivatives, which reduces their variance.
    Returns:
        A function (key, x) of the type of fun.
    Example:
        >>> largest = lambda x: torch.nn.functional.one_hot(x.argmax(-1), 3).float()
        >>> soft = fn.optim.perturbations.make_perturbed_fun(largest, num_samples=10_000, sigma=1.0)
        >>> x = torch.tensor([0.0, 1.0, 2.0])
        >>> bool((soft(fn.random.key(0), x) - x.softmax(-1)).abs().max() < 0.02)
        True
    """

    def estimate(key: random.Key, x: Tree) -> Tree:
        leaves, structure = tree.flatten(x)
        baseline = fun(tree.map(torch.Tensor.detach, x)) if use_baseline else None

        def sampled(key: random.Key) -> Tree:
            keys = random.split(key, len(leaves))
            draws = [noise.sample(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
            shifted = [(leaf + sigma * z).detach() for leaf, z in zip(leaves, draws, strict=True)]
            # z as a function of x at a fixed point x + sigma z: its log density has the derivative of the density
            densities = [noise.log_prob((y - leaf) / sigma).sum() for y, leaf in zip(shifted, leaves, strict=True)]
            log_density = torch.stack(densities).sum()
            weight = (log_density - log_density.detach()).exp()  # 1, with the derivative of log_density
            values = tree.scale(weight, fun(tree.unflatten(structure, shifted)))
            return values if baseline is None else tree.add(values, tree.scale(1 - weight, baseline))

        return tree.map(lambda values: values.mean(0), vmap(sampled)(random.split(key, num_samples)))

    return estimate


def __dir__() -> list[str]:
    return __all__
