"""One step of Adam over many small leaves: funcnet, jitted and not, and torch.optim, which works on tensor lists."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import funcnet as fn

LEAVES, SIZE, RATE = 200, 1_000, 1e-3
CAUSES = {f"{LEAVES} leaves of {SIZE:,}": "a step makes new tensors, torch.optim overwrites those of the last step"}
Step = Callable[[], object]


def contestants(seed: int) -> dict[str, Step]:
    """Return a function per contestant that takes one step from the result of its last step."""
    of_params, of_grads = (fn.random.split(key, LEAVES) for key in fn.random.split(fn.random.key(seed)))
    params, grads = ([fn.random.normal(key, (SIZE,)) for key in keys] for keys in (of_params, of_grads))
    return {
        "jit": _by_steps(fn.jit(_step), params, grads),
        "eager": _by_steps(_step, params, grads),
        "torch.optim": _by_torch(params, grads),
    }


def _step(params: list[Tensor], state: Any, grads: list[Tensor]) -> Any:
    updates, state = fn.optim.adam(RATE).update(grads, state, params)
    return fn.optim.apply_updates(params, updates), state


def _by_steps(step: Callable[..., Any], params: list[Tensor], grads: list[Tensor]) -> Step:
    carry = [params, fn.optim.adam(RATE).init(params)]

    def onward() -> None:
        carry[:] = step(*carry, grads)

    return onward


def _by_torch(params: list[Tensor], grads: list[Tensor]) -> Step:
    leaves = [p.clone().requires_grad_() for p in params]
    for leaf, g in zip(leaves, grads, strict=True):
        leaf.grad = g
    return torch.optim.Adam(leaves, lr=RATE, foreach=True).step
