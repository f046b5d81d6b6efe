"""The MADGRAD optimizer."""

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
    floating,
    need_params,
    on_pairs,
    widest_dtype,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative, check_rate
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.reprs import shows_call


class MadgradState(NamedTuple):
    """The state of `madgrad`."""

    count: Count  # 0-d int64, updates seen so far
    grad_sum_sq: Params  # like params: the weighted sum of squared gradients
    s: Params  # like params: the weighted sum of gradients
    x0: Params  # the first parameters


@shows_call
def scale_by_madgrad(
    learning_rate: ScalarOrSchedule, momentum: Scalar = 0.9, eps: Scalar = 1e-6
) -> GradientTransformation:
    """Replace gradients by the step of `madgrad`.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_madgrad(0.1, momentum=0.0)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3107, -0.3420])
    """
    check_rate("scale_by_madgrad", learning_rate=learning_rate)
    check_fraction("scale_by_madgrad", momentum=momentum)
    check_not_negative("scale_by_madgrad", eps=eps)
    update = partial(_madgrad_update, learning_rate=learning_rate, momentum=momentum, eps=eps)
    return on_pairs(with_state(MadgradState, _madgrad_init, update, like=("grad_sum_sq", "s", "x0")))


@shows_call
def madgrad(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar = 0.9,
    weight_decay: ScalarOrSchedule = 0.0,
    eps: Scalar = 1e-6,
) -> GradientTransformation:
    """Average the parameters with those of dual averaging, whose sums of gradients are divided by a cube root.

    λ = (learning_rate + eps) sqrt(t), s = s + λ g, v = v + λ g², z = p0 - s / (cbrt(v) + eps),
    p = momentum p + (1 - momentum) z, with t = 1 at the first update and g + weight_decay p for g.

    Args:
        learning_rate: Step size; a number, a 0-d tensor or a schedule.
        momentum: The weight of the parameters, in [0, 1).
        weight_decay: A number, a 0-d tensor or a schedule.
        eps: Added to the cube root and to the learning rate.
    Returns:
        The transformation. It needs params. State: a tuple, with a `MadgradState` last.
    Source:
        Defazio, Jelassi (2021), Adaptivity without Compromise, algorithm 1, https://arxiv.org/abs/2101.11075; the
        formula is that of optax.contrib.madgrad.
    Example:
        >>> optimizer, x = fn.optim.madgrad(1.0, momentum=0.5), torch.tensor(2.0)
        >>> optimizer.update(torch.tensor(8.0), optimizer.init(x), x)[0]
        tensor(-1.0000)
    """
    return chain(add_decayed_weights(weight_decay), scale_by_madgrad(learning_rate, momentum, eps))


def _madgrad_init(params: Params) -> MadgradState:
    zeros = moments.zeros(params)
    return MadgradState(zero_count(params), zeros, zeros, floating(params))


def _madgrad_update(
    updates: Updates,
    state: MadgradState,
    params: Params | None = None,
    *,
    learning_rate: ScalarOrSchedule,
    momentum: Scalar,
    eps: Scalar,
    **extra: Any,
) -> tuple[Updates, MadgradState]:
    rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
    t = (state.count + 1).to(torch.promote_types(widest_dtype(updates), torch.float32))
    weight = (rate + eps) * t.sqrt()

    def add(total: Tensor, x: Tensor) -> Tensor:
        return total + as_dtype(as_dtype(weight, x.dtype) * x, total.dtype)

    squares = tree.map(lambda g, v: add(v, g * g), updates, state.grad_sum_sq)
    sums = tree.map(lambda g, s: add(s, g), updates, state.s)

    def step(p: Tensor, s: Tensor, v: Tensor, start: Tensor) -> Tensor:
        return (1 - momentum) * (start - s / (v ** (1 / 3) + eps) - p)

    params = tree.map(lambda _, p: p, updates, need_params("scale_by_madgrad", params, updates))
    step_tree = tree.map(step, params, sums, squares, state.x0)
    return step_tree, MadgradState(state.count + 1, squares, sums, state.x0)
