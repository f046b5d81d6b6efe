"""COCOB, which bets coins instead of taking steps of a given size."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import (
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
)
from funcnet.optim.ranges import check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class COCOBState(NamedTuple):
    """The state of `cocob`."""

    init_particles: Params  # the first parameters
    cumulative_gradients: Params  # like params: minus the sum of gradients
    scale: Params  # like params: the largest absolute gradient
    subgradients: Params  # like params: the sum of absolute gradients
    reward: Params  # like params: the money won so far


FIELDS = COCOBState._fields


@shows_call
def scale_by_cocob(alpha: Scalar = 100.0, eps: Scalar = 1e-8) -> GradientTransformation:
    """Replace gradients by the step of `cocob`.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_cocob()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.0100, -0.0100])
    """
    check_not_negative("scale_by_cocob", alpha=alpha, eps=eps)
    init, update = partial(_cocob_init, eps=eps), partial(_cocob_update, alpha=alpha)
    return on_pairs(with_state(COCOBState, init, update, like=FIELDS))


@shows_call
def cocob(
    learning_rate: ScalarOrSchedule = 1.0,
    alpha: Scalar = 100.0,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend without a step size: each entry bets money on the sign of its next gradient.

    c = learning_rate (g + weight_decay p), L = max(L, |c|), G = G + |c|, R = max(R - c (p - p0), 0), C = C - c,
    p = p0 + C (L + R) / (L max(G + L, alpha L)).

    Args:
        learning_rate: A factor of the gradients; 1 unless there is a schedule.
        alpha: The inverse of the fraction of the money that the first steps bet.
        eps: The first L, gradient unit.
        weight_decay: A number, a 0-d tensor or a schedule.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. It needs params. State: a tuple, with a `COCOBState` last.
    Source:
        Orabona, Tommasi (2017), Training Deep Networks without Learning Rates Through Coin Betting, algorithm 2,
        https://arxiv.org/abs/1705.07795; the formula is that of optax.contrib.cocob.
    Example:
        >>> optimizer, x = fn.optim.cocob(alpha=10.0), torch.tensor(2.0)
        >>> optimizer.update(torch.tensor(5.0), optimizer.init(x), x)[0]
        tensor(-0.1000)
    """
    return chain(
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate, flip_sign=False),
        scale_by_cocob(alpha, eps),
    )


def _cocob_init(params: Params, *, eps: Scalar) -> COCOBState:
    zeros = moments.zeros(params)
    return COCOBState(floating(params), zeros, moments.full(params, eps), zeros, zeros)


def _cocob_update(
    updates: Updates, state: COCOBState, params: Params | None = None, *, alpha: Scalar, **extra: Any
) -> tuple[Updates, COCOBState]:
    params = need_params("scale_by_cocob", params, updates)
    updates = tree.map(lambda g, most: as_dtype(g, most.dtype), updates, state.scale)
    largest = tree.map(lambda g, most: torch.maximum(most, g.abs()), updates, state.scale)
    total = tree.map(lambda g, total: total + g.abs(), updates, state.subgradients)
    sums = tree.map(lambda g, sum: sum - g, updates, state.cumulative_gradients)
    reward = tree.map(_won, updates, state.reward, params, state.init_particles)

    def step(p: Tensor, start: Tensor, sum: Tensor, most: Tensor, total: Tensor, reward: Tensor) -> Tensor:
        bet = sum / (most * torch.maximum(total + most, cast(alpha, most) * most))
        return start - p + bet * (most + reward)

    params = tree.map(lambda _, p: p, updates, params)
    step_tree = tree.map(step, params, state.init_particles, sums, largest, total, reward)
    return step_tree, COCOBState(state.init_particles, sums, largest, total, reward)


def _won(g: Tensor, reward: Tensor, p: Tensor, start: Tensor) -> Tensor:
    return (reward - g * (p - start)).clamp(min=0)
