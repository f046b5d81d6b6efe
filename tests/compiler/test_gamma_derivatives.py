"""digamma and polygamma in native kernels, against torch's values in float64."""

import math

import pytest
import torch
from backends import FLOATS

import funcnet as fn

POINTS = [0.0, -0.0, math.inf, -math.inf, math.nan, 0.5, 1.0, 2.0, 10.0, -1.0, -2.0, -2.5, 1e-30, 1e17, 1e30]
FUNCTIONS = {
    "digamma": torch.digamma,
    "polygamma 0": lambda x: torch.polygamma(0, x),
    "trigamma": lambda x: torch.polygamma(1, x),
}


ACCURACY = {torch.float32: {"rtol": 2**-23, "atol": 1e-30}, torch.float64: {"rtol": 1e-11, "atol": 1e-13}}


def arguments(dtype):
    """Return positive numbers, negative ones at least 0.1 from a pole, and special ones."""
    between = torch.arange(-20, 0)[:, None] + torch.linspace(0.1, 0.9, 33, dtype=dtype)
    parts = [torch.linspace(0, 40, 2001, dtype=dtype), torch.logspace(-10, 20, 200, dtype=dtype), between.ravel()]
    return torch.cat([*parts, torch.tensor(POINTS, dtype=dtype)])


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transform", [lambda f: f, fn.vmap], ids=["whole", "lanes"])
def test_values_equal_those_of_float64(transform, dtype):
    x = arguments(dtype)
    jitted = fn.jit(transform(lambda x: [f(x) for f in FUNCTIONS.values()]), backend="native")
    assert not jitted.explain(x).calls
    for got, f in zip(jitted(x), FUNCTIONS.values(), strict=True):
        want = f(x.double()).to(dtype)
        torch.testing.assert_close(got, want, **ACCURACY[dtype], equal_nan=True)


def test_derivatives_of_a_likelihood_are_native_in_lanes():
    def likelihood(log_shape, x):
        shape = log_shape.exp()
        return torch.special.xlogy(shape - 1, x) - x - torch.lgamma(shape)

    slope = fn.grad(lambda s, x: likelihood(s, x).sum())
    curvature = fn.grad(lambda s, x: slope(s, x).sum())
    s, x = torch.linspace(-2, 3, 7, dtype=torch.float64), torch.linspace(0.1, 4, 7, dtype=torch.float64)
    for f in (slope, curvature):
        jitted = fn.jit(fn.vmap(f), backend="native")
        assert not jitted.explain(s, x).calls
        assert fn.tree.difference(jitted(s, x), fn.vmap(f)(s, x), rtol=1e-12) is None


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transform", [lambda f: f, fn.vmap], ids=["whole", "lanes"])
def test_higher_orders(transform, dtype):
    x = arguments(dtype)
    orders = (2, 3, 15)  # in the middle between poles, the terms of high even orders cancel
    jitted = fn.jit(transform(lambda x: [torch.polygamma(n, x) for n in orders]), backend="native")
    assert not jitted.explain(x).calls
    for got, n in zip(jitted(x), orders, strict=True):
        want = torch.polygamma(n, x.double()).to(dtype)
        torch.testing.assert_close(got, want, **ACCURACY[dtype], equal_nan=True)


def test_torch_computes_the_highest_orders():
    x = torch.linspace(0.1, 4, 7)
    jitted = fn.jit(lambda x: torch.polygamma(17, x) + 1, backend="native")
    assert torch.equal(jitted(x), torch.polygamma(17, x) + 1)
    assert list(jitted.explain(x).calls) == ["aten.polygamma.default"]
