"""Loops save what their derivatives need, if it is expensive and small; values are those of the eager loop."""

import pytest
import torch

import funcnet as fn


def soft_alignment(a, b):
    """Return the soft distance of two series: a scan of a scan, whose cells depend on their neighbours."""

    def row(above, costs):
        def cell(left, inputs):
            cost, up, diagonal = inputs
            value = cost - torch.logsumexp(torch.stack([-left, -up, -diagonal]), 0)
            return value, value

        _, values = fn.scan(cell, torch.tensor(1e8, dtype=a.dtype), (costs, above[1:], above[:-1]))
        return torch.cat([above.new_full((1,), 1e8), values]), None

    first = torch.cat([a.new_zeros(1), a.new_full((len(b),), 1e8)])
    return fn.scan(row, first, (a[:, None] - b) ** 2)[0][-1]


def recurrent(w, xs):
    def step(h, x):
        h = torch.tanh(h @ w + x)
        return h, h.sum()

    h, sums = fn.scan(step, xs[0] * 0, xs)
    return h.square().sum() + sums.mean()


def segments(w, xs):
    """Loop over segments in reverse, with a loop of fixed length and one over the segment inside."""

    def segment(h, x):
        h = fn.fori_loop(0, 3, lambda i, h: torch.sin(h @ w), h)
        h, _ = fn.scan(lambda h, row: (torch.tanh(h + row @ w), None), h, x)
        return h, h.square().sum()

    return fn.scan(segment, xs[0, 0] * 0, xs, reverse=True)[1].sum()


def series(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


CASES = {
    "soft alignment": (soft_alignment, (series(4), series(6, seed=1))),
    "recurrent": (recurrent, (series(3, 3), series(5, 3, seed=1))),
    "segments": (segments, (series(3, 3), series(4, 5, 3, seed=1))),
}
OPERATIONS = {"soft alignment": ("log(", 1), "recurrent": ("tanh(", 1), "segments": ("sin(", 1)}


def operations(f, args, name):
    return fn.jit(f).lower(*args).as_text("program").count(f"aten.{name}")


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_those_of_the_eager_loop(name):
    f, args = CASES[name]
    with fn.disable_jit():
        expected = fn.value_and_grad(f, argnums=(0, 1))(*args)
    fn.tree.map(torch.testing.assert_close, fn.jit(fn.value_and_grad(f, argnums=(0, 1)))(*args), expected)


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_recomputes_no_expensive_operation(name):
    (f, args), (operation, count) = CASES[name], OPERATIONS[name]
    assert operations(fn.grad(f), args, operation) == count


def test_the_gradient_of_a_nest_has_no_loop_more_than_the_nest():
    f, args = CASES["soft alignment"]
    assert fn.jit(fn.grad(f)).lower(*args).as_text("program").count("= scan") == 4


def test_lanes():
    f, (a, b) = CASES["soft alignment"]
    batch = torch.stack([a, a + 1, a * 2])
    found = fn.jit(fn.vmap(fn.grad(f), in_dims=(0, None)))(batch, b)
    torch.testing.assert_close(found, torch.stack([fn.jit(fn.grad(f))(row, b) for row in batch]))


@pytest.mark.slow
def test_second_derivatives():
    f, (w, xs) = CASES["recurrent"]
    with fn.disable_jit():
        expected = fn.hessian(f)(w, xs)
    torch.testing.assert_close(fn.jit(fn.hessian(f))(w, xs), expected)


def test_a_large_carry_is_recomputed():
    w, xs = torch.eye(600), torch.ones(2000, 600)
    assert operations(fn.grad(recurrent), (w, xs), "tanh(") == 2


def test_dropout_masks_of_a_step_are_its_own():
    """Random values of equal operations differ, unless their keys are equal."""

    def loss(w, x, key):
        def step(h, key):
            mask = fn.random.bernoulli(key, 0.5, h.shape)
            return torch.exp(torch.where(mask, h * w, h / 2)), None

        return fn.scan(step, x, fn.random.split(key, 4))[0].sum()

    args = torch.full((5,), 0.1), torch.linspace(0, 1, 5), fn.random.key(0)
    with fn.disable_jit():
        expected = fn.grad(loss)(*args)
    torch.testing.assert_close(fn.jit(fn.grad(loss))(*args), expected)
