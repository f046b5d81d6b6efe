"""Momentum with the step size of a model of the loss: MoMo, and MoMo with the metric of Adam."""

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
    select,
    zero_count,
)
from funcnet.optim.distance import zero_scalar
from funcnet.optim.ranges import check_finite, check_fraction, check_not_negative, check_rate
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call

FLAT = torch.finfo(torch.float64).eps  # with a smaller squared norm of the mean gradient there is no step


class MomoState(NamedTuple):
    """The state of `momo`."""

    exp_avg: Params  # like params: the mean d of gradients g
    barf: Tensor  # 0-d: the mean of losses
    gamma: Tensor  # 0-d: the mean of <g, p>
    lb: Tensor  # 0-d: the lower bound of the loss
    count: Count  # 0-d int64, updates seen so far


class MomoAdamState(NamedTuple):
    """The state of `momo_adam`."""

    exp_avg: Params  # like params: the mean d of gradients g
    exp_avg_sq: Params  # like params: the mean of squared gradients
    barf: Tensor  # 0-d: the mean of losses
    gamma: Tensor  # 0-d: the mean of <g, p>
    lb: Tensor  # 0-d: the lower bound of the loss
    count: Count  # 0-d int64, updates seen so far


@shows_call
def momo(
    learning_rate: ScalarOrSchedule = 1.0,
    beta: Scalar = 0.9,
    lower_bound: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    """Descend along the mean gradient by the step after which a linear model of the loss is at its lower bound.

    d = beta d + (1 - beta) g, and so the means f̄ of losses and γ of <g, p>; all start from their first values. With
    a = 1 + learning_rate weight_decay and h = a (f̄ - γ) + <d, p>, the model's height at the decayed parameters,
    τ = min(learning_rate, max(h - a lower_bound, 0) / |d|²), u = (1 / a - 1) p - τ d.

    Args:
        learning_rate: The largest step size; a number, a 0-d tensor or a schedule.
        beta: Decay of the means, in [0, 1).
        lower_bound: A lower bound of the loss.
        weight_decay: A number or a 0-d tensor.
        adapt_lower_bound: Whether the lower bound is an estimate, which starts from `lower_bound` and does not fall
            below it.
    Returns:
        The transformation. It needs params. Update takes the loss as `value=`. State: `MomoState`.
    Raises:
        ValueError: At update, the loss is missing.
    Source:
        Schaipp, Ohana, Eickenberg, Defazio, Gower (2023), MoMo: Momentum Models for Adaptive Learning Rates,
        algorithms 1 and 3, https://arxiv.org/abs/2305.07583; the formula is that of optax.contrib.momo.
    Example:
        >>> optimizer, x = fn.optim.momo(), torch.tensor(3.0)
        >>> optimizer.update(2 * x, optimizer.init(x), x, value=x**2)[0]  # the loss x² at 3
        tensor(-1.5000)
    """
    check_fraction("momo", beta=beta)
    options = _options("momo", learning_rate, lower_bound, weight_decay, adapt_lower_bound)
    init, update = partial(_momo_init, lower_bound=lower_bound), partial(_momo_update, beta=beta, **options)
    return on_pairs(with_state(MomoState, init, update, like=("exp_avg",)))


@shows_call
def momo_adam(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    lower_bound: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    """Descend as `momo` does, in the metric of `adam`.

    d and v are the means of gradients and of their squares, from 0; D = sqrt(v̂) + eps. The step is
    u = (1 / a - 1) p - τ d / D, with τ = min(learning_rate, max(h - w a lower_bound, 0) w / <d, d / D>) / w, where w is
    the sum of the weights of d. The rest is that of `momo`.

    Args:
        learning_rate: The largest step size; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of d and v, in [0, 1).
        eps: Added to the root, gradient unit.
        lower_bound: A lower bound of the loss.
        weight_decay: A number or a 0-d tensor.
        adapt_lower_bound: Whether the lower bound is an estimate, as in `momo`.
    Returns:
        The transformation. It needs params. Update takes the loss as `value=`. State: `MomoAdamState`.
    Raises:
        ValueError: At update, the loss is missing.
    Source:
        Schaipp, Ohana, Eickenberg, Defazio, Gower (2023), MoMo: Momentum Models for Adaptive Learning Rates,
        algorithm 2, https://arxiv.org/abs/2305.07583; the formula is that of optax.contrib.momo_adam.
    Example:
        >>> optimizer, x = fn.optim.momo_adam(10.0), torch.tensor(3.0)
        >>> optimizer.update(2 * x, optimizer.init(x), x, value=x**2)[0]  # the loss x² at 3
        tensor(-1.5000)
    """
    check_fraction("momo_adam", b1=b1, b2=b2)
    check_not_negative("momo_adam", eps=eps)
    options = _options("momo_adam", learning_rate, lower_bound, weight_decay, adapt_lower_bound)
    init = partial(_momo_adam_init, lower_bound=lower_bound)
    update = partial(_momo_adam_update, betas=(b1, b2), eps=eps, **options)
    return on_pairs(with_state(MomoAdamState, init, update, like=("exp_avg", "exp_avg_sq")))


def _options(
    name: str, learning_rate: ScalarOrSchedule, lower_bound: Scalar, weight_decay: Scalar, adapt_lower_bound: bool
) -> dict[str, Any]:
    """Check and name the arguments that both optimizers have."""
    check_rate(name, learning_rate=learning_rate)
    check_finite(name, lower_bound=lower_bound)
    check_not_negative(name, weight_decay=weight_decay)
    least = lower_bound if adapt_lower_bound else None
    return {"learning_rate": learning_rate, "weight_decay": weight_decay, "least": least}


def _momo_init(params: Params, *, lower_bound: Scalar) -> MomoState:
    zero = zero_scalar(params)
    return MomoState(moments.zeros(params), zero, zero, zero + cast(lower_bound, zero), zero_count(params))


def _momo_adam_init(params: Params, *, lower_bound: Scalar) -> MomoAdamState:
    zeros, zero = moments.zeros(params), zero_scalar(params)
    return MomoAdamState(zeros, zeros, zero, zero, zero + cast(lower_bound, zero), zero_count(params))


def _momo_update(
    updates: Updates,
    state: MomoState,
    params: Params | None = None,
    *,
    beta: Scalar,
    learning_rate: ScalarOrSchedule,
    weight_decay: Scalar,
    least: Scalar | None,
    value: Scalar | None = None,
    **extra: Any,
) -> tuple[Updates, MomoState]:
    params = _its_params("momo", params, updates)
    started, loss = state.count > 0, _loss("momo", value, state.barf)
    inner = as_dtype(tree.dot(updates, params), loss.dtype)
    mean = select(started, moments.first(updates, state.exp_avg, beta), moments.first(updates, state.exp_avg, 0.0))
    f = torch.where(started, torch.lerp(loss, state.barf, cast(beta, loss)), loss)
    gamma = torch.where(started, torch.lerp(inner, state.gamma, cast(beta, loss)), inner)
    rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
    step, bound = _model_step(updates, mean, mean, params, f - gamma, state.lb, rate, weight_decay, least)
    return step, MomoState(mean, f, gamma, bound, state.count + 1)


def _momo_adam_update(
    updates: Updates,
    state: MomoAdamState,
    params: Params | None = None,
    *,
    betas: tuple[Scalar, Scalar],
    eps: Scalar,
    learning_rate: ScalarOrSchedule,
    weight_decay: Scalar,
    least: Scalar | None,
    value: Scalar | None = None,
    **extra: Any,
) -> tuple[Updates, MomoAdamState]:
    params = _its_params("momo_adam", params, updates)
    (b1, b2), count, loss = betas, state.count + 1, _loss("momo_adam", value, state.barf)
    inner = as_dtype(tree.dot(updates, params), loss.dtype)
    mean, square = moments.first(updates, state.exp_avg, b1), moments.second(updates, state.exp_avg_sq, b2)
    f, gamma = (torch.lerp(new, old, cast(b1, old)) for new, old in ((loss, state.barf), (inner, state.gamma)))
    direction = tree.map(lambda _, d, v: d / (v.sqrt() + eps), updates, mean, moments.unbias(square, b2, count))
    rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
    sum_of_weights = moments.bias_weight(b1, count, loss.dtype)
    step, bound = _model_step(
        updates, mean, direction, params, f - gamma, state.lb, rate, weight_decay, least, sum_of_weights
    )
    return step, MomoAdamState(mean, square, f, gamma, bound, count)


def _model_step(
    updates: Updates,
    mean: Params,
    direction: Params,
    params: Params,
    offset: Tensor,
    bound: Tensor,
    rate: Scalar,
    weight_decay: Scalar,
    least: Scalar | None,
    weight: Scalar = 1.0,
) -> tuple[Updates, Tensor]:
    """Return the step to where the model offset + <mean, p> is at weight * bound, and the next bound."""
    mean = tree.map(lambda _, m: m, updates, mean)
    slope = as_dtype(tree.dot(mean, params), offset.dtype)
    norm = as_dtype(tree.dot(mean, direction), offset.dtype)
    shrink = cast(1 + rate * weight_decay, offset)
    height = shrink * offset + slope
    if least is not None:  # a bound above the model is lowered
        lowered = (height / (2 * weight * shrink)).clamp(min=cast(least, bound))
        bound = torch.where(height < weight * shrink * bound, lowered, bound)
    size = (height - weight * shrink * bound).clamp(min=0) / torch.where(norm <= FLAT, 1, norm)
    size = torch.minimum(torch.where(norm <= FLAT, 0, size), cast(rate, offset) / weight * torch.ones_like(size))
    if least is not None:
        bound = ((offset + slope - size * norm / 2) / weight).clamp(min=cast(least, bound))

    def step(_: Tensor, d: Tensor, p: Tensor) -> Tensor:
        return cast(1 / shrink - 1, p) * p - cast(size, d) * d

    return tree.map(step, updates, direction, params), as_dtype(bound, offset.dtype)


def _its_params(name: str, params: Params | None, updates: Updates) -> Params:
    return tree.map(lambda _, p: p, updates, need_params(name, params, updates))


def _loss(name: str, value: Scalar | None, like: Tensor) -> Tensor:
    if value is None:
        raise ValueError(f"{name}: expected the loss. Call update(grads, state, params, value=…).")
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)
