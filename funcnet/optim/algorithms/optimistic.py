"""Optimistic gradient descent and optimistic Adam, for games."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adam import scale_by_adam
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    as_dtype,
    cast,
    zero_count,
)
from funcnet.optim.ranges import check_finite, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByOptimisticGradientState(NamedTuple):
    """The state of `scale_by_optimistic_gradient`."""

    is_initial_step: Tensor  # 0-d bool
    previous_gradient: Params  # like params


@shows_call
def scale_by_optimistic_gradient(alpha: Scalar = 1.0, beta: Scalar = 1.0) -> GradientTransformation:
    """Extrapolate updates along their change: u = alpha g + beta (g - last g), and alpha g at first.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_optimistic_gradient()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3., 4.])
    """
    check_finite("scale_by_optimistic_gradient", alpha=alpha, beta=beta)
    update = partial(_optimistic_update, alpha=alpha, beta=beta)
    return with_state(ScaleByOptimisticGradientState, _optimistic_init, update, like=("previous_gradient",))


@shows_call
def optimistic_gradient_descent(
    learning_rate: ScalarOrSchedule, alpha: Scalar = 1.0, beta: Scalar = 1.0
) -> GradientTransformation:
    """Descend along the gradient, extrapolated by its change: u = -learning_rate (alpha g + beta (g - last g)).

    It converges in games such as min_x max_y x y, around whose solution gradient descent circles.

    Args:
        learning_rate: Step size, parameter unit squared over loss unit; a number, a 0-d tensor or a schedule.
        alpha, beta: Weights of the gradient and of its change.
    Returns:
        The transformation. State: a tuple, with a `ScaleByOptimisticGradientState` first.
    Source:
        Mokhtari, Ozdaglar, Pattathil (2019), A Unified Analysis of Extra-gradient and Optimistic Gradient Methods,
        https://arxiv.org/abs/1901.08511
    Example:
        >>> optimizer = fn.optim.optimistic_gradient_descent(0.1)
        >>> _, state = optimizer.update(torch.tensor(2.0), optimizer.init(torch.tensor(0.0)))
        >>> optimizer.update(torch.tensor(3.0), state)[0]
        tensor(-0.4000)
    """
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


@shows_call
def optimistic_adam(
    learning_rate: Scalar,
    optimism: Scalar | None = None,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    """Descend as `nadam` does, with its direction d extrapolated: u = -learning_rate d - optimism (d - last d).

    Args:
        learning_rate: Step size, parameter unit; a number or a 0-d tensor.
        optimism: The weight of the change. None: learning_rate.
        b1, b2, eps, eps_root, mu_dtype, nesterov: The options of `adam`.
    Returns:
        The transformation. State: a tuple of a `ScaleByAdamState`, a `ScaleByOptimisticGradientState` and ().
    Source:
        Daskalakis, Ilyas, Syrgkanis, Zeng (2017), Training GANs with Optimism, algorithm 1,
        https://arxiv.org/abs/1711.00141
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.optimistic_adam(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1474, -0.1474])
    """
    check_not_negative("optimistic_adam", learning_rate=learning_rate)
    first = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    beta = learning_rate if optimism is None else optimism
    return chain(first, scale_by_optimistic_gradient(learning_rate, beta), scale_by_learning_rate(1.0))


@shows_call
def optimistic_adam_v2(
    learning_rate: ScalarOrSchedule,
    *,
    alpha: Scalar = 1.0,
    beta: Scalar = 1.0,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    nesterov: bool = True,
) -> GradientTransformation:
    """Descend as `optimistic_adam` does, with a schedule: u = -learning_rate (alpha d + beta (d - last d)).

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        alpha, beta: Weights of the direction and of its change.
        b1, b2, eps, eps_root, mu_dtype, nesterov: The options of `adam`.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.optimistic_adam_v2(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1474, -0.1474])
    """
    first = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return chain(first, scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


def _optimistic_init(params: Params) -> ScaleByOptimisticGradientState:
    return ScaleByOptimisticGradientState(zero_count(params) == 0, moments.zeros(params))


def _optimistic_update(
    updates: Updates,
    state: ScaleByOptimisticGradientState,
    params: Params | None = None,
    *,
    alpha: Scalar,
    beta: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByOptimisticGradientState]:
    def extrapolated(g: Tensor, last: Tensor) -> Tensor:
        return cast(alpha + beta, g) * g - cast(beta, g) * torch.where(state.is_initial_step, g, last)

    kept = tree.map(lambda old, g: old if g is None else as_dtype(g, old.dtype), state.previous_gradient, updates)
    after = ScaleByOptimisticGradientState(torch.zeros_like(state.is_initial_step), kept)
    return tree.map(extrapolated, updates, state.previous_gradient), after
