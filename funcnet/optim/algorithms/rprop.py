"""Resilient backpropagation."""

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
    Updates,
    as_dtype,
    cast,
    on_pairs,
)
from funcnet.optim.ranges import check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale
from funcnet.reprs import shows_call


class ScaleByRpropState(NamedTuple):
    """The state of Rprop."""

    step_sizes: Params  # like params
    prev_updates: Params  # like params: the last update with the sign of its gradient


@shows_call
def scale_by_rprop(
    learning_rate: Scalar,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
) -> GradientTransformation:
    """Replace updates by step sizes with the signs of the gradients, as `rprop` does.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_rprop(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.1000, 0.1000])
    """
    check_not_negative("scale_by_rprop", learning_rate=learning_rate, eta_minus=eta_minus, eta_plus=eta_plus)
    check_not_negative("scale_by_rprop", min_step_size=min_step_size, max_step_size=max_step_size)
    update = partial(_rprop_update, factors=(eta_minus, eta_plus), bounds=(min_step_size, max_step_size))
    init = partial(_rprop_init, learning_rate=learning_rate)
    return on_pairs(with_state(ScaleByRpropState, init, update, like=("step_sizes", "prev_updates")))


@shows_call
def rprop(
    learning_rate: Scalar,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
) -> GradientTransformation:
    """Descend by the sign of the gradient, with a step size per number that grows while the sign stays the same.

    Where the sign of g is that of the last gradient, s = eta_plus s; where it changed, s = eta_minus s, the update is 0
    and the sign is forgotten. u = -s sign(g). Full batches only: the signs of minibatches are noise.

    Args:
        learning_rate: The first step size, parameter unit.
        eta_minus, eta_plus: The factors of step sizes, below and above 1.
        min_step_size, max_step_size: Bounds of step sizes, parameter unit.
    Returns:
        The transformation. State: a tuple, with a `ScaleByRpropState` first.
    Source:
        Igel, Hüsken (2000), Improving the Rprop Learning Algorithm, iRprop-; options and result of
        torch.optim.Rprop, whose etas and step_sizes are these. (optax.rprop applies every update one step late.)
    Example:
        >>> optimizer = fn.optim.rprop(0.1)
        >>> updates, state = optimizer.update(torch.tensor([5.0, -3.0]), optimizer.init(torch.zeros(2)))
        >>> optimizer.update(torch.tensor([2.0, -1.0]), state)[0]
        tensor([-0.1200,  0.1200])
    """
    return chain(scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size), scale(-1.0))


def _rprop_init(params: Params, *, learning_rate: Scalar) -> ScaleByRpropState:
    return ScaleByRpropState(moments.full(params, learning_rate), moments.zeros(params))


def _rprop_update(
    updates: Updates,
    state: ScaleByRpropState,
    params: Params | None = None,
    *,
    factors: tuple[Scalar, Scalar],
    bounds: tuple[Scalar, Scalar],
    **extra: Any,
) -> tuple[Updates, ScaleByRpropState]:
    minus, plus = factors

    def resized(s: Tensor, g: Tensor | None, last: Tensor) -> Tensor:
        if g is None:
            return s
        low, high = (torch.as_tensor(cast(bound, s), dtype=s.dtype, device=s.device) for bound in bounds)
        agreement = g * last
        changed = torch.where(agreement > 0, s * cast(plus, s), s * cast(minus, s)).clamp(low, high)
        return torch.where(agreement == 0, s, changed)

    def signed(g: Tensor, s: Tensor, last: Tensor) -> Tensor:
        return torch.where(g * last < 0, 0, s * g.sign())

    sizes = tree.map(resized, state.step_sizes, updates, state.prev_updates)
    updates = tree.map(signed, updates, sizes, state.prev_updates)
    kept = tree.map(lambda old, u: old if u is None else as_dtype(u, old.dtype), state.prev_updates, updates)
    return updates, ScaleByRpropState(sizes, kept)
