"""The AdaGrad optimizer."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import GradientTransformation, Params, Scalar, ScalarOrSchedule, Updates, as_dtype, on_pairs
from funcnet.optim.ranges import check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByRssState(NamedTuple):
    """The state of AdaGrad."""

    sum_of_squares: Params  # like params: the sum of all squared gradients


@shows_call
def scale_by_rss(initial_accumulator_value: Scalar = 0.1, eps: Scalar = 1e-7) -> GradientTransformation:
    """Divide updates by the root of the sum of all their squares, as `adagrad` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_rss()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.9945, 0.9969])
    """
    check_not_negative("scale_by_rss", initial_accumulator_value=initial_accumulator_value, eps=eps)
    init = partial(_rss_init, initial_accumulator_value=initial_accumulator_value)
    return on_pairs(with_state(ScaleByRssState, init, partial(_rss_update, eps=eps), like=("sum_of_squares",)))


@shows_call
def adagrad(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: Scalar = 0.1, eps: Scalar = 1e-7
) -> GradientTransformation:
    """Descend along the gradient over the root of the sum of all its squares.

    s = s + g², u = -learning_rate g / sqrt(s + eps), or 0 where s is 0, as in Optax. torch.optim.Adagrad has
    u = -learning_rate g / (sqrt(s) + eps) and starts s from 0; the two agree for eps = 0 and the same start.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        initial_accumulator_value: The first s, gradient unit squared.
        eps: Keeps the divisor from 0, gradient unit squared.
    Returns:
        The transformation. State: a tuple, with a `ScaleByRssState` first.
    Source:
        Duchi, Hazan, Singer (2011), Adaptive Subgradient Methods, https://jmlr.org/papers/v12/duchi11a.html
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.adagrad(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.0994, -0.0997])
    """
    return chain(scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate))


def _rss_init(params: Params, *, initial_accumulator_value: Scalar) -> ScaleByRssState:
    return ScaleByRssState(moments.full(params, initial_accumulator_value))


def _rss_update(
    updates: Updates, state: ScaleByRssState, params: Params | None = None, *, eps: Scalar, **extra: Any
) -> tuple[Updates, ScaleByRssState]:
    total = tree.map(lambda s, g: s if g is None else as_dtype(s + g * g, s.dtype), state.sum_of_squares, updates)
    return tree.map(lambda g, s: g * inverse_root(s, eps), updates, total), ScaleByRssState(total)


def inverse_root(s: Tensor, eps: Scalar) -> Tensor:
    """Compute 1 / sqrt(s + eps), or 0 where s is 0; the first `where` keeps its gradient finite there."""
    seen = s > 0
    return torch.where(seen, torch.rsqrt(torch.where(seen, s + eps, 1)), 0)
