"""Optimizers of complex parameters: the steps equal torch's, and each number is treated as a pair."""

import pytest
import torch
from complex_numbers import W, complex_like, fourier

import funcnet as fn

TORCH = {
    "sgd": (fn.optim.sgd(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "nesterov": (fn.optim.sgd(0.1, 0.9, True), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True)),
    "adam": (fn.optim.adam(0.1), lambda p: torch.optim.Adam(p, 0.1)),
    "adamw": (fn.optim.adamw(0.1, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1)),
    "rmsprop": (fn.optim.rmsprop(0.1, 0.99, eps_in_sqrt=False), lambda p: torch.optim.RMSprop(p, 0.1)),
    "centred rmsprop": (
        fn.optim.rmsprop(0.1, 0.99, eps_in_sqrt=False, centered=True),
        lambda p: torch.optim.RMSprop(p, 0.1, centered=True),
    ),
    "adagrad": (fn.optim.adagrad(0.1, 0.0, 0.0), lambda p: torch.optim.Adagrad(p, 0.1, eps=0.0)),
    "adadelta": (fn.optim.adadelta(0.1), lambda p: torch.optim.Adadelta(p, 0.1)),
}


@pytest.mark.parametrize("name", TORCH)
def test_complex_steps_equal_those_of_torch(name):
    optimizer, make = TORCH[name]
    module, params, x, loss = fourier()
    theirs, state = make(module.parameters()), optimizer.init(params)
    for _ in range(8):
        theirs.zero_grad()
        module(x).square().mean().backward()
        theirs.step()
        updates, state = optimizer.update(fn.grad(loss)(params, x), state, params)
        params = fn.optim.apply_updates(params, updates)
    want = {name: parameter.detach() for name, parameter in module.named_parameters()}
    assert fn.tree.allclose(params, want, rtol=1e-6, atol=1e-7)


PAIRWISE = {
    "lion": fn.optim.lion(0.1),
    "sign_sgd": fn.optim.sign_sgd(0.1),
    "adamax": fn.optim.adamax(0.1),
    "nadam": fn.optim.nadam(0.1),
    "clip": fn.optim.clip(0.1),
    "amsgrad": fn.optim.amsgrad(0.1),
    "radam": fn.optim.radam(0.1),
    "lars": fn.optim.lars(0.1),
    "lamb": fn.optim.lamb(0.1),
    "ema": fn.optim.ema(0.9, accumulator_dtype=torch.float64),
    "trace": fn.optim.trace(0.9, accumulator_dtype=torch.float64),
    "lbfgs": fn.optim.lbfgs(0.1, linesearch=None),
    "schedule_free": fn.optim.schedule_free_adamw(0.1, state_dtype=torch.float64),
    "global norm": fn.optim.clip_by_global_norm(0.01),
    "multi_steps": fn.optim.MultiSteps(fn.optim.adam(0.1), 2).gradient_transformation(),
    "apply_if_finite": fn.optim.apply_if_finite(fn.optim.adam(0.1), 3),
    "zero_nans": fn.optim.zero_nans(),
    "adafactor": fn.optim.adafactor(0.1, multiply_by_parameter_scale=False, clipping_threshold=None),
}


@pytest.mark.parametrize("name", PAIRWISE)
def test_optimizers_treat_a_complex_number_as_a_pair(name):
    optimizer, params, real = PAIRWISE[name], {"z": W}, {"z": torch.view_as_real(W)}
    state, real_state = optimizer.init(params), optimizer.init(real)
    for step in range(4):
        g = {"z": complex_like(3, 4, seed=step)}
        updates, state = optimizer.update(g, state, params)
        wanted, real_state = optimizer.update(fn.tree.view_as_real(g), real_state, real)
        assert fn.tree.allclose(updates, fn.tree.view_as_complex(wanted, params))
        params, real = fn.optim.apply_updates(params, updates), fn.optim.apply_updates(real, wanted)
