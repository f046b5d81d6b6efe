"""L-BFGS and its line search, against Optax and by themselves."""

import golden
import pytest
import torch
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim

OPTAX = golden.load("transformations")


def test_lbfgs_with_its_search_equals_optax():
    def rosenbrock(p):
        return (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()

    params, optimizer = torch.tensor(OPTAX["lbfgs"]["start"], dtype=torch.float64), optim.lbfgs()
    state = optimizer.init(params)
    value_and_grad = optim.value_and_grad_from_state(rosenbrock)
    for *theirs, step_size, evaluations in OPTAX["lbfgs"]["steps"][:14]:  # after these, rounding errors grow
        value, grads = value_and_grad(params, state=state)
        assert_close(value, rosenbrock(params), rtol=1e-12, atol=0)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=rosenbrock)
        params = optim.apply_updates(params, updates)
        assert_close(params, torch.tensor(theirs, dtype=torch.float64), rtol=0, atol=1e-10)
        assert_close(state[2].learning_rate.item(), step_size, rtol=1e-9, atol=0)
        assert state[2].info.num_linesearch_steps == evaluations


LOSSES = {
    "rosen": lambda p: (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum(),
    "styb": lambda p: (p**4 - 16 * p**2 + 5 * p).sum() / 2,
    "himmel": lambda p: (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2,
    "beale": lambda p: sum((c - p[0] + p[0] * p[1] ** i) ** 2 for i, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
    "exp": lambda p: (p.exp() - 3 * p).sum() + (p[0] * p[1]) ** 2,
    "barrier": lambda p: -(1 - p[0] ** 2).log() - (1 - p[1] ** 2).log() + (p[0] - 2) ** 2 + p[1],
}


@pytest.mark.parametrize("case", OPTAX["searches"]["cases"], ids=lambda case: f"{case['loss']}-{case['optimizer']}")
def test_searches_of_every_kind_equal_optax(case):
    loss, optimizer = LOSSES[case["loss"]], eval(case["optimizer"], dict(vars(optim)))
    params = torch.tensor(case["start"], dtype=torch.float64)
    state = optimizer.init(params)
    for theirs, step_size, evaluations in case["steps"]:
        value, grads = fn.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=loss)
        params = optim.apply_updates(params, updates)
        assert_close(params, torch.tensor(theirs, dtype=torch.float64), rtol=1e-8, atol=1e-8)
        assert_close(state[-1].learning_rate.item(), step_size, rtol=1e-6, atol=1e-12)
        assert state[-1].info.num_linesearch_steps == evaluations


def test_a_search_that_can_stop_early_equals_one_that_cannot():
    def loss(p):
        return (p**4).sum() + (p[0] * p[1]).exp()

    def run(start):
        params, optimizer = start, optim.lbfgs(memory_size=2)
        state = optimizer.init(params)
        for _ in range(3):
            value, grads = fn.value_and_grad(loss)(params)
            updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=loss)
            params = optim.apply_updates(params, updates)
        return params

    starts = numbers(3, 2)
    assert_close(fn.vmap(run)(starts), torch.stack([run(start) for start in starts]), rtol=1e-12, atol=0)


def test_a_search_passes_on_the_arguments_that_the_loss_names():
    def loss(p, target):
        return ((p - target) ** 2).sum()

    params, optimizer = numbers(2), optim.lbfgs()
    value, grads = fn.value_and_grad(loss)(params, 3.0)
    extra = {"value": value, "grad": grads, "value_fn": loss, "target": 3.0, "unknown": None}
    updates, _ = optimizer.update(grads, optimizer.init(params), params, **extra)
    assert loss(params + updates, 3.0) < value


def test_lbfgs_drops_a_step_without_curvature():
    optimizer = optim.scale_by_lbfgs(scale_init_precond=False)
    _, state = optimizer.update(torch.tensor([1.0, 0.0]), optimizer.init(torch.zeros(2)), torch.zeros(2))
    updates, _ = optimizer.update(torch.tensor([1.0, 1.0]), state, torch.tensor([1.0, 0.0]))
    assert_close(updates, torch.ones(2))


def test_a_search_that_runs_out_of_steps_takes_the_best_one():
    def loss(p):
        return (p**4).sum() + (5 * p).sin().sum()

    params, found = torch.tensor([1.3, -0.8], dtype=torch.float64), []
    value, grads = fn.value_and_grad(loss)(params)
    for steps in range(1, 9):
        search = optim.scale_by_zoom_linesearch(steps, curv_rtol=1e-9, initial_guess_strategy="one")
        optimizer = optim.chain(optim.sgd(1.0), search)
        extra = {"value": value, "grad": grads, "value_fn": loss}
        updates, state = optimizer.update(grads, optimizer.init(params), params, **extra)
        found.append(loss(params + updates).item())
        assert_close(state[-1].value.item(), found[-1])
    assert found[3:] == sorted(found[3:], reverse=True) and found[-1] < value
    assert len(set(found)) > 3
