"""The ADOPT optimizer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adam import ScaleByAdamState
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    cast,
    on_pairs,
    select,
    widest_dtype,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


def fourth_root(count: Tensor) -> Tensor:
    """Return the bound of ADOPT's scaled gradients after a number of updates."""
    return count**0.25


@shows_call
def scale_by_adopt(
    b1: Scalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Tensor], Scalar] = fourth_root,
) -> GradientTransformation:
    """Average gradients that are divided by their root mean square before, as `adopt` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_adopt()
        >>> first, state = part.update(params, part.init(params), params)  # with the gradient of |params|² / 2
        >>> first, part.update(params, state, params)[0]
        (tensor([0., 0.]), tensor([0.1000, 0.1000]))
    """
    check_fraction("scale_by_adopt", b1=b1, b2=b2)
    check_not_negative("scale_by_adopt", eps=eps)
    bound = clip_value_fn if use_clipping else None
    update = partial(_adopt_update, b1=b1, b2=b2, eps=eps, bound=bound, nesterov=nesterov)
    init = partial(_adopt_init, mu_dtype=mu_dtype)
    return on_pairs(with_state(ScaleByAdamState, init, update, like=("mu", "nu")))


@shows_call
def adopt(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Tensor], Scalar] = fourth_root,
) -> GradientTransformation:
    """Descend as `adam` does, with gradients divided by the root mean square of those before them.

    m = b1 m + (1 - b1) clip(g / max(sqrt(v), eps)), u = -learning_rate m, and then v = b2 v + (1 - b2) g². The first
    step only sets v = g². A gradient is independent of its divisor, so that the method converges for every b2.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and v, in [0, 1).
        eps: The least divisor, gradient unit.
        mu_dtype: The dtype of m. None: that of the parameters.
        nesterov: Whether the step looks ahead: it is b1 m + (1 - b1) clip(g / max(sqrt(v), eps)), with the new m.
        use_clipping: Whether the divided gradients are bounded.
        clip_value_fn: Their bound, a function of the number of updates so far, a 0-d floating-point tensor.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdamState` first.
    Source:
        Taniguchi et al. (2024), ADOPT: Modified Adam Can Converge with Any β2 with the Optimal Rate, algorithm 2,
        https://arxiv.org/abs/2411.02853; the formula is that of optax.contrib.adopt.
    Example:
        >>> optimizer, g = fn.optim.adopt(0.1), torch.tensor(2.0)
        >>> first, state = optimizer.update(g, optimizer.init(g))
        >>> first, optimizer.update(g, state)[0]
        (tensor(-0.), tensor(-0.0100))
    """
    scaled = scale_by_adopt(
        b1, b2, eps, mu_dtype, nesterov=nesterov, use_clipping=use_clipping, clip_value_fn=clip_value_fn
    )
    return chain(scaled, scale_by_learning_rate(learning_rate))


def _adopt_init(params: Params, *, mu_dtype: torch.dtype | None) -> ScaleByAdamState:
    return ScaleByAdamState(zero_count(params), moments.zeros(params, mu_dtype), moments.zeros(params))


def _adopt_update(
    updates: Updates,
    state: ScaleByAdamState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    bound: Callable[[Tensor], Scalar] | None,
    nesterov: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByAdamState]:
    started = state.count > 0
    scaled = _divided(updates, state.nu, eps)
    if bound is not None:
        scaled = _bounded(scaled, bound(state.count.to(torch.promote_types(widest_dtype(updates), torch.float32))))
    mu = select(started, moments.first(scaled, state.mu, b1), state.mu)
    nu = select(started, moments.second(updates, state.nu, b2), moments.second(updates, state.nu, 0.0))
    ahead = select(started, moments.first(scaled, mu, b1), mu) if nesterov else mu
    return tree.map(lambda _, m: m, updates, ahead), ScaleByAdamState(state.count + 1, mu, nu)


def _divided(updates: Updates, squares: Params, eps: Scalar) -> Updates:
    return tree.map(lambda g, v: g / v.sqrt().clamp(min=cast(eps, v)), updates, squares)


def _bounded(updates: Updates, bound: Scalar) -> Updates:
    return tree.map(lambda g: g.clamp(-cast(bound, g), cast(bound, g)), updates)
