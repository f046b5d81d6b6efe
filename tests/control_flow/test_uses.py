"""Programs that need control flow, compiled whole for the native backend: alone and as lanes that differ in length."""

import pytest
import torch
from programs import POINTS, descent, logits
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree


def native(f, *args):
    """Run a compiled function; it has to run natively."""
    run = fn.jit(f)
    assert run.explain(*args).backend == "native"
    return run(*args)


def loss(params, x=POINTS):
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]]).double()
    return fn.losses.sigmoid_binary_cross_entropy(logits(params, x), y).mean()


def train_until(rate, most=200, enough=0.689):
    """Train the net of the lesson until its loss is small enough, and count the steps."""
    w = torch.tensor([[0.6, -0.8], [0.7, -0.5]]).double()
    params = [{"w": w, "b": w[0] / 2}, {"w": w[:, :1], "b": w[0, :1]}]

    def unfinished(state):
        params, steps = state
        return (loss(params) > enough) & (steps < most)

    def step(state):
        params, steps = state
        return descent(loss, rate)(params, None)[0], steps + 1

    return fn.while_loop(unfinished, step, (params, 0))


def test_early_stopping():
    rates = torch.tensor([3.0, 1.0, 0.02]).double()
    params, steps = native(fn.vmap(train_until), rates)
    alone = train_until(rates[0])
    assert tree.difference(tree.map(lambda x: x[0], (params, steps)), alone, rtol=1e-9) is None
    assert steps[0] < steps[1] < steps[2] == 200
    assert loss(tree.map(lambda x: x[0], params)) <= 0.689 < loss(tree.map(lambda x: x[2], params))


def truncated_exponential(key, bound):
    """Draw from an exponential distribution below a bound by rejection; return the draws that it took."""

    def draw(key):
        key, now = fn.random.split(key)
        return key, -torch.log1p(-fn.random.uniform(now, (), torch.float64))

    def again(state):
        _, x, count = state
        return (count == 0) | (x > bound)

    def propose(state):
        key, _, count = state
        return *draw(key), count + 1

    return fn.while_loop(again, propose, (key, torch.tensor(0.0).double(), 0))[1:]


def test_rejection_sampler():
    keys, bound = fn.random.split(fn.random.key(0), 400), torch.tensor(0.7).double()
    x, draws = native(fn.vmap(truncated_exponential, (0, None)), keys, bound)
    alone = [truncated_exponential(key, bound) for key in keys[:20]]
    assert_close((x[:20], draws[:20]), tree.stack(alone), rtol=1e-12, atol=0.0)
    assert (x <= bound).all() and draws.max() > 3
    mean = 1 - 0.7 * bound.neg().exp() / (1 - bound.neg().exp())
    assert abs(x.mean() - mean) < 4 * x.std() / 20
    assert abs(draws.double().mean() - 1 / (1 - bound.neg().exp())) < 0.3


def decay_adaptively(rate, end=1.0, tolerance=1e-8):
    """Integrate y' = -rate y from y(0) = 1 by steps of Heun's method whose size follows the estimated error."""

    def unfinished(state):
        t, *_ = state
        return t < end

    def attempt(state):
        t, y, h, steps = state
        h = torch.minimum(h, end - t)
        first = -rate * y
        second = -rate * (y + h * first)
        error = (h * (second - first) / 2).abs()
        better = h * (0.9 * (tolerance / (error + 1e-300)).sqrt()).clamp(0.2, 5.0)
        accept = lambda: (t + h, y + h * (first + second) / 2)  # noqa: E731
        return *fn.cond(error <= tolerance, accept, lambda: (t, y)), better, steps + 1

    zero = torch.zeros_like(rate)
    return fn.while_loop(unfinished, attempt, (zero, zero + 1, zero + 0.1, 0))[1::2]


RATES = torch.tensor([0.1, 2.0, 20.0]).double()


def test_adaptive_steps_of_an_ode():
    rates = RATES
    y, steps = native(fn.vmap(decay_adaptively), rates)
    assert_close(y, rates.neg().exp(), rtol=0.0, atol=2e-5)
    assert steps[0] < steps[1] < steps[2]
    assert_close((y[0], steps[0]), decay_adaptively(rates[0]), rtol=1e-12, atol=0.0)


@pytest.mark.slow
def test_derivatives_of_adaptive_steps():
    slope = native(fn.vmap(fn.jacfwd(lambda rate: decay_adaptively(rate)[0])), RATES)
    assert_close(slope, -RATES.neg().exp(), rtol=0.0, atol=1e-3)


def minimise(a):
    """Minimise log(exp(a x) + exp(-x)) by gradient descent with a backtracking line search."""
    f = lambda x: torch.logaddexp(a * x, -x)  # noqa: E731

    def step(x, _):
        value, slope = fn.value_and_grad(f)(x)
        rate = fn.while_loop(
            lambda rate: f(x - rate * slope) > value - rate * slope * slope / 2, lambda rate: rate / 2, slope * 0 + 8
        )
        return x - rate * slope, rate

    return fn.scan(step, a * 0 + 3, length=12)


def test_line_search_inside_a_loop():
    a = torch.tensor([0.5, 1.0, 3.0]).double()
    x, rates = native(fn.vmap(minimise), a)
    assert_close(x, -a.log() / (a + 1), rtol=0.0, atol=0.02)
    assert (rates[:, 0] != rates[:, -1]).any()
    assert_close((x[2], rates[2]), minimise(a[2]), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("f, args", [(train_until, (3.0,)), (decay_adaptively, (2.0,)), (minimise, (3.0,))])
def test_each_alone(f, args):
    args = [torch.tensor(arg).double() for arg in args]
    assert tree.difference(native(f, *args), f(*args), rtol=1e-9, atol=1e-12) is None
