"""Optimizers, transformations and schedules against Optax."""

import golden
import pytest
import torch
from programs import first_update
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim, tree

OPTAX, SCHEDULES, MORE = (golden.load(name) for name in ("optimizers", "schedules", "transformations"))
NAMES = {name: getattr(optim, name) for name in optim.__all__}


def tensors(values):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def path(optimizer, loss_at=lambda i: None):
    """Return the parameters after each gradient."""
    params = tensors(OPTAX["params"])
    state = optimizer.init(params)
    for i, grads in enumerate(OPTAX["grads"]):
        updates, state = optimizer.update(tensors(grads), state, params, value=loss_at(i))
        params = optim.apply_updates(params, updates)
        yield params


@pytest.mark.parametrize("name", OPTAX["trajectories"])
def test_whole_trajectories_equal_optax(name):
    for ours, theirs in zip(path(eval(name, dict(NAMES))), OPTAX["trajectories"][name], strict=True):
        assert tree.difference(ours, tensors(theirs), atol=1e-12) is None


@pytest.mark.parametrize("name", MORE["finals"])
def test_trajectories_end_like_those_of_optax(name):
    *_, ours = path(eval(name, dict(NAMES)), lambda i: torch.tensor(5 - 0.01 * (i // 4), dtype=torch.float64))
    assert tree.difference(ours, tensors(MORE["finals"][name]), atol=1e-12) is None


@pytest.mark.parametrize("name", [*SCHEDULES["values"], *MORE["schedules"]])
@pytest.mark.parametrize("count", [int, torch.tensor], ids=["int", "tensor"])
def test_schedules_equal_optax(name, count):
    schedule, values = eval(name, dict(NAMES)), (SCHEDULES["values"] | MORE["schedules"])[name]
    ours = torch.stack([schedule(count(step)) for step in range(len(values))])
    assert_close(ours, torch.tensor(values, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_schedule_is_mapped_and_differentiated():
    def at(peak, step):
        return optim.warmup_cosine_decay_schedule(0.0, peak, 5, 20, 0.1)(step)

    peaks, steps = torch.tensor([0.5, 2.0]).double(), torch.arange(24)
    mapped = fn.vmap(fn.vmap(at, in_dims=(None, 0)), in_dims=(0, None))(peaks, steps)
    assert_close(mapped, torch.stack([torch.stack([at(p, int(s)) for s in steps]) for p in peaks]))
    fn.checking.check_grads(lambda peak: at(peak, torch.tensor(9)), (peaks[0],))


def test_a_decay_with_no_steps_or_a_rate_of_0_is_constant():
    for options in ((0, 0.5, 0, False, 2.0), (4, 0.0, 0, False, 2.0), (0, 2.0, 3, True, None)):
        schedule = optim.exponential_decay(1.1, *options)
        assert {schedule(step).item() for step in range(6)} == {1.1}
    slope = fn.grad(lambda steps: optim.exponential_decay(1.1, steps, 0.5)(torch.tensor(3)))(torch.tensor(0.0).double())
    assert slope.isfinite()


@pytest.mark.parametrize("case", MORE["adaptive_grad_clip"]["cases"])
def test_units_of_every_shape_are_clipped_as_in_optax(case):
    axis = tuple(case["axis"]) if isinstance(case["axis"], list) else case["axis"]
    grad, params, expected = (torch.tensor(case[k], dtype=torch.float64) for k in ("grad", "params", "update"))
    updates, _ = first_update(optim.adaptive_grad_clip(0.1, 0.2, axis), grad, params)
    assert_close(updates, expected, rtol=0, atol=1e-14)
