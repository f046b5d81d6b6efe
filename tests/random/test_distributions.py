"""The distributions against their distribution functions, under transformations, and their derivatives."""

import math

import pytest
import torch
from random_draws import SAMPLERS, f32, f64
from torch.testing import assert_close

import funcnet as fn
from funcnet import random

SIZE = 20_000
KEY = random.key(5)


def normal_cdf(x):
    return 0.5 * torch.erfc(-x / math.sqrt(2))


def beta_cdf(x, a, b, points=4001):
    """Integrate the density of the beta distribution, for a and b above 1."""
    grid = torch.linspace(0, 1, points, dtype=f64)
    density = grid ** (a - 1) * (1 - grid) ** (b - 1)
    mass = torch.cumulative_trapezoid(density, grid)
    index = (x * (points - 1)).long().clamp(max=points - 2)
    return mass[index] / mass[-1]


def gamma_cdf(x, a):
    return torch.special.gammainc(torch.tensor(a, dtype=f64), x)


# name: (n samples, their distribution function)
CONTINUOUS = {
    "laplace": (lambda n: random.laplace(KEY, n), lambda x: 0.5 + 0.5 * x.sign() * (1 - torch.exp(-x.abs()))),
    "logistic": (lambda n: random.logistic(KEY, n), torch.sigmoid),
    "cauchy": (lambda n: random.cauchy(KEY, n), lambda x: 0.5 + torch.atan(x) / math.pi),
    "pareto": (lambda n: random.pareto(KEY, 3.0, n), lambda x: 1 - x**-3.0),
    "rayleigh": (lambda n: random.rayleigh(KEY, 2.0, n), lambda x: 1 - torch.exp(-(x**2) / 8)),
    "weibull_min": (lambda n: random.weibull_min(KEY, 2.0, 1.5, n), lambda x: 1 - torch.exp(-((x / 2) ** 1.5))),
    "triangular": (
        lambda n: random.triangular(KEY, 0.0, 1.0, 4.0, n),
        lambda x: torch.where(x < 1, x**2 / 4, 1 - (4 - x) ** 2 / 12),
    ),
    "lognormal": (lambda n: random.lognormal(KEY, 0.5, n), lambda x: normal_cdf(x.log() / 0.5)),
    "maxwell": (lambda n: random.maxwell(KEY, n), lambda x: gamma_cdf(x**2 / 2, 1.5)),
    "double_sided_maxwell": (
        lambda n: (random.double_sided_maxwell(KEY, 1.0, 2.0, n) - 1) / 2,
        lambda x: 0.5 + 0.5 * x.sign() * gamma_cdf(x**2 / 2, 1.5),
    ),
    "wald": (
        lambda n: random.wald(KEY, 2.0, n),
        lambda x: normal_cdf((x / 2 - 1) / x.sqrt()) + math.exp(1.0) * normal_cdf(-(x / 2 + 1) / x.sqrt()),
    ),
    "gamma of 0.3": (lambda n: random.gamma(KEY, 0.3, n), lambda x: gamma_cdf(x, 0.3)),
    "gamma of 1": (lambda n: random.gamma(KEY, 1.0, n), lambda x: gamma_cdf(x, 1.0)),
    "gamma of 40": (lambda n: random.gamma(KEY, 40.0, n, f64), lambda x: gamma_cdf(x, 40.0)),
    "loggamma": (lambda n: random.loggamma(KEY, 2.5, n).exp(), lambda x: gamma_cdf(x, 2.5)),
    "chisquare": (lambda n: random.chisquare(KEY, 3.0, n), lambda x: gamma_cdf(x / 2, 1.5)),
    "beta": (lambda n: random.beta(KEY, 2.0, 3.0, n), lambda x: beta_cdf(x, 2.0, 3.0)),
    "dirichlet": (
        lambda n: random.dirichlet(KEY, torch.tensor([2.0, 1.0, 2.0]), n)[:, 0],
        lambda x: beta_cdf(x, 2.0, 3.0),
    ),
    "f": (
        lambda n: random.f(KEY, 4.0, 6.0, n),
        lambda x: beta_cdf(4 * x / (4 * x + 6), 2.0, 3.0),
    ),
    "t": (lambda n: random.t(KEY, 1.0, n), lambda x: 0.5 + torch.atan(x) / math.pi),
    "generalized_normal": (
        lambda n: random.generalized_normal(KEY, 3.0, n),
        lambda x: 0.5 + 0.5 * x.sign() * gamma_cdf(x.abs() ** 3, 1 / 3),
    ),
    "ball": (lambda n: random.ball(KEY, 3, 1.0, n).abs().sum(-1), lambda x: x**3),
    "multivariate_normal": (
        lambda n: random.multivariate_normal(KEY, torch.tensor([1.0, 2.0]), torch.eye(2) + 1, n).sum(-1),
        lambda x: normal_cdf((x - 3) / math.sqrt(6)),
    ),
    "singular multivariate_normal": (
        lambda n: random.multivariate_normal(KEY, torch.zeros(2), torch.ones(2, 2), n, method="svd").sum(-1),
        lambda x: normal_cdf(x / 2),
    ),
    "orthogonal": (
        lambda n: random.orthogonal(KEY, 2, n)[:, 0, 0],
        lambda x: 1 - torch.acos(x.clamp(-1, 1)) / math.pi,
    ),
}


@pytest.mark.parametrize("draw, cdf", CONTINUOUS.values(), ids=CONTINUOUS)
def test_the_distribution_function_makes_samples_uniform(draw, cdf):
    uniform = cdf(draw(SIZE).double()).sort().values
    grid = torch.arange(SIZE, dtype=f64) / SIZE
    assert (uniform - grid).abs().max() < 1.95 / math.sqrt(SIZE)  # Kolmogorov-Smirnov, at 0.1 %


def binomial_probabilities(n, p):
    k = torch.arange(n + 1, dtype=f64)
    total = torch.tensor(n + 1.0, dtype=f64)
    logs = torch.lgamma(total) - torch.lgamma(k + 1) - torch.lgamma(total - k) + k * math.log(p)
    return torch.exp(logs + (n - k) * math.log(1 - p))


def poisson_probabilities(lam):
    k = torch.arange(int(3 * lam) + 30, dtype=f64)
    return torch.exp(k * math.log(lam) - lam - torch.lgamma(k + 1))


# name: (n samples, the probabilities of 0, 1, 2, ...)
DISCRETE = {
    "poisson of 3": (lambda n: random.poisson(KEY, 3.0, n), poisson_probabilities(3.0)),
    "poisson of 40": (lambda n: random.poisson(KEY, 40.0, n), poisson_probabilities(40.0)),
    "binomial of 10": (lambda n: random.binomial(KEY, 10, 0.7, n), binomial_probabilities(10, 0.7)),
    "binomial of 100": (lambda n: random.binomial(KEY, 100, 0.3, n), binomial_probabilities(100, 0.3)),
    "multinomial": (
        lambda n: random.multinomial(KEY, 20, torch.tensor([0.2, 0.5, 0.3]).expand(n, 3))[:, 1],
        binomial_probabilities(20, 0.5),
    ),
    "geometric": (lambda n: random.geometric(KEY, 0.3, n) - 1, 0.3 * 0.7 ** torch.arange(60, dtype=f64)),
    "rademacher": (lambda n: random.rademacher(KEY, n) + 1, torch.tensor([0.5, 0.0, 0.5], dtype=f64)),
    "choice": (
        lambda n: random.choice(KEY, 3, n, p=torch.tensor([0.2, 0.7, 0.1])),
        torch.tensor([0.2, 0.7, 0.1], dtype=f64),
    ),
    "choice without replacement": (
        lambda n: fn.vmap(lambda key: random.choice(key, 3, (2,), False, torch.tensor([0.5, 0.25, 0.25])))(
            random.split(KEY, n)
        )[:, 1],
        torch.tensor([1 / 3, 1 / 3, 1 / 3], dtype=f64),
    ),
}


@pytest.mark.parametrize("draw, probabilities", DISCRETE.values(), ids=DISCRETE)
def test_counts_have_their_probabilities(draw, probabilities):
    drawn = draw(SIZE).long()
    found = torch.bincount(drawn, minlength=len(probabilities)).double()
    assert len(found) == len(probabilities) and drawn.min() >= 0
    deviation = (probabilities * (1 - probabilities) * SIZE).sqrt()
    assert ((found - probabilities * SIZE).abs() <= 5 * deviation + 1.5).all()


@pytest.mark.parametrize("draw", SAMPLERS.values(), ids=SAMPLERS)
def test_vmap_over_keys_is_a_loop(draw):
    keys = random.split(KEY, 3)
    looped = torch.stack([draw(key, f32) for key in keys])
    assert torch.equal(fn.vmap(lambda key: draw(key, f32))(keys).nan_to_num(), looped.nan_to_num())


QUICK = ["laplace", "poisson of a scalar", "categorical without replacement", "choice along 0 with p"]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in SAMPLERS])
def test_jit_draws_the_same_numbers(name):
    keys = random.split(KEY, 2)
    looped = torch.stack([SAMPLERS[name](key, f32) for key in keys])
    assert_close(fn.jit(lambda key: SAMPLERS[name](key, f32))(keys[0]), looped[0], rtol=1e-4, atol=1e-5)
    mapped = fn.jit(fn.vmap(lambda key: SAMPLERS[name](key, f32)))(keys)
    assert_close(mapped, looped, rtol=1e-4, atol=1e-5)


def implicit_slope(x, a, step=1e-5):
    """Return dx/da of a gamma number at a fixed value of its distribution function, by differences."""
    by_a = (torch.special.gammainc(a + step, x) - torch.special.gammainc(a - step, x)) / (2 * step)
    return -by_a / torch.exp((a - 1) * x.log() - x - torch.lgamma(a))


@pytest.mark.parametrize(
    "value", [0.4, 3.0, pytest.param(1.0, marks=pytest.mark.slow), pytest.param(15.0, marks=pytest.mark.slow)]
)
def test_gamma_numbers_have_implicit_derivatives(value):
    a = torch.full((50,), value, dtype=f64)
    x = random.gamma(KEY, a, dtype=f64)
    slope = fn.grad(lambda a: random.gamma(KEY, a, dtype=f64).sum())(a)
    assert_close(slope, implicit_slope(x, a), rtol=1e-5, atol=1e-7)
    drawn, tangent = fn.jvp(lambda a: random.gamma(KEY, a, dtype=f64), (a,), (torch.ones_like(a),))
    assert torch.equal(drawn, x) and torch.equal(tangent, slope)
    logs = random.loggamma(KEY, a, dtype=f64)
    log_slope = fn.grad(lambda a: random.loggamma(KEY, a, dtype=f64).sum())(a)
    assert_close(log_slope, implicit_slope(logs.exp(), a) / logs.exp(), rtol=1e-5, atol=1e-7)
    leaf = a.clone().requires_grad_()
    random.gamma(KEY, leaf, dtype=f64).sum().backward()
    assert torch.equal(leaf.grad, slope)
    keys = random.split(KEY, 3)
    mapped = fn.vmap(fn.grad(lambda a, key: random.gamma(key, a, dtype=f64)), (None, 0))(a[0], keys)
    looped = [fn.grad(lambda a, key: random.gamma(key, a, dtype=f64))(a[0], key) for key in keys]
    assert_close(mapped, torch.stack(looped))
    with pytest.raises(ValueError, match="reverse-mode"):
        fn.grad(fn.grad(lambda a: random.gamma(KEY, a, dtype=f64)))(a[0])


@pytest.mark.slow
def test_derivatives_of_distributions_that_are_compiled_whole_without_them():
    v, one = torch.full((20,), 3.0, dtype=f64), torch.ones(20, dtype=f64)
    x, slope = fn.jvp(lambda df: random.t(KEY, df, dtype=f64), (v,), (one,))
    n, half = random.normal(random.split(KEY)[0], 20, f64), v / 2
    g = half * (n / x).square()
    assert_close(slope, x / 4 * (1 / half - implicit_slope(g, half) / g), rtol=1e-5, atol=1e-7)
    assert_close(x, random.t(KEY, v, dtype=f64))
    x, slope = fn.jvp(lambda p: random.generalized_normal(KEY, p, 20, f64), (v,), (one,))
    g = x.abs() ** v
    assert_close(slope, x / v * (-implicit_slope(g, 1 / v) / v / g - g.log()) / v, rtol=1e-5, atol=1e-7)
    assert_close(x, random.generalized_normal(KEY, v, 20, f64))
    leaf = v.clone().requires_grad_()
    random.generalized_normal(KEY, leaf, 20, f64).sum().backward()
    assert_close(leaf.grad, slope)


@pytest.mark.slow
def test_derivatives_of_expectations():
    a, b = torch.tensor(2.0, dtype=f64), torch.tensor(3.0, dtype=f64)
    slopes = fn.grad(lambda a, b: random.beta(KEY, a, b, SIZE, f64).mean(), (0, 1))(a, b)
    assert slopes[0].item() == pytest.approx(3 / 25, abs=0.005) and slopes[1].item() == pytest.approx(
        -2 / 25, abs=0.005
    )
    alpha = torch.tensor([2.0, 1.0, 2.0], dtype=f64)
    slope = fn.grad(lambda alpha: random.dirichlet(KEY, alpha, SIZE, f64)[:, 0].mean())(alpha)
    assert_close(slope, torch.tensor([3 / 25, -2 / 25, -2 / 25], dtype=f64), rtol=0.0, atol=0.005)
    slope = fn.grad(lambda df: random.chisquare(KEY, df, SIZE, f64).mean())(b)
    assert slope.item() == pytest.approx(1.0, abs=0.05)


DIFFERENTIABLE = {
    "pareto": lambda v: random.pareto(KEY, v, 5, f64),
    "rayleigh": lambda v: random.rayleigh(KEY, v, 5, f64),
    "weibull_min": lambda v: random.weibull_min(KEY, v, 1 + v, 5, f64),
    "triangular": lambda v: random.triangular(KEY, -v, v / 2, 2 * v, 5, f64),
    "lognormal": lambda v: random.lognormal(KEY, v, 5, f64),
    "double_sided_maxwell": lambda v: random.double_sided_maxwell(KEY, v, 2 * v, 5, f64),
    "wald": lambda v: random.wald(KEY, v, 5, f64),
    "multivariate_normal": lambda v: random.multivariate_normal(
        KEY, v.expand(2), v * torch.eye(2, dtype=f64) + 1, (5,)
    ),
}


@pytest.mark.parametrize("draw", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
def test_samples_are_differentiable_in_their_parameters(draw):
    v, step = torch.tensor(1.3, dtype=f64), 1e-6
    slope = (draw(v + step).sum() - draw(v - step).sum()) / (2 * step)
    assert_close(fn.grad(lambda v: draw(v).sum())(v), slope, rtol=1e-6, atol=1e-6)


def test_edges():
    assert random.poisson(KEY, 0.0, 3).tolist() == [0, 0, 0]
    nan = torch.tensor(math.nan)
    assert random.binomial(
        KEY, torch.tensor([-1.0, 5.0, math.inf]), torch.tensor([0.5, -0.1, 0.5])
    ).isnan().tolist() == [
        True,
        True,
        False,
    ]
    assert random.binomial(KEY, 5.0, nan).isnan() and random.binomial(KEY, math.inf, 0.5) == math.inf
    assert random.binomial(KEY, 7.0, torch.tensor([0.0, 1.0])).tolist() == [0.0, 7.0]
    assert random.loggamma(KEY, 1e-4, 100).isfinite().all()
    assert random.geometric(KEY, 1.0, 3).tolist() == [1, 1, 1]
    assert random.choice(KEY, 4, (0,)).shape == random.gamma(KEY, 1.0, (0,)).shape == (0,)
    q = random.orthogonal(KEY, 2, m=3, dtype=f64)
    assert_close(q @ q.T, torch.eye(2, dtype=f64))
    assert random.dirichlet(KEY, torch.ones(4), (2,)).sum(-1).tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_every_factor_gives_the_covariance(method):
    cov = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=f64)
    x = random.multivariate_normal(KEY, torch.zeros(2, dtype=f64), cov, SIZE, method=method)
    assert_close(x.T @ x / SIZE, cov, rtol=0.0, atol=0.06)
