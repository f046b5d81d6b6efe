"""The Adamax optimizer."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adam import ScaleByAdamState, zero_moments
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    as_dtype,
    on_pairs,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


@shows_call
def scale_by_adamax(b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8) -> GradientTransformation:
    """Divide the mean of gradients by their decaying maximum, as `adamax` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_adamax()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.0000, 1.0000])
    """
    check_fraction("scale_by_adamax", b1=b1, b2=b2)
    check_not_negative("scale_by_adamax", eps=eps)
    return on_pairs(
        with_state(ScaleByAdamState, zero_moments, partial(_adamax_update, b1=b1, b2=b2, eps=eps), like=("mu", "nu"))
    )


@shows_call
def adamax(
    learning_rate: ScalarOrSchedule, b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8
) -> GradientTransformation:
    """Descend by the mean gradient over its decaying maximum.

    m = b1 m + (1 - b1) g, v = max(b2 v, |g| + eps), u = -learning_rate m / (1 - b1^t) / v. torch.optim.Adamax has the
    same formula.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of v, in [0, 1).
        eps: Keeps the divisor from 0; gradient unit.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdamState` first.
    Source:
        Kingma, Ba (2015), Adam, section 7.1, https://arxiv.org/abs/1412.6980
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.adamax(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1000, -0.1000])
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


@shows_call
def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `adamax` does, with decoupled weight decay as in `adamw`.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.adamaxw(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1000, -0.1000])
    """
    return chain(
        scale_by_adamax(b1, b2, eps), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)
    )


def _adamax_update(
    updates: Updates,
    state: ScaleByAdamState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByAdamState]:
    def largest(v: Tensor, g: Tensor | None) -> Tensor:
        return v if g is None else as_dtype(torch.maximum(b2 * v, g.abs() + eps), v.dtype)

    count, mu, nu = state.count + 1, moments.first(updates, state.mu, b1), tree.map(largest, state.nu, updates)
    updates = tree.map(lambda _, m, v: m / v, updates, moments.unbias(mu, b1, count), nu)
    return updates, ScaleByAdamState(count, mu, nu)
