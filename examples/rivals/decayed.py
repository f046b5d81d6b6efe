"""Optimizer steps with half of the state decayed: weights that no longer get a gradient, as in dead units."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

import funcnet as fn

NUMBERS, STEPS = 4_096, 2_000
OPTIMIZERS = {"momentum": fn.optim.sgd(0.01, momentum=0.9), "adam": fn.optim.adam(1e-3)}


def contestants(name: str) -> dict[str, Callable[[], object]]:
    """Return runs of STEPS steps: with all weights alive, and with half of them dead for STEPS steps before."""
    optimizer = OPTIMIZERS[name]
    jitted = fn.jit(partial(_run, optimizer))
    params, alive = torch.zeros(NUMBERS), torch.ones(NUMBERS)
    half = torch.arange(NUMBERS) % 2.0
    living = jitted((params, optimizer.init(params)), alive)
    decayed = jitted(living, half)
    return {"alive": partial(jitted, living, alive), "half dead": partial(jitted, decayed, half)}


def _run(optimizer: fn.optim.GradientTransformation, carry: Any, alive: Tensor) -> Any:
    def step(carry: Any, _: None) -> Any:
        params, state = carry
        grads = fn.grad(lambda params: ((params - 1) ** 2 * alive).sum())(params)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), None

    return fn.scan(step, carry, length=STEPS)[0]
