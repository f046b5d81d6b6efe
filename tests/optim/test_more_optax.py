"""Optimizers of Optax and optax.contrib over 24 steps, backtracking line searches and sharpness-aware steps."""

import golden
import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim, tree

OPTAX, MORE = golden.load("optimizers"), golden.load("more_optimizers")
NAMES = {name: getattr(optim, name) for name in optim.__all__}
ATOL = 1e-12


def tensors(values):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def quartic(p):
    """Return the loss of the line searches, with a minimum at w = 1, b = 0."""
    return ((p["w"] - 1) ** 4).sum() + (p["b"] ** 2 * torch.arange(1.0, 4.0).double()).sum()


def end(name, steps=24, jitted=False):
    """Return the parameters after the gradients, twice in their order."""
    optimizer, params, grads = eval(name, dict(NAMES)), tensors(OPTAX["params"]), OPTAX["grads"] * 2
    state, update = optimizer.init(params), fn.jit(optimizer.update) if jitted else optimizer.update
    for i, g in enumerate(grads[:steps]):
        value = torch.tensor(5 - 0.01 * (i // 4), dtype=torch.float64)
        updates, state = update(tensors(g), state, params, value=value)
        params = optim.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("name", MORE["finals"])
def test_trajectories_end_like_those_of_optax(name):
    assert tree.difference(end(name), tensors(MORE["finals"][name]), atol=ATOL) is None


@pytest.mark.parametrize("name", ["adan(0.1)", "prodigy()", "sm3(0.1)", "novograd(0.1)"])
def test_jitted_updates_equal_eager_ones(name):
    assert tree.difference(end(name, 4, jitted=True), end(name, 4), atol=ATOL) is None


@pytest.mark.parametrize("name", MORE["backtracking"])
def test_backtracking_finds_the_steps_of_optax(name):
    optimizer = optim.chain(optim.sgd(1.0), eval(name, dict(NAMES)))
    params = tensors(OPTAX["params"])
    state = optimizer.init(params)
    for expected in MORE["backtracking"][name]["steps"]:
        value, grads = fn.value_and_grad(quartic)(params)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=quartic)
        params = optim.apply_updates(params, updates)
        found = state[-1]
        assert_close(found.value.item(), expected["value"], rtol=1e-12, atol=1e-12)
        assert_close(found.learning_rate.item(), expected["step"], rtol=1e-12, atol=0)
        assert found.info.num_linesearch_steps == expected["count"]
    assert tree.difference(params, tensors(MORE["backtracking"][name]["params"]), atol=ATOL) is None


def test_jitted_backtracking_equals_eager_backtracking():
    optimizer = optim.chain(optim.sgd(1.0), optim.scale_by_backtracking_linesearch(8, store_grad=True))

    def step(params, state):
        value, grads = optim.value_and_grad_from_state(quartic)(params, state=state)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=quartic)
        return optim.apply_updates(params, updates), state

    eager = jitted = (tensors(OPTAX["params"]), optimizer.init(tensors(OPTAX["params"])))
    compiled = fn.jit(step)
    for _ in range(3):
        eager, jitted = step(*eager), compiled(*jitted)
    assert tree.difference(jitted, eager, atol=1e-10) is None


def test_a_loss_that_is_nan_everywhere_gives_no_step():
    search = optim.scale_by_backtracking_linesearch(3)
    x = torch.tensor(1.0)
    updates, state = search.update(
        -x, search.init(x), x, value=x, grad=x, value_fn=lambda x: x * torch.tensor(float("nan"))
    )
    assert updates == 0
    assert state.info.num_linesearch_steps == 4


def test_sharpness_aware_steps_in_one_update_equal_those_of_optax():
    climb = optim.chain(optim.normalize(), optim.sgd(0.05))
    optimizer = optim.sam(optim.adam(0.1), climb, 3, opaque_mode=True)
    params = tensors(OPTAX["params"])
    state, gradient = optimizer.init(params), fn.grad(quartic)
    for _ in range(8):
        updates, state = optimizer.update(gradient(params), state, params, grad_fn=lambda p, i: gradient(p))
        params = optim.apply_updates(params, updates)
    assert tree.difference(params, tensors(MORE["opaque_sam"]), atol=ATOL) is None


def test_rprop_equals_torch_optim():
    x = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    p = x.clone().requires_grad_()
    reference = torch.optim.Rprop([p], lr=0.1, etas=(0.4, 1.3), step_sizes=(0.01, 1.0))
    optimizer = optim.rprop(0.1, 0.4, 1.3, 0.01, 1.0)
    state = optimizer.init(x)
    for _ in range(20):
        reference.zero_grad()
        torch.autograd.backward((p**4 - p).sum())
        reference.step()
        updates, state = optimizer.update(4 * x**3 - 1, state, x)
        x = x + updates
    assert_close(x, p.detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["dadapt_adamw", "prodigy"])
def test_an_estimated_step_size_stays_finite_for_gradients_of_zero(name):
    optimizer, x = getattr(optim, name)(), torch.ones(3)
    updates, state = optimizer.update(torch.zeros(3), optimizer.init(x), x)
    assert (updates == 0).all()
    assert state.estim_lr == 1e-6


WRONG = {
    "scale_by_polyak: expected the variant 'sps' or 'sps+', got 'best'": lambda: optim.polyak_sgd(variant="best"),
    "scale_by_polyak: expected the loss": lambda: optim.polyak_sgd().update(
        torch.ones(1), optim.polyak_sgd().init(torch.ones(1))
    ),
    "sam: expected the gradient as a function": lambda: _update_sam(opaque_mode=True),
    "sam: expected sync_period": lambda: _update_sam(sync_period=0),
}


def _update_sam(**options):
    optimizer, x = optim.sam(optim.sgd(0.1), optim.sgd(0.1), **options), torch.ones(2)
    return optimizer.update(x, optimizer.init(x), x)


@pytest.mark.parametrize("message", WRONG)
def test_errors(message):
    with pytest.raises(ValueError) as info:
        WRONG[message]()
    assert message in str(info.value)
