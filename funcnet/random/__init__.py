"""Random numbers as pure functions of an explicit key: JAX's generator, the partitionable threefry2x32.

A key is an int32 tensor of shape (2,), the bit pattern of two unsigned words; a batch of keys is a tensor of shape
(..., 2), to be mapped over with vmap. Element i of a draw is the counter i encrypted under the key, so the numbers are
those of a JAX program with the same seed, on any device, batched or not, compiled or not: keys, bits, integers and
uniforms bit for bit, the others up to rounding. Nothing here reads or writes torch's global generators.

The same key always gives the same numbers. Using a key twice is a mistake: `split` it first.

A sampler takes a key, the shape of the result (an int or several) and usually its dtype: float32, float64, float16 or
bfloat16. The result is on the key's device. Parameters are numbers or tensors that broadcast to the shape. A value that
is not a key, a batch of keys outside vmap, or an unsuitable dtype or shape raises TypeError or ValueError.

Files, from the ground up:
    arguments       Checks of arguments.
    c_text, native  The generator in C, for draws outside of transformations and traces; otherwise torch operations.
    generator       Keys, and the words of which all numbers are made.
    special, units  Special functions as XLA computes them; numbers in [0, 1) and normal ones.
    loops, compiled Loops that draw again what they reject; compiled ones over the numbers of a draw.
    basic, continuous, integers, gammas, counts, selections, vectors
                    The distributions. A new one is a function there, a name below, a row in tests/random_draws.py with
                    values of JAX in tests/golden/random_samplers.json, and a row in tests/random/test_distributions.py.
"""

from funcnet.random.arguments import Key, Scalar, Shape
from funcnet.random.basic import exponential, gumbel, normal, truncated_normal, uniform
from funcnet.random.continuous import (
    cauchy,
    double_sided_maxwell,
    laplace,
    logistic,
    lognormal,
    maxwell,
    pareto,
    rayleigh,
    triangular,
    wald,
    weibull_min,
)
from funcnet.random.counts import binomial, multinomial, poisson
from funcnet.random.gammas import ball, beta, chisquare, dirichlet, f, gamma, generalized_normal, loggamma, t
from funcnet.random.generator import PRNGKey, bits, clone, fold_in, key, key_data, split, wrap_key_data
from funcnet.random.integers import bernoulli, geometric, rademacher, randint
from funcnet.random.selections import categorical, choice, permutation
from funcnet.random.vectors import multivariate_normal, orthogonal

__all__ = [
    "Key",
    "PRNGKey",
    "Scalar",
    "Shape",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "clone",
    "dirichlet",
    "double_sided_maxwell",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "key_data",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "multinomial",
    "multivariate_normal",
    "normal",
    "orthogonal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "rayleigh",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
    "wrap_key_data",
]


def __dir__() -> list[str]:
    return __all__
