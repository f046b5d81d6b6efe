"""Distributions, ranges and derivatives of the samplers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import funcnet as fn
from funcnet import random

b16, f32, f64 = torch.bfloat16, torch.float32, torch.float64
SIZE = 200_000


def moments(x):
    x = x.double()
    z = (x - x.mean()) / x.std()
    return [x.mean().item(), x.var().item(), (z**3).mean().item(), (z**4).mean().item()]


VARIANCE_TRUNCATED = 1 - 2 * 2 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "f, mean, variance, skewness, kurtosis",
    [
        (random.uniform, 0.5, 1 / 12, 0.0, 1.8),
        (random.normal, 0.0, 1.0, 0.0, 3.0),
        (lambda key, n: random.normal(key, n, f64), 0.0, 1.0, 0.0, 3.0),
        (random.exponential, 1.0, 1.0, 2.0, 9.0),
        (random.gumbel, 0.5772157, math.pi**2 / 6, 1.1395471, 5.4),
        (lambda key, n: random.truncated_normal(key, -2.0, 2.0, n), 0.0, VARIANCE_TRUNCATED, 0.0, 2.365),
    ],
)
def test_moments(f, seed, mean, variance, skewness, kurtosis):
    found = moments(f(random.key(seed), SIZE))
    assert found[0] == pytest.approx(mean, abs=5 * math.sqrt(variance / SIZE))
    assert found[1] == pytest.approx(variance, rel=5 * math.sqrt((kurtosis - 1) / SIZE))
    assert found[2] == pytest.approx(skewness, abs=0.1)
    assert found[3] == pytest.approx(kurtosis, rel=0.06)


@pytest.mark.parametrize("dtype", [f32, f64])
def test_the_normal_distribution_function_makes_normals_uniform(dtype):
    x = random.normal(random.key(3), SIZE, dtype)
    uniform = (0.5 * torch.erfc(-x.double() / math.sqrt(2))).sort().values
    grid = torch.arange(SIZE, dtype=f64) / SIZE
    assert (uniform - grid).abs().max() < 1.95 / math.sqrt(SIZE)  # Kolmogorov-Smirnov, at 0.1 %


def test_tails_of_the_normal_distribution():
    x = random.normal(random.key(4), 2_000_000).abs()
    for bound, probability in ((3.0, 2.6998e-3), (4.0, 6.3342e-5)):
        count = (x > bound).sum().item()
        assert count == pytest.approx(2e6 * probability, abs=5 * math.sqrt(2e6 * probability))
    assert x.isfinite().all() and x.max() < 5.8


@pytest.mark.parametrize("dtype", [f32, f64, torch.float16, torch.bfloat16])
def test_every_number_is_finite_and_in_its_range(dtype):
    key = random.key(5)
    unit = random.uniform(key, SIZE, dtype)
    assert (unit >= 0).all() and (unit < 1).all()
    assert random.normal(key, SIZE, dtype).isfinite().all()
    assert random.gumbel(key, SIZE, dtype).isfinite().all()
    drawn = random.exponential(key, SIZE, dtype)
    assert drawn.isfinite().all() and (drawn >= 0).all()
    drawn = random.truncated_normal(key, -9.0, 0.5, SIZE, dtype)
    assert drawn.isfinite().all() and (drawn > -9).all() and (drawn < 0.5).all()
    assert random.truncated_normal(key, -math.inf, math.inf, SIZE, dtype).isfinite().all()


def test_split_keys_draw_uncorrelated_numbers():
    a, b = (random.normal(key, SIZE) for key in random.split(random.key(0)))
    assert abs((a * b).mean()) < 5 / math.sqrt(SIZE)
    keys = random.split(random.key(0), 10_000).tolist()
    assert len({tuple(key) for key in keys}) == 10_000


def test_probabilities():
    key = random.key(12)
    assert random.bernoulli(key, 0.3, SIZE).double().mean().item() == pytest.approx(0.3, abs=0.006)
    assert not random.bernoulli(key, 0.0, 1000).any() and random.bernoulli(key, 1.0, 1000).all()
    counts = torch.bincount(random.randint(key, SIZE, 0, 7, torch.int64), minlength=7) / SIZE
    assert_close(counts, torch.full((7,), 1 / 7), atol=0.005, rtol=0.0)
    logits = torch.tensor([0.0, 1.0, -math.inf, 2.0])
    counts = torch.bincount(random.categorical(key, logits, shape=SIZE), minlength=4) / SIZE
    assert_close(counts, torch.softmax(logits, 0), atol=0.006, rtol=0.0)
    assert counts[2] == 0


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30), st.floats(0, 30))
@settings(max_examples=50)
def test_truncated_normals_stay_strictly_inside(seed, lower, width):
    upper = torch.tensor(lower + width + 0.01)
    lower = torch.tensor(lower)
    x = random.truncated_normal(random.key(seed), lower, upper, (50,))
    assert ((lower < x) & (x < upper)).all()


@given(st.integers(0, 2**32 - 1), st.integers(0, 200))
def test_a_permutation_has_every_integer_once(seed, size):
    assert sorted(random.permutation(random.key(seed), size).tolist()) == list(range(size))


def test_permutations_are_equally_likely():
    drawn = fn.vmap(lambda key: random.permutation(key, 3))(random.split(random.key(1), 6000))
    counts = torch.bincount(drawn @ torch.tensor([9, 3, 1]))
    assert counts[counts > 0].tolist() == pytest.approx([1000] * 6, abs=150)


def test_permutation_of_a_tensor_keeps_slices_or_lines():
    key, x = random.key(7), torch.arange(60).reshape(3, 4, 5)
    for axis in (0, 1, 2, -1, -3):
        order = random.permutation(key, x.shape[axis])
        assert torch.equal(random.permutation(key, x, axis), x.index_select(axis, order))
        lines = random.permutation(key, x, axis, independent=True)
        assert not torch.equal(lines, x) and torch.equal(lines.sort(axis).values, x)


def test_numbers_are_differentiable_in_their_parameters():
    key = random.key(0)
    unit = random.uniform(key, (5,), f64)
    low, high = torch.tensor(-1.0, dtype=f64), torch.tensor(3.0, dtype=f64)
    gradient = fn.grad(lambda low, high: random.uniform(key, (5,), f64, low, high).sum(), argnums=(0, 1))(low, high)
    assert_close(gradient, ((1 - unit).sum(), unit.sum()))


# bfloat16 draws u = 0, where sqrt has no derivative; the slope is compared with other numbers of the distribution.
@pytest.mark.parametrize(
    "dtype, other, step, rtol", [(f64, f64, 1e-4, 1e-6), (f32, f32, 1e-2, 1e-2), (b16, f64, 1e-4, 0.2)]
)
def test_truncated_normals_are_differentiable_in_their_bounds(dtype, other, step, rtol):
    def total(bound, dtype):
        return random.truncated_normal(random.key(0), -bound, bound, (400,), dtype).double().square().sum()

    slope = (
        total(torch.tensor(0.75 + step, dtype=f64), other) - total(torch.tensor(0.75 - step, dtype=f64), other)
    ) / (2 * step)
    assert_close(fn.grad(total)(torch.tensor(0.75, dtype=dtype), dtype).double(), slope, rtol=rtol, atol=0.0)
