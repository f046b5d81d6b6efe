"""The Prodigy optimizer: Adam with an estimated step size."""

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
    floating,
    need_params,
    on_pairs,
    zero_count,
)
from funcnet.optim.distance import adam_rate, quotient, sum_of_magnitudes, zero_scalar
from funcnet.optim.ranges import check_fraction, check_not_negative, check_rate
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call


class ProdigyState(NamedTuple):
    """The state of Prodigy."""

    exp_avg: Params  # like params: the mean of scaled gradients
    exp_avg_sq: Params  # like params: the mean of their squares
    grad_sum: Params  # like params: the weighted sum of scaled gradients
    params0: Params  # the first parameters
    estim_lr: Tensor  # 0-d: the estimated distance to a solution
    numerator_weighted: Tensor  # 0-d: the numerator of the estimate
    count: Count  # 0-d int64, updates seen so far


@shows_call
def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    beta3: Scalar | None = None,
    eps: Scalar = 1e-8,
    estim_lr0: Scalar = 1e-6,
    estim_lr_coef: Scalar = 1.0,
    weight_decay: Scalar = 0.0,
    safeguard_warmup: bool = False,
) -> GradientTransformation:
    """Descend as `adamw` does, with a step size that is a growing estimate d of the distance to a solution.

    λ = d learning_rate sqrt(1 - b2^t) / (1 - b1^t), m = b1 m + (1 - b1) d g, v = b2 v + (1 - b2) (d g)²,
    c = b3 c + (d / d0) λ Σ g (p0 - p), s = b3 s + λ d g / d0, d = max(d, estim_lr_coef c / Σ|s|), and with the new d
    u = -λ m / (sqrt(v) + d eps) - weight_decay λ p. p0 are the first parameters and d0 is estim_lr0.

    Args:
        learning_rate: A factor of the estimate, without unit; 1 unless there is a schedule.
        betas: b1 and b2, decay of m and v, in [0, 1).
        beta3: b3, decay of c and s. None: sqrt(b2).
        eps: Added to the root; gradient unit.
        estim_lr0: The first d, parameter unit, smaller than the distance.
        estim_lr_coef: A factor of the estimate.
        weight_decay: The factor of the parameters, times the step size.
        safeguard_warmup: Whether s grows by d, without the learning rate, so that a warm-up does not inflate d.
    Returns:
        The transformation. It needs params. State: `ProdigyState`.
    Source:
        Mishchenko, Defazio (2023), Prodigy, algorithm 4, https://arxiv.org/abs/2306.06101; the formula is that of
        optax.contrib.prodigy.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.prodigy()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-9.9999e-07, -9.9999e-07])
    """
    check_rate("prodigy", learning_rate=learning_rate)
    check_fraction("prodigy", b1=betas[0], b2=betas[1], **({} if beta3 is None else {"beta3": beta3}))
    check_not_negative("prodigy", eps=eps, estim_lr0=estim_lr0, estim_lr_coef=estim_lr_coef, weight_decay=weight_decay)
    update = partial(
        _prodigy_update,
        learning_rate=learning_rate,
        betas=betas,
        decay=betas[1] ** 0.5 if beta3 is None else beta3,
        eps=eps,
        first=estim_lr0,
        coefficient=estim_lr_coef,
        weight_decay=weight_decay,
        safeguard_warmup=safeguard_warmup,
    )
    like = ("exp_avg", "exp_avg_sq", "grad_sum", "params0")
    return on_pairs(with_state(ProdigyState, partial(_prodigy_init, first=estim_lr0), update, like=like))


def _prodigy_init(params: Params, *, first: Scalar) -> ProdigyState:
    zeros, zero = moments.zeros(params), zero_scalar(params)
    return ProdigyState(zeros, zeros, zeros, floating(params), zero + first, zero, zero_count(params))


def _prodigy_update(
    updates: Updates,
    state: ProdigyState,
    params: Params | None = None,
    *,
    learning_rate: ScalarOrSchedule,
    betas: tuple[Scalar, Scalar],
    decay: Scalar,
    eps: Scalar,
    first: Scalar,
    coefficient: Scalar,
    weight_decay: Scalar,
    safeguard_warmup: bool,
    **extra: Any,
) -> tuple[Updates, ProdigyState]:
    params = need_params("prodigy", params, updates)
    (b1, b2), distance = betas, state.estim_lr
    rate = adam_rate(learning_rate, betas, state.count, distance)
    growth = (distance if safeguard_warmup else rate) / first

    def summed(s: Tensor, g: Tensor | None) -> Tensor:
        return s if g is None else as_dtype(decay * s + cast(growth, s) * g, s.dtype)

    way = tree.map(lambda _, start, p: start - p, updates, state.params0, params)
    gain = distance / first * rate * as_dtype(tree.dot(updates, way), rate.dtype)
    scaled = tree.map(lambda g: cast(distance, g) * g, updates)
    m, v = moments.first(scaled, state.exp_avg, b1), moments.second(scaled, state.exp_avg_sq, b2)
    s, numerator = tree.map(summed, state.grad_sum, scaled), decay * state.numerator_weighted + gain
    distance = torch.maximum(distance, coefficient * quotient(numerator, sum_of_magnitudes(s, rate)))

    def step(_: Tensor, m: Tensor, v: Tensor, p: Tensor) -> Tensor:
        size = cast(rate, p)
        return -weight_decay * size * p - size * m / (v.sqrt() + cast(distance, p) * eps)

    after = ProdigyState(m, v, s, state.params0, distance, numerator, state.count + 1)
    return tree.map(step, updates, m, v, params), after
