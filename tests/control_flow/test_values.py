"""Values of control flow equal JAX's: results, tangents and gradients, and the order in which prefixes are combined."""

import golden
import pytest
import torch
from control_flow_programs import PROGRAMS, XS, W
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

JAX = golden.load("control_flow")


def total(f):
    """Return the sum of the sines of the floating results."""
    return lambda x, w: sum(leaf.sin().sum() for leaf in tree.leaves(f(x, w)) if tree.is_floating(leaf))


def check(result, want):
    for got, values in zip(tree.leaves(result), want, strict=True):
        assert_close(got, torch.tensor(values, dtype=got.dtype), rtol=1e-12, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize("name", JAX["programs"])
def test_values_and_derivatives(name):
    f, want = PROGRAMS[name][0], JAX["programs"][name]
    check(fn.vmap(f, (0, None))(XS, W), want["values"])
    ones = torch.ones_like(W)
    check(fn.vmap(lambda x: fn.jvp(total(f), (x, W), (x * 0 + 1, ones))[1])(XS), [want["tangents"]])
    if "gradients" in want:
        check(fn.vmap(fn.grad(total(f), (0, 1)), (0, None))(XS, W), want["gradients"])


@pytest.mark.slow
def test_compiled_values():
    run = fn.jit(fn.vmap(lambda x: {name: PROGRAMS[name][0](x, W) for name in JAX["programs"]}))
    for name, result in run(XS).items():
        check(result, JAX["programs"][name]["values"])


def test_the_order_of_prefixes():
    """Combining in JAX's order gives the same bits, also for a function that is not associative."""
    x = torch.sin(torch.arange(37.0, dtype=torch.float64) * 1.7)
    for size, want in JAX["sums"].items():
        assert_close(fn.associative_scan(torch.add, x[: int(size)]).tolist(), want, rtol=1e-15, atol=0.0)
    got = fn.associative_scan(lambda a, b: a * b * 0.9 + a, x[:9], reverse=True)
    assert_close(got.tolist(), JAX["products"], rtol=1e-14, atol=0.0)
