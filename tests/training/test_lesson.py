"""Whole training runs: JAX's trajectories step by step in eager mode, and torch.nn with torch.optim.SGD.

tests/jit/test_lesson.py compares compiled runs with the same trajectories.
"""

from itertools import pairwise

import pytest
import torch
from golden import load
from programs import GATES, POINTS, float64, train
from torch import nn
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

GOLDEN = load("lesson")
RUNS = {f"{run['gate']} {'-'.join(map(str, run['sizes']))} {i}": run for i, run in enumerate(GOLDEN["runs"])}


def mlp(sizes):
    """Build dense layers with sigmoids between them; params holds the layers' and () for each sigmoid."""
    parts = [part for size in sizes[1:] for part in (fn.dense(size), torch.sigmoid)]
    return fn.serial(*parts[:-1])


def with_gaps(layers):
    return tuple(part for layer in layers for part in (layer, ()))[:-1]


def loss_of(model, x, y):
    return lambda params: fn.losses.sigmoid_binary_cross_entropy(model.apply(params, x), y).mean()


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_jax_s_trajectories(run):
    steps = min(run["steps"], 3_001)  # more steps take too long in eager mode
    y = GATES[run["gate"]]
    model = mlp(run["sizes"])
    loss = loss_of(model, POINTS, y)
    start = with_gaps(float64(run["start"]))
    assert tree.allclose(fn.grad(loss)(start), with_gaps(float64(run["grads_at_start"])), rtol=1e-12, atol=1e-14)
    final, losses = train(loss, start, steps)
    expected = torch.tensor(run["losses_every_100"], dtype=torch.float64)
    assert_close(losses[::100], expected[: len(losses[::100])], rtol=1e-9, atol=1e-9)
    if steps == run["steps"]:
        assert tree.allclose(final, with_gaps(float64(run["final"])), rtol=1e-9, atol=1e-9)
        probabilities = torch.tensor(run["probabilities"], dtype=torch.float64)
        assert_close(model.apply(final, POINTS).sigmoid(), probabilities, rtol=1e-9, atol=1e-9)


def module(sizes, dtype):
    """Build the net as in the lesson, with torch.nn, from torch's generator with a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        linears = [nn.Linear(a, b, dtype=dtype) for a, b in pairwise(sizes)]
    return nn.Sequential(*(part for linear in linears for part in (linear, nn.Sigmoid())))


def params_of(net):
    layers = [{"w": part.weight.detach().T.clone(), "b": part.bias.detach().clone()} for part in net[::2]]
    return with_gaps(layers)


def train_module(net, x, y, steps):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=1.0), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


# (bound of the losses, bound of the last parameters); in float32 the two runs round differently at every step.
BOUNDS = {torch.float64: (1e-10, 1e-10), torch.float32: (1e-5, 1e-2)}
# The deep net leaves the plateau suddenly, at step 4,901, which turns the smallest difference in time into a large
# difference in the loss. In float32 its losses are compared up to that step, and at the end.
COMPARED = {(2, 1): 10_001, (2, 2, 1): 10_001, (2, 10, 10, 10, 1): 4_800}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("sizes", COMPARED, ids=str)
def test_torch_s_modules_and_sgd(sizes, dtype):
    net, (loss_bound, param_bound) = module(sizes, dtype), BOUNDS[dtype]
    x, y = POINTS.to(dtype), GATES["xor"].to(dtype)
    final, losses = fn.jit(lambda start: train(loss_of(mlp(sizes), x, y), start, 10_001))(params_of(net))
    expected = train_module(net, x, y, 10_001)
    steps = COMPARED[sizes] if dtype == torch.float32 else 10_001
    assert_close(losses[:steps], expected[:steps], rtol=0, atol=loss_bound)
    assert_close(losses[-1], expected[-1], rtol=0, atol=loss_bound)
    assert tree.difference(final, params_of(net), rtol=param_bound, atol=param_bound) is None
    assert (losses[-1] < 0.01) == (sizes != (2, 1))
