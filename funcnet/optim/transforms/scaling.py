"""Transformations that scale updates."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Schedule,
    Updates,
    cast,
    global_norm,
    need_params,
    on_pairs,
    stateless,
    widest_dtype,
    zero_count,
)
from funcnet.optim.ranges import check_finite, check_not_negative, check_rate
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call
from funcnet.tree.elementwise import map_elementwise


class ScaleByScheduleState(NamedTuple):
    """The state of a schedule."""

    count: Count  # 0-d int64, updates seen so far
    step_size: Tensor  # 0-d, the value of the schedule at the last update, or at the first


@shows_call
def scale(step_size: Scalar) -> GradientTransformation:
    """Multiply updates by a number: u = step_size g.

    Example:
        >>> double = fn.optim.scale(2.0)
        >>> double.update(torch.tensor(3.0), double.init(None))
        (tensor(6.), ())
    """
    check_finite("scale", step_size=step_size)
    return stateless(partial(_scale, step_size=step_size))


@shows_call
def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Multiply updates by the value of a schedule: u = step_size_fn(t) g, with t = 0 at the first update.

    Args:
        step_size_fn: A function from a 0-d int64 tensor to a number or a 0-d tensor.
    Returns:
        The transformation. State: `ScaleByScheduleState`.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_schedule(lambda count: -0.1 / (1 + count))
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3000, -0.4000])
    """
    return _by_schedule(step_size_fn, sign=1)


@shows_call
def scale_by_learning_rate(learning_rate: ScalarOrSchedule, *, flip_sign: bool = True) -> GradientTransformation:
    """Multiply updates by -learning_rate, or by learning_rate unless flip_sign: the last part of most optimizers.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_learning_rate(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3000, -0.4000])
    """
    check_rate("scale_by_learning_rate", learning_rate=learning_rate)
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return _by_schedule(learning_rate, sign=sign)
    return scale(sign * learning_rate)


@shows_call
def scale_by_sign() -> GradientTransformation:
    """Replace updates by their signs: -1, 0 or 1.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_sign()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1., 1.])
    """
    return on_pairs(stateless(partial(_each, f=torch.sign)))


@shows_call
def scale_by_param_block_norm(min_scale: Scalar = 1e-3) -> GradientTransformation:
    """Multiply the update of each leaf by the Euclidean norm of its parameter, or by min_scale if that is larger.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_param_block_norm()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([15., 20.])
    """
    return stateless(partial(_by_param, size=torch.linalg.vector_norm, min_scale=min_scale))


@shows_call
def scale_by_param_block_rms(min_scale: Scalar = 1e-3) -> GradientTransformation:
    """Multiply the update of each leaf by the root mean square of its parameter, or by min_scale if that is larger.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_param_block_rms()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([10.6066, 14.1421])
    """
    return stateless(partial(_by_param, size=rms, min_scale=min_scale))


@shows_call
def scale_by_trust_ratio(
    min_norm: Scalar = 0.0, trust_coefficient: Scalar = 1.0, eps: Scalar = 0.0
) -> GradientTransformation:
    """Scale the update of each leaf in proportion to its parameter: u = g trust_coefficient |p| / (|g| + eps).

    Where |p| or |g| is 0, the update is unchanged.

    Args:
        min_norm: Lower bound on either norm.
        trust_coefficient: The ratio of the update's norm to that of the parameter.
        eps: Added to the norm of the update.
    Source:
        You, Gitman, Ginsburg (2017), Large Batch Training of Convolutional Networks, https://arxiv.org/abs/1708.03888
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_trust_ratio()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3., 4.])
    """
    check_not_negative("scale_by_trust_ratio", min_norm=min_norm, trust_coefficient=trust_coefficient, eps=eps)
    return stateless(partial(_trust, min_norm=min_norm, trust_coefficient=trust_coefficient, eps=eps))


@shows_call
def centralize() -> GradientTransformation:
    """Subtract the mean over all axes except the first from updates with two or more axes.

    Source:
        Yong, Huang, Hua, Zhang (2020), Gradient Centralization, https://arxiv.org/abs/2004.01461
    Example:
        >>> params, part = torch.tensor([[3.0, 1.0], [0.0, 4.0]]), fn.optim.centralize()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([[ 1., -1.],
                [-2.,  2.]])
    """
    return stateless(partial(_each, f=_centre))


@shows_call
def normalize() -> GradientTransformation:
    """Divide updates by their global norm, as the adversarial step of `sam` does; updates of 0 do not change.

    Example:
        >>> unit = fn.optim.normalize()
        >>> unit.update({"a": torch.tensor(3.0), "b": torch.tensor(-4.0)}, unit.init(None))[0]
        {'a': tensor(0.6000), 'b': tensor(-0.8000)}
    """
    return stateless(_normalized)


@shows_call
def normalize_by_update_norm(scale_factor: Scalar = 1.0, eps: Scalar = 1e-6) -> GradientTransformation:
    """Scale updates to a global norm: u = scale_factor g / (|g| + eps).

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.normalize_by_update_norm()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.6000, 0.8000])
    """
    check_not_negative("normalize_by_update_norm", scale_factor=scale_factor, eps=eps)
    return stateless(partial(_normalized_by, scale_factor=scale_factor, eps=eps))


def rms(x: Tensor) -> Tensor:
    """Return the root mean square of a tensor; its gradient at 0 is 0."""
    return torch.linalg.vector_norm(x) / max(x.numel(), 1) ** 0.5


def start_schedule(params: Params, *, step_size_fn: ScalarOrSchedule) -> ScaleByScheduleState:
    """Return the initial state of a schedule, or of a constant."""
    count = zero_count(params)
    value = step_size_fn(count) if callable(step_size_fn) else step_size_fn
    state = ScaleByScheduleState(count, torch.zeros((), dtype=widest_dtype(params), device=count.device))
    return state._replace(step_size=_like(state.step_size, value))


def next_schedule(state: ScaleByScheduleState, step_size: Scalar) -> ScaleByScheduleState:
    """Return the state after an update with this value."""
    return ScaleByScheduleState(state.count + 1, _like(state.step_size, step_size))


def _like(old: Tensor, value: Scalar) -> Tensor:
    return value.to(old.dtype) if isinstance(value, Tensor) else torch.full_like(old, value)


def _by_schedule(step_size_fn: Schedule, *, sign: int) -> GradientTransformation:
    init = partial(start_schedule, step_size_fn=step_size_fn)
    update = partial(_schedule_update, step_size_fn=step_size_fn, sign=sign)
    return with_state(ScaleByScheduleState, init, update)


def _scale(updates: Updates, params: Params | None, *, step_size: Scalar) -> Updates:
    return tree.scale(step_size, updates)


def _schedule_update(
    updates: Updates,
    state: ScaleByScheduleState,
    params: Params | None = None,
    *,
    step_size_fn: Schedule,
    sign: int,
    **extra: Any,
) -> tuple[Updates, ScaleByScheduleState]:
    step_size = step_size_fn(state.count)
    updates = map_elementwise(lambda g: cast(sign * step_size, g) * g, updates)
    return updates, next_schedule(state, step_size)


def _each(updates: Updates, params: Params | None, *, f: Callable[[Tensor], Tensor]) -> Updates:
    return tree.map(f, updates)


def _by_param(
    updates: Updates, params: Params | None, *, size: Callable[[Tensor], Tensor], min_scale: Scalar
) -> Updates:
    def scaled(g: Tensor, p: Tensor) -> Tensor:
        extent = size(p)
        return g * extent.clamp(min=cast(min_scale, extent))

    return tree.map(scaled, updates, need_params("scale_by_param_block", params, updates))


def _trust(
    updates: Updates, params: Params | None, *, min_norm: Scalar, trust_coefficient: Scalar, eps: Scalar
) -> Updates:
    def trust(g: Tensor, p: Tensor) -> Tensor:
        norms = (torch.linalg.vector_norm(x) for x in (p, g))
        size, step = (norm.clamp(min=cast(min_norm, norm)) for norm in norms)
        none = (size == 0) | (step == 0)
        # a norm of 0 is replaced before the division, so that the gradient is finite
        ratio = trust_coefficient * size / (torch.where(none, 1, step) + eps)
        return g * torch.where(none, 1, ratio)

    return tree.map(trust, updates, need_params("scale_by_trust_ratio", params, updates))


def _normalized(updates: Updates, params: Params | None) -> Updates:
    norm = global_norm(updates)
    return tree.scale(1 / torch.where(norm == 0, 1, norm), updates)


def _normalized_by(updates: Updates, params: Params | None, *, scale_factor: Scalar, eps: Scalar) -> Updates:
    return tree.scale(scale_factor / (global_norm(updates) + eps), updates)


def _centre(g: Tensor) -> Tensor:
    return g - g.mean(tuple(range(1, g.ndim)), keepdim=True) if g.ndim > 1 else g
