"""AdamW with an estimated step size, by D-adaptation."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    as_dtype,
    cast,
    need_params,
    on_pairs,
    zero_count,
)
from funcnet.optim.distance import adam_rate, quotient, sum_of_magnitudes, zero_scalar
from funcnet.optim.ranges import check_fraction, check_not_negative, check_rate
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call


class DAdaptAdamWState(NamedTuple):
    """The state of `dadapt_adamw`."""

    exp_avg: Params  # like params: the mean of scaled gradients
    exp_avg_sq: Params  # like params: the mean of squared gradients
    grad_sum: Params  # like params: the weighted sum of scaled gradients
    estim_lr: Tensor  # 0-d: the estimated distance to a solution
    numerator_weighted: Tensor  # 0-d: the numerator of the estimate
    count: Count  # 0-d int64, updates seen so far


@shows_call
def dadapt_adamw(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    estim_lr0: Scalar = 1e-6,
    weight_decay: Scalar = 0.0,
) -> GradientTransformation:
    """Descend as `adamw` does, with a step size that is a growing estimate d of the distance to a solution.

    r = sqrt(b2), λ = d learning_rate sqrt(1 - b2^t) / (1 - b1^t), c = r c + (1 - r) λ Σ g s / (sqrt(v) + eps),
    m = b1 m + (1 - b1) λ g, v = b2 v + (1 - b2) g², s = r s + (1 - r) λ g, d = max(d, c / ((1 - r) Σ|s|)),
    u = -m / (sqrt(v) + eps) - weight_decay λ p.

    Args:
        learning_rate: A factor of the estimate, without unit; 1 unless there is a schedule.
        betas: b1 and b2, decay of m and v, in [0, 1).
        eps: Added to the root; gradient unit.
        estim_lr0: The first d, parameter unit, smaller than the distance.
        weight_decay: The factor of the parameters, times the step size.
    Returns:
        The transformation. It needs params. State: `DAdaptAdamWState`.
    Source:
        Defazio, Mishchenko (2023), Learning-Rate-Free Learning by D-Adaptation, algorithm 5,
        https://arxiv.org/abs/2301.07733; the formula is that of optax.contrib.dadapt_adamw.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.dadapt_adamw()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-9.9999e-07, -9.9999e-07])
    """
    check_rate("dadapt_adamw", learning_rate=learning_rate)
    check_fraction("dadapt_adamw", b1=betas[0], b2=betas[1])
    check_not_negative("dadapt_adamw", eps=eps, estim_lr0=estim_lr0, weight_decay=weight_decay)
    update = partial(_dadapt_update, learning_rate=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay)
    init = partial(_dadapt_init, estim_lr0=estim_lr0)
    return on_pairs(with_state(DAdaptAdamWState, init, update, like=("exp_avg", "exp_avg_sq", "grad_sum")))


def _dadapt_init(params: Params, *, estim_lr0: Scalar) -> DAdaptAdamWState:
    zeros, zero = moments.zeros(params), zero_scalar(params)
    return DAdaptAdamWState(zeros, zeros, zeros, zero + estim_lr0, zero, zero_count(params))


def _dadapt_update(
    updates: Updates,
    state: DAdaptAdamWState,
    params: Params | None = None,
    *,
    learning_rate: ScalarOrSchedule,
    betas: tuple[Scalar, Scalar],
    eps: Scalar,
    weight_decay: Scalar,
    **extra: Any,
) -> tuple[Updates, DAdaptAdamWState]:
    (b1, b2), count, distance = betas, state.count + 1, state.estim_lr
    decay = b2**0.5
    rate = adam_rate(learning_rate, betas, state.count, distance)

    def scaled_mean(m: Tensor, g: Tensor | None, decay: Scalar) -> Tensor:
        return m if g is None else as_dtype(torch.lerp(cast(rate, m) * g, m, cast(decay, m)), m.dtype)

    whitened = tree.map(lambda _, s, v: s / (v.sqrt() + eps), updates, state.grad_sum, state.exp_avg_sq)
    gain = tree.dot(updates, whitened)
    m = tree.map(partial(scaled_mean, decay=b1), state.exp_avg, updates)
    v = moments.second(updates, state.exp_avg_sq, b2)
    s = tree.map(partial(scaled_mean, decay=decay), state.grad_sum, updates)
    numerator = decay * state.numerator_weighted + (1 - decay) * rate * as_dtype(gain, rate.dtype)
    estimate = quotient(numerator, (1 - decay) * sum_of_magnitudes(s, rate))

    def step(_: Tensor, m: Tensor, v: Tensor, p: Tensor) -> Tensor:
        return -weight_decay * cast(rate, p) * p - m / (v.sqrt() + eps)

    updates = tree.map(step, updates, m, v, need_params("dadapt_adamw", params, updates))
    return updates, DAdaptAdamWState(m, v, s, torch.maximum(distance, estimate), numerator, count)
