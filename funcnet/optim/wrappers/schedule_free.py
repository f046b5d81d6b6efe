"""Schedule-free optimizers: an average of the iterates in place of a schedule."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.algorithms.rmsprop import scale_by_rms
from funcnet.optim.algorithms.sgd import sgd
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    State,
    Updates,
    accumulator,
    apply_updates,
    as_dtype,
    device,
    floating,
    need_params,
    widest_dtype,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_fraction, check_rate
from funcnet.optim.schedules import warmup_constant_schedule
from funcnet.optim.states import find, with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScheduleFreeState(NamedTuple):
    """The state of a schedule-free optimizer besides the parameters y that it trains."""

    b1: Tensor  # 0-d, the weight of the average x in y
    weight_sum: Tensor  # 0-d, the sum of the weights of the iterates so far
    step_count: Tensor  # 0-d int64, starts at 1
    max_lr: Tensor  # 0-d, the largest learning rate so far
    base_optimizer_state: State
    z: Params  # like params, in state_dtype: the iterate of the base optimizer


@shows_call
def schedule_free(
    base_optimizer: GradientTransformation,
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    weight_lr_power: Scalar = 2.0,
    state_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Train at a point between a base optimizer's iterate and the average of all its iterates.

    z = z + base update, x = (1 - c) x + c z, y = b1 x + (1 - b1) z. The parameters y are trained, and gradients are
    taken there; x is the result, which `schedule_free_eval_params` returns. c = w / sum of all w, with
    w = (largest learning rate)^power.

    Args:
        base_optimizer: An optimizer without momentum, which b1 replaces.
        learning_rate: The learning rate of the base optimizer.
        b1: In (0, 1).
        weight_lr_power: The power above; a larger one gives later iterates more weight while the learning rate rises.
        state_dtype: The dtype of z. None: that of the parameters.
    Returns:
        The transformation. State: `ScheduleFreeState`.
    Source:
        Defazio et al. (2024), The Road Less Scheduled, https://arxiv.org/abs/2405.15682
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.schedule_free(fn.optim.sgd(0.1), 0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3000, -0.4000])
    """
    check_rate("schedule_free", learning_rate=learning_rate)
    check_fraction("schedule_free", b1=b1)
    update = partial(
        _free_update,
        base_optimizer=with_extra_args_support(base_optimizer),
        learning_rate=learning_rate,
        b1=b1,
        weight_lr_power=weight_lr_power,
    )
    init = partial(_free_init, base_optimizer=base_optimizer, b1=b1, state_dtype=state_dtype)
    return with_state(ScheduleFreeState, init, update, like=("z",))


def schedule_free_eval_params(state: State, params: Params) -> Params:
    """Return the average x = (y - (1 - b1) z) / b1, the parameters to evaluate and to keep.

    Args:
        state: The state of `schedule_free`, or of a chain that contains it.
        params: The parameters that are trained, y.
    Raises:
        ValueError: The state holds no `ScheduleFreeState`.
    Example:
        >>> params, optimizer = torch.tensor([3.0, 4.0]), fn.optim.schedule_free_sgd(0.1)
        >>> updates, state = optimizer.update(params, optimizer.init(params), params)
        >>> fn.optim.schedule_free_eval_params(state, fn.optim.apply_updates(params, updates))
        tensor([2.7000, 3.6000])
    """
    found = find(state, ScheduleFreeState)
    if found is None:
        raise ValueError("schedule_free_eval_params: expected a state that holds the state of schedule_free, got none.")
    return tree.map(lambda y, z: y if z is None else as_dtype(_average(y, z, found.b1), y.dtype), params, found.z)


@shows_call
def schedule_free_sgd(
    learning_rate: Scalar = 1.0,
    warmup_steps: int | None = None,
    b1: Scalar = 0.9,
    weight_decay: Scalar | None = None,
    weight_lr_power: Scalar = 2.0,
    state_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Descend as `sgd` does, without a schedule.

    Args:
        learning_rate: Step size, a number or a 0-d tensor.
        warmup_steps: Number of steps in which the learning rate rises from 0. None: no warmup.
        weight_decay: Added to the gradient times p. None: no decay.
        b1, weight_lr_power, state_dtype: As for `schedule_free`.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.schedule_free_sgd(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3000, -0.4000])
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    base = sgd(rate) if weight_decay is None else chain(add_decayed_weights(weight_decay), sgd(rate))
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


@shows_call
def schedule_free_adamw(
    learning_rate: Scalar = 0.0025,
    warmup_steps: int | None = None,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_lr_power: Scalar = 2.0,
    state_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Descend as `adamw` does, without a schedule, and with b1 of the average in place of momentum.

    Args:
        learning_rate: Step size, a number or a 0-d tensor.
        warmup_steps: Number of steps in which the learning rate rises from 0. None: no warmup.
        b2, eps, weight_decay: As for `adamw`.
        b1, weight_lr_power, state_dtype: As for `schedule_free`.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.schedule_free_adamw(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1000, -0.1000])
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    base = chain(
        scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(rate),
    )
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


def _warmed_up(learning_rate: Scalar, warmup_steps: int | None) -> ScalarOrSchedule:
    return learning_rate if warmup_steps is None else warmup_constant_schedule(0.0, learning_rate, warmup_steps)


def _free_init(
    params: Params, *, base_optimizer: GradientTransformation, b1: Scalar, state_dtype: torch.dtype | None
) -> ScheduleFreeState:
    zero = torch.zeros((), dtype=widest_dtype(params), device=device(params))
    return ScheduleFreeState(
        b1=as_dtype(zero + b1, zero.dtype),
        weight_sum=zero,
        step_count=zero_count(params) + 1,
        max_lr=zero,
        base_optimizer_state=base_optimizer.init(params),
        z=tree.map(lambda p: p.to(accumulator(p, state_dtype)), floating(params)),
    )


def _free_update(
    updates: Updates,
    state: ScheduleFreeState,
    params: Params | None = None,
    *,
    base_optimizer: GradientTransformation,
    learning_rate: ScalarOrSchedule,
    b1: Scalar,
    weight_lr_power: Scalar,
    **extra: Any,
) -> tuple[Updates, ScheduleFreeState]:
    params = need_params("schedule_free", params, updates)
    rate = learning_rate(state.step_count) if callable(learning_rate) else learning_rate
    max_lr = as_dtype(torch.maximum(state.max_lr, torch.zeros_like(state.max_lr) + rate), state.max_lr.dtype)
    weight = max_lr**weight_lr_power
    weight_sum = as_dtype(state.weight_sum + weight, state.weight_sum.dtype)
    # while the learning rate is 0, all weights are 0
    part = weight / torch.where(weight_sum == 0, 1, weight_sum)
    step, base_state = base_optimizer.update(updates, state.base_optimizer_state, params, **extra)
    z = apply_updates(state.z, step)

    def move(_: Tensor, y: Tensor, z_before: Tensor, z_after: Tensor) -> Tensor:
        x = (1 - part) * _average(y, z_before, b1) + part * z_after
        return b1 * x + (1 - b1) * z_after - y

    moved = tree.map(move, updates, params, state.z, z)
    return moved, ScheduleFreeState(state.b1, weight_sum, state.step_count + 1, max_lr, base_state, z)


def _average(y: Tensor, z: Tensor, b1: Scalar) -> Tensor:
    return (y - (1 - b1) * z) / b1
