"""Every function of a random key, with non-default options, and the generator in Python integers."""

import torch

from funcnet import random

LOGITS = torch.tensor([[0.1, 2.0, -1.0], [1.0, 0.0, 0.5]], dtype=torch.float64)
MATRIX = torch.arange(12.0).reshape(3, 4)
LOW, HIGH, P = torch.tensor([[-1.0], [0.5]]), torch.arange(1.0, 5.0), torch.tensor([0.2, 0.9])
f16, b16, f32, f64 = torch.float16, torch.bfloat16, torch.float32, torch.float64

# Every function of a key, with non-default options; all laws below apply to them.
DRAWS = {
    "split": lambda key: random.split(key, (2, 3)),
    "fold_in": lambda key: random.fold_in(key, -3),
    "key_data": lambda key: random.key_data(key).view(torch.int32),
    "bits": lambda key: random.bits(key, (3, 2)).view(torch.int32),
    "bits64": lambda key: random.bits(key, 5, torch.uint64).view(torch.int64),
    "bits8": lambda key: random.bits(key, (), torch.uint8),
    "uniform": lambda key: random.uniform(key, (2, 3)),
    "uniform64": lambda key: random.uniform(key, (4,), f64, -2.0, HIGH),
    "uniform16": lambda key: random.uniform(key, (4,), f16, 0.1, 0.7),
    "normal": lambda key: random.normal(key, (7,)),
    "normal64": lambda key: random.normal(key, (7, 1), f64),
    "normal, bfloat16": lambda key: random.normal(key, (7,), b16),
    "truncated_normal": lambda key: random.truncated_normal(key, LOW, 2.0, (2, 5)),
    "bernoulli": lambda key: random.bernoulli(key, P, (3, 2)),
    "exponential": lambda key: random.exponential(key, (5,)),
    "gumbel": lambda key: random.gumbel(key, (5,)),
    "categorical": lambda key: random.categorical(key, LOGITS, 0, (4, 3)),
    "randint": lambda key: random.randint(key, (6,), -5, 1000),
    "randint64": lambda key: random.randint(key, (6,), -5, 2**40, torch.int64),
    "permutation": lambda key: random.permutation(key, 9),
    "permutation of slices": lambda key: random.permutation(key, MATRIX, -1),
    "permutation of lines": lambda key: random.permutation(key, MATRIX, 1, independent=True),
}


def threefry(key, counter):
    """Compute Threefry-2x32-20 of a 64-bit counter, from the paper, in Python integers."""
    mask = 2**32 - 1
    k = [word % 2**32 for word in key]
    k.append(k[0] ^ k[1] ^ 0x1BD11BDA)
    x, y = (counter >> 32) + k[0] & mask, counter + k[1] & mask
    for i, distance in enumerate([13, 15, 26, 6, 17, 29, 16, 24] * 2 + [13, 15, 26, 6], start=1):
        x = x + y & mask
        y = (y << distance & mask | y >> 32 - distance) ^ x
        if i % 4 == 0:
            s = i // 4
            x, y = x + k[s % 3] & mask, y + k[(s + 1) % 3] + s & mask
    return x, y


def vector(*numbers):
    return lambda dtype: torch.tensor(numbers, dtype=dtype)


TAIL, SOME, PROBABILITIES = vector(3.0, 4.0, 4.5), vector(0.5, 2.0, 7.0), vector(0.1, 0.2, 0.3, 0.4)


def matrix(dtype):
    return torch.arange(12.0, dtype=dtype).reshape(3, 4)


def logits(dtype):
    return torch.tensor([[0.1, 2.0, -1.0, 0.3], [1.0, 0.0, 0.5, 0.2]], dtype=dtype)


def covariance(dtype):
    return torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]], dtype=dtype)


def multivariate(key, d, method):
    return random.multivariate_normal(key, vector(1.0, 2.0, 3.0)(d), covariance(d), (4,), method=method)


# name: f(key, dtype)
SAMPLERS = {
    "laplace": lambda key, d: random.laplace(key, (6,), d),
    "logistic": lambda key, d: random.logistic(key, (6,), d),
    "cauchy": lambda key, d: random.cauchy(key, (6,), d),
    "pareto": lambda key, d: random.pareto(key, SOME(d), (2, 3), d),
    "rayleigh": lambda key, d: random.rayleigh(key, SOME(d), (2, 3), d),
    "weibull_min": lambda key, d: random.weibull_min(key, SOME(d), 1.5, (2, 3), d),
    "triangular": lambda key, d: random.triangular(
        key, vector(-1.0, 0.0, 1.0)(d), 1.0, vector(2.0, 3.0, 1.5)(d), (4, 3), d
    ),
    "lognormal": lambda key, d: random.lognormal(key, vector(0.5, 2.0, 0.1)(d), (2, 3), d),
    "maxwell": lambda key, d: random.maxwell(key, (5,), d),
    "double_sided_maxwell": lambda key, d: random.double_sided_maxwell(key, vector(1.0, 2.0)(d), 0.5, (3,), d),
    "double_sided_maxwell without a shape": lambda key, d: random.double_sided_maxwell(
        key, vector(1.0, 2.0)(d), 0.5, (), d
    ),
    "wald": lambda key, d: random.wald(key, vector(0.1, 1.0, 5.0)(d), (4, 3), d),
    "rademacher": lambda key, d: random.rademacher(key, (9,)),
    "rademacher, int64": lambda key, d: random.rademacher(key, (9,), torch.int64),
    "geometric": lambda key, d: random.geometric(key, vector(0.01, 0.3, 0.9)(d), (4, 3)),
    "exponential": lambda key, d: random.exponential(key, (6,), d),
    "gumbel": lambda key, d: random.gumbel(key, (6,), d),
    "truncated_normal in the upper tail": lambda key, d: random.truncated_normal(
        key, TAIL(d), vector(4.0, 5.0, 9.0)(d), (3, 3), d
    ),
    "truncated_normal in the lower tail": lambda key, d: random.truncated_normal(key, -5.0, -3.0, (6,), d),
    "uniform on a huge range": lambda key, d: random.uniform(key, (6,), d, -1e38, 2e38),
    "uniform on a range that overflows": lambda key, d: random.uniform(
        key, (3,), d, -torch.finfo(d).max, torch.finfo(d).max
    ),
    "uniform far from 0": lambda key, d: random.uniform(key, (6,), d, 1e4, 1e4 + 1),
    "chisquare": lambda key, d: random.chisquare(key, SOME(d), (2, 3), d),
    "f": lambda key, d: random.f(key, SOME(d), 3.0, (3,), d),
    "t": lambda key, d: random.t(key, SOME(d), (2, 3), d),
    "gamma": lambda key, d: random.gamma(key, vector(0.05, 0.5, 1.0, 2.0, 70.0)(d), (4, 5), d),
    "loggamma": lambda key, d: random.loggamma(key, vector(0.001, 0.5, 1.0, 2.0, 70.0)(d), (4, 5), d),
    "beta": lambda key, d: random.beta(key, SOME(d), vector(0.5, 1.0, 3.0)(d), (2, 3), d),
    "dirichlet": lambda key, d: random.dirichlet(key, vector(0.1, 2.0, 7.0)(d), (3,), d),
    "generalized_normal": lambda key, d: random.generalized_normal(key, 1.5, (5,), d),
    "ball": lambda key, d: random.ball(key, 3, 2.0, (2,), d),
    "ball, p=1": lambda key, d: random.ball(key, 2, 1.0, (3,), d),
    "poisson": lambda key, d: random.poisson(key, vector(0.5, 3.0, 9.0, 11.0, 1000.0, 0.0)(d), (3, 6)),
    "poisson of a scalar": lambda key, d: random.poisson(key, 25.0, (5,)),
    "poisson, int64": lambda key, d: random.poisson(key, 25.0, (5,), torch.int64),
    "binomial": lambda key, d: random.binomial(
        key, vector(10.0, 50.0, 1000.0, 3.0)(d), vector(0.3, 0.5, 0.9, 0.1)(d), (3, 4), d
    ),
    "multinomial": lambda key, d: random.multinomial(
        key, vector(10.0, 100.0)(d), vector(0.2, 0.3, 0.5)(d), shape=(2, 3), dtype=d
    ),
    "orthogonal": lambda key, d: random.orthogonal(key, 3, (2,), d),
    "orthogonal, 2 x 3": lambda key, d: random.orthogonal(key, 2, (), d, 3),
    "orthogonal, 3 x 2": lambda key, d: random.orthogonal(key, 3, (), d, 2),
    "multivariate_normal, cholesky": lambda key, d: multivariate(key, d, "cholesky"),
    "choice": lambda key, d: random.choice(key, 7, (5,)),
    "choice without replacement": lambda key, d: random.choice(key, 7, (5,), replace=False),
    "choice with p": lambda key, d: random.choice(key, 4, (8,), p=PROBABILITIES(d)),
    "choice with p, without replacement": lambda key, d: random.choice(key, 4, (3,), replace=False, p=PROBABILITIES(d)),
    "choice along 1": lambda key, d: random.choice(key, matrix(d), (2, 2), axis=1),
    "choice along 1 without replacement": lambda key, d: random.choice(key, matrix(d), (3,), replace=False, axis=1),
    "choice along 0 with p": lambda key, d: random.choice(key, matrix(d), (4,), p=vector(0.1, 0.2, 0.7)(d)),
    "categorical without replacement": lambda key, d: random.categorical(key, logits(d), -1, (3, 2), replace=False),
    "categorical along 0 without replacement": lambda key, d: random.categorical(
        key, logits(d).T, 0, (3, 2), replace=False
    ),
}
