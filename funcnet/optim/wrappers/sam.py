"""Sharpness-aware minimisation."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from funcnet import tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    State,
    Updates,
    apply_updates,
    floating,
    need_params,
    select,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_count, check_parts
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call

GradFunction = Callable[[Params, int], Updates]


class SAMState(NamedTuple):
    """The state of `sam`."""

    steps_since_sync: Count  # 0-d int64, adversarial steps since the last step of the optimizer
    opt_state: State  # of the optimizer
    adv_state: State  # of the adversarial optimizer
    cache: Params | None  # the parameters before the adversarial steps; None in opaque mode


@shows_call
def sam(
    optimizer: GradientTransformation,
    adv_optimizer: GradientTransformation,
    sync_period: int = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
) -> GradientTransformation:
    """Step by the gradient at the worst nearby parameters, which leads to flat minima.

    The adversarial optimizer climbs for sync_period - 1 steps; then the optimizer takes a step from the parameters
    before the climb, by the gradient after it. Adversarial steps are usually `chain(normalize(), sgd(rho))`.

    Without opaque_mode every update is one of these steps, and the parameters between them are adversarial: a step
    costs sync_period updates. With it, every update is a whole step, and the gradients of the climb come from
    `grad_fn=`, a function of the parameters and of the number of the adversarial step.

    Args:
        optimizer: Takes the descending steps.
        adv_optimizer: Takes the ascending steps; its updates are negated.
        sync_period: Gradients per step of the optimizer, at least 1.
        reset_state: Whether the adversarial optimizer starts afresh after each step.
        opaque_mode: Whether an update is a whole step.
    Returns:
        The transformation. It needs params. State: `SAMState`.
    Raises:
        ValueError: sync_period is below 1; at update in opaque mode, grad_fn is missing.
    Source:
        Foret, Kleiner, Mobahi, Neyshabur (2021), Sharpness-Aware Minimization, algorithm 1,
        https://arxiv.org/abs/2010.01412
    Example:
        >>> climb = fn.optim.chain(fn.optim.normalize(), fn.optim.sgd(0.1))
        >>> optimizer = fn.optim.sam(fn.optim.sgd(1.0), climb, opaque_mode=True)
        >>> gradient, x = fn.grad(lambda x: x**2 / 2), torch.tensor(3.0)
        >>> optimizer.update(gradient(x), optimizer.init(x), x, grad_fn=lambda x, step: gradient(x))[0]
        tensor(-3.1000)
    """
    check_parts("sam", [optimizer, adv_optimizer])
    check_count("sam", sync_period=sync_period)
    parts: dict[str, Any] = {"optimizer": optimizer, "adv_optimizer": adv_optimizer}
    parts = {name: with_extra_args_support(part) for name, part in parts.items()}
    return with_state(
        SAMState,
        partial(_sam_init, **parts, opaque=opaque_mode),
        partial(_whole_step if opaque_mode else _one_step, **parts, sync_period=sync_period, reset_state=reset_state),
    )


def _sam_init(
    params: Params, *, optimizer: GradientTransformation, adv_optimizer: GradientTransformation, opaque: bool
) -> SAMState:
    cache = None if opaque else floating(params)
    return SAMState(zero_count(params), optimizer.init(params), adv_optimizer.init(params), cache)


def _one_step(
    updates: Updates,
    state: SAMState,
    params: Params | None = None,
    *,
    optimizer: GradientTransformation,
    adv_optimizer: GradientTransformation,
    sync_period: int,
    reset_state: bool,
    **extra: Any,
) -> tuple[Updates, SAMState]:
    params = need_params("sam", params, updates)
    is_last = state.steps_since_sync == sync_period - 1
    before = select(state.steps_since_sync == 0, floating(params), state.cache)
    climb, adv_state = adv_optimizer.update(updates, state.adv_state, params, **extra)
    down, opt_state = optimizer.update(updates, state.opt_state, before, **extra)
    step = tree.map(lambda d, c, start, p: torch.where(is_last, start - p + d, -c), down, climb, before, params)
    after = SAMState(
        (state.steps_since_sync + 1) % sync_period,
        select(is_last, opt_state, state.opt_state),
        select(is_last, adv_optimizer.init(params) if reset_state else state.adv_state, adv_state),
        before,
    )
    return step, after


def _whole_step(
    updates: Updates,
    state: SAMState,
    params: Params | None = None,
    *,
    optimizer: GradientTransformation,
    adv_optimizer: GradientTransformation,
    sync_period: int,
    reset_state: bool,
    grad_fn: GradFunction | None = None,
    **extra: Any,
) -> tuple[Updates, SAMState]:
    params = need_params("sam", params, updates)
    if grad_fn is None:
        raise ValueError("sam: expected the gradient as a function. Call update(grads, state, params, grad_fn=…).")
    adversarial, adv_state = params, state.adv_state
    for i in range(sync_period - 1):
        climb, adv_state = adv_optimizer.update(updates, adv_state, adversarial, **extra)
        adversarial = apply_updates(adversarial, tree.scale(-1, climb))
        updates = grad_fn(adversarial, i)
    step, opt_state = optimizer.update(updates, state.opt_state, params, **extra)
    adv_state = adv_optimizer.init(params) if reset_state else adv_state
    return step, SAMState(state.steps_since_sync, opt_state, adv_state, None)
