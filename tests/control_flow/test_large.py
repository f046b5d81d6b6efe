"""Large bodies and branches, which become several C functions, and matrices that need memory in the arena."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn


def layers(count, size):
    return [torch.eye(size, dtype=torch.float64) * 0.9 + 0.1 / (i + 1) for i in range(count)]


def deep(x, weights):
    """Apply layers until the norm is small; every step has a large body, with a branch and a loop inside."""

    def body(state):
        x, n = state
        for w in weights:
            x = torch.tanh(x @ w) / 1.3
        x = fn.cond(n > 2, lambda: through(x, weights), lambda: through(x, weights[::-1]) + 0.01)
        return fn.while_loop(lambda x: x.norm() > 1.5, lambda x: x * 0.9, x), n + 1

    return fn.while_loop(lambda state: (state[0].norm() > 0.3) & (state[1] < 20), body, (x, 0))


def through(x, weights):
    for w in weights:
        x = torch.sin(x @ w.T) + x.mean() * 0.1
    return x


def deep_in_python(x, weights):
    n = 0
    while x.norm() > 0.3 and n < 20:
        for w in weights:
            x = torch.tanh(x @ w) / 1.3
        x = through(x, weights) if n > 2 else through(x, weights[::-1]) + 0.01
        while x.norm() > 1.5:
            x = x * 0.9
        n += 1
    return x, torch.tensor(n)


@pytest.mark.parametrize("rows, size", [(3, 4), pytest.param(70, 60, marks=pytest.mark.slow)])
def test_large_bodies(rows, size):
    weights = layers(6, size)
    x = torch.linspace(-2, 3, rows * size, dtype=torch.float64).reshape(rows, size)
    run = fn.jit(deep, backend="native")
    assert run.lower(x, weights).as_text("loops").count("section:") > 3
    assert_close(run(x, weights), deep_in_python(x, weights))


@pytest.mark.slow
def test_large_bodies_in_lanes():
    weights, x = layers(6, 4), torch.linspace(-2, 3, 12, dtype=torch.float64).reshape(3, 4)
    xs = torch.stack([x, x / 50, x * 3])
    found, steps = fn.jit(fn.vmap(deep, (0, None)), backend="native")(xs, weights)
    for i, each in enumerate(xs):
        assert_close((found[i], steps[i]), deep_in_python(each, weights))


@pytest.mark.slow
def test_a_loop_over_a_large_array():
    x = torch.linspace(0, 1, 300_000)

    def grow(x):
        return x + fn.cond(x[0] > 2, lambda: x, lambda: x.cos() + 2)

    run = lambda x: fn.while_loop(lambda x: x.mean() < 5, grow, x)  # noqa: E731
    assert_close(fn.jit(run, backend="native")(x), run(x))
