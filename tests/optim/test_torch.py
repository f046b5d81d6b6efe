"""Whole trajectories against torch.optim, over grids of hyper-parameters, in float64.

Where Optax and torch differ by definition, the docstring gives both formulas; the tests use options where they agree.
"""

import itertools
from typing import Any, NamedTuple

import pytest
import torch
from tables import numbers

import funcnet as fn
from funcnet import tree

STEPS = 100
NOISE = {"b": numbers(STEPS, 3, seed=10), "w": numbers(STEPS, 2, 3, seed=11)}


def grid(**options):
    """Return every combination, as a dict with a name to print."""
    rows = [dict(zip(options, row, strict=True)) for row in itertools.product(*options.values())]
    return [pytest.param(row, id="-".join(f"{k}={v}" for k, v in row.items())) for row in rows]


def gradient(params, step):
    """Return gradients that depend on the parameters, but are mostly noise, so as not to amplify rounding errors."""
    return {name: noise[step] + 0.3 * params[name].sin() for name, noise in NOISE.items()}


def start():
    return {"b": numbers(3, seed=1), "w": numbers(2, 3)}


def assert_same_path(optimizer, torch_optimizer, **torch_options):
    params, theirs = start(), {name: p.requires_grad_() for name, p in start().items()}
    state, their_optimizer = optimizer.init(params), torch_optimizer(theirs.values(), **torch_options)
    for i in range(STEPS):
        updates, state = optimizer.update(gradient(params, i), state, params)
        params = fn.optim.apply_updates(params, updates)
        detached = {name: p.detach() for name, p in theirs.items()}
        for name, g in gradient(detached, i).items():
            theirs[name].grad = g
        their_optimizer.step()
        assert tree.difference(params, detached, atol=1e-12) is None, i


def before(options, optimizer):
    """Add torch's maximize and coupled weight decay as transformations in front."""
    sign = -1.0 if options["maximize"] else 1.0
    decay = fn.optim.add_decayed_weights(options["weight_decay"])
    return fn.optim.chain(fn.optim.scale(sign), decay, optimizer)


COMMON = {"weight_decay": [0.0, 0.1], "maximize": [False, True]}


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.003], momentum=[0.0, 0.8], nesterov=[False, True]))
def test_sgd(o):
    if o["nesterov"] and not o["momentum"]:
        o = {**o, "nesterov": False}
    ours = fn.optim.sgd(o["lr"], o["momentum"] or None, o["nesterov"])
    assert_same_path(before(o, ours), torch.optim.SGD, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.01], betas=[(0.9, 0.999), (0.5, 0.8)], eps=[1e-8, 1e-2]))
def test_adam(o):
    assert_same_path(before(o, fn.optim.adam(o["lr"], *o["betas"], o["eps"])), torch.optim.Adam, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.01], betas=[(0.9, 0.999), (0.5, 0.8)], eps=[1e-8, 1e-2]))
def test_adamw(o):
    ours = fn.optim.adamw(o["lr"], *o["betas"], o["eps"], weight_decay=o["weight_decay"])
    ours = fn.optim.chain(fn.optim.scale(-1.0 if o["maximize"] else 1.0), ours)
    assert_same_path(ours, torch.optim.AdamW, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.01], betas=[(0.9, 0.0), (0.5, 0.0)], eps=[1e-2]))
def test_amsgrad_with_negligible_bias(o):
    assert_same_path(before(o, fn.optim.amsgrad(o["lr"], *o["betas"], o["eps"])), torch.optim.Adam, amsgrad=True, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.01], betas=[(0.9, 0.999), (0.5, 0.8)]))
def test_amsgrad_with_the_bias_correction_in_the_learning_rate(o):
    def rate(count):
        return o["lr"] * (1 - o["betas"][1] ** (count.double() + 1)).sqrt()

    ours = fn.optim.amsgrad(rate, *o["betas"], eps=0.0, bias_correction_nu=False)
    assert_same_path(before(o, ours), torch.optim.Adam, amsgrad=True, eps=0.0, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.01], betas=[(0.9, 0.999), (0.5, 0.8)], eps=[1e-8, 1e-2]))
def test_nadam_without_warmup_of_b1(o):
    ours = fn.optim.nadam(o["lr"], *o["betas"], o["eps"])
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # torch keeps the product of all b1 in the default dtype
    try:
        assert_same_path(before(o, ours), torch.optim.NAdam, momentum_decay=1e6, **o)
    finally:
        torch.set_default_dtype(dtype)


@pytest.mark.few(16)
@pytest.mark.parametrize(
    "o", grid(**COMMON, lr=[0.003], alpha=[0.99, 0.8], eps=[1e-8, 1e-2], momentum=[0.0, 0.6], centered=[False, True])
)
def test_rmsprop_with_eps_outside_the_root(o):
    ours = fn.optim.rmsprop(
        o["lr"], o["alpha"], o["eps"], eps_in_sqrt=False, centered=o["centered"], momentum=o["momentum"] or None
    )
    assert_same_path(before(o, ours), torch.optim.RMSprop, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.1], initial_accumulator_value=[0.1, 2.0], lr_decay=[0.0, 0.05]))
def test_adagrad_without_eps(o):
    def rate(count):
        return o["lr"] / (1 + o["lr_decay"] * count.double())

    ours = fn.optim.adagrad(rate, o["initial_accumulator_value"], eps=0.0)
    assert_same_path(before(o, ours), torch.optim.Adagrad, eps=0.0, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[1.0, 0.3], rho=[0.9, 0.5], eps=[1e-6, 1e-3]))
def test_adadelta(o):
    assert_same_path(before(o, fn.optim.adadelta(o["lr"], o["rho"], o["eps"])), torch.optim.Adadelta, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.01], betas=[(0.9, 0.999), (0.5, 0.8)], eps=[1e-8, 1e-2]))
def test_adamax(o):
    assert_same_path(before(o, fn.optim.adamax(o["lr"], *o["betas"], o["eps"])), torch.optim.Adamax, **o)


@pytest.mark.parametrize("o", grid(**COMMON, lr=[0.01], betas=[(0.9, 0.999), (0.5, 0.85)]))
def test_radam_without_eps(o):
    ours = fn.optim.radam(o["lr"], *o["betas"], eps=0.0)
    assert_same_path(before(o, ours), torch.optim.RAdam, eps=0.0, **o)


class RpropState(NamedTuple):
    """The state of a user's own optimizer."""

    previous: Any
    sizes: Any


def rprop(lr, etas, step_sizes):
    """Build Rprop with the protocol, as a user would."""
    shrink, grow = etas

    def init(params):
        return RpropState(tree.zeros_like(params), tree.map(lambda p: torch.full_like(p, lr), params))

    def update(updates, state, params=None, **extra):
        turns = tree.map(lambda g, before: (g * before).sign(), updates, state.previous)
        factors = tree.map(lambda t: 1 + (grow - 1) * t.clamp(min=0) + (1 - shrink) * t.clamp(max=0), turns)
        sizes = tree.map(lambda s, factor: (s * factor).clamp(*step_sizes), state.sizes, factors)
        kept = tree.map(lambda g, t: torch.where(t < 0, 0.0, g), updates, turns)
        return tree.map(lambda g, s: -g.sign() * s, kept, sizes), RpropState(kept, sizes)

    return fn.optim.GradientTransformation(init, update)


@pytest.mark.parametrize(
    "o",
    grid(maximize=[False, True], lr=[0.01, 0.1], etas=[(0.5, 1.2), (0.8, 1.05)], step_sizes=[(1e-6, 50), (1e-3, 0.1)]),
)
def test_rprop_as_a_user_writes_it(o):
    ours = fn.optim.chain(fn.optim.scale(-1.0 if o["maximize"] else 1.0), rprop(o["lr"], o["etas"], o["step_sizes"]))
    assert_same_path(ours, torch.optim.Rprop, **o)


@pytest.mark.parametrize("o", grid(maximize=[False, True], lr=[0.01, 0.05], beta2_decay=[-0.8, -0.5], d=[1.0, 1.5]))
def test_adafactor_without_eps_and_with_a_small_learning_rate(o):
    ours = fn.optim.adafactor(
        o["lr"], min_dim_size_to_factor=1, decay_rate=-o["beta2_decay"], clipping_threshold=o["d"], eps=0.0
    )
    ours = fn.optim.chain(fn.optim.scale(-1.0 if o["maximize"] else 1.0), ours)
    assert_same_path(ours, torch.optim.Adafactor, weight_decay=0.0, eps=(1e-30, 1e-3), **o)


@pytest.mark.parametrize("o", grid(lr=[0.5, 1.0], history_size=[1, 3, 10]))
def test_lbfgs_where_both_initial_estimates_are_1(o):
    ours = fn.optim.lbfgs(o["lr"], o["history_size"], linesearch=None)

    def small(params):
        return 0.03 * ((params["w"] ** 2).sum() + (params["w"][0] * params["b"]).sin().sum() + params["b"].cosh().sum())

    params, theirs = start(), {name: p.requires_grad_() for name, p in start().items()}
    options = {"max_iter": 1, "tolerance_grad": 0.0, "tolerance_change": 0.0, **o}
    state, their_optimizer = ours.init(params), torch.optim.LBFGS(theirs.values(), **options)
    assert sum(g.abs().sum() for g in tree.leaves(fn.grad(small)(params))) < 1

    def closure():
        their_optimizer.zero_grad()
        value = small(theirs)
        value.backward()
        return value

    for _ in range(12):
        updates, state = ours.update(fn.grad(small)(params), state, params)
        params = fn.optim.apply_updates(params, updates)
        their_optimizer.step(closure)
        assert tree.allclose(params, {name: p.detach() for name, p in theirs.items()}, rtol=0, atol=1e-9)


@pytest.mark.parametrize("o", grid(lr=[0.02], momentum=[0.95, 0.5], weight_decay=[0.0, 0.1]))
def test_muon_to_bfloat16_precision(o):
    ours = fn.optim.muon(o["lr"], beta=o["momentum"], weight_decay=o["weight_decay"], nesterov=False)
    w, theirs = numbers(3, 5), numbers(3, 5).mT.contiguous().requires_grad_()
    state, their_optimizer = ours.init(w), torch.optim.Muon([theirs], nesterov=False, **o)
    for i in range(10):
        g = numbers(3, 5, seed=i)
        updates, state = ours.update(g, state, w)
        w = fn.optim.apply_updates(w, updates)
        theirs.grad = g.mT.contiguous()
        their_optimizer.step()
        assert torch.linalg.norm(w - theirs.detach().mT) < 0.05 * 3**0.5 * o["lr"] * (i + 1)  # sqrt(3) lr is one step
