"""Whole training runs inside jit: JAX's trajectories, and ensembles of them."""

from functools import partial

import golden
import pytest
import torch
from backends import BACKENDS
from programs import GATES, POINTS, descent, float64, logits

import funcnet as fn
from funcnet.compiler import jit

LESSON = golden.load("lesson")


def binary_cross_entropy(params, targets):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits(params, POINTS), targets)


def training(run, steps=None):
    """Return a run of the lesson as a function of its initial parameters: losses every 100 steps, final parameters."""
    step = descent(partial(binary_cross_entropy, targets=GATES[run["gate"]]), run["learning_rate"])

    def hundred(params, _):
        params, values = fn.scan(step, params, length=100)
        return params, values[0]

    def train(params):
        params, values = fn.scan(hundred, params, length=(steps or run["steps"]) // 100)
        params, last = step(params, None)
        return params, torch.cat([values, last[None]])

    return train


def names(run):
    return f"{run['gate']}-{'-'.join(map(str, run['sizes']))}"


# all runs natively, and the first one, of 10,001 steps in Python, by the other backends
ROWS = [pytest.param(run, "native", id=names(run)) for run in LESSON["runs"]]
ROWS += [pytest.param(LESSON["runs"][0], "eager", id="eager")]
ROWS += [pytest.param(LESSON["runs"][0], "inductor", id="inductor", marks=pytest.mark.slow)]


@pytest.mark.few(4)
@pytest.mark.parametrize("run, backend", ROWS)
def test_golden_trajectories(run, backend):
    final, losses = jit(training(run), backend=backend)(float64(run["start"]))
    assert (losses - torch.tensor(run["losses_every_100"], dtype=torch.float64)).abs().max() < 1e-9
    assert fn.tree.difference(final, float64(run["final"]), atol=1e-9) is None


@pytest.mark.few(1)
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_ensemble_equals_its_single_runs(backend):
    """Five nets: an incomplete block of lanes. After 200 steps rounding errors are still small."""
    run = next(run for run in LESSON["runs"] if run["sizes"] == [2, 2, 1])
    starts = [fn.tree.scale(factor, float64(run["start"])) for factor in (1.0, 0.5, -1.0, 2.0, 0.1)]
    final, losses = jit(fn.vmap(training(run, 200)), backend=backend)(fn.tree.stack(starts))
    for i, (one, start) in enumerate(zip(fn.tree.unstack(final), starts, strict=True)):
        expected, expected_losses = training(run, 200)(start)
        assert fn.tree.difference(one, expected, atol=1e-11) is None
        assert fn.tree.difference(losses[i], expected_losses, atol=1e-11) is None
