"""Mechanic, which learns the scale of the updates of an optimizer."""

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
    State,
    Updates,
    as_dtype,
    cast,
    floating,
    need_params,
    select,
    zero_count,
)
from funcnet.optim.distance import zero_scalar
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_count, check_not_negative, check_parts
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call


class MechanicState(NamedTuple):
    """The state of `mechanize`: a gambler per decay rate, who bets on the direction of the optimizer."""

    base_optimizer_state: State  # of the optimizer
    count: Count  # 0-d int64, updates seen so far
    r: Tensor  # (num_betas,): the money won
    m: Tensor  # (num_betas,): the largest |h|
    v: Tensor  # (num_betas,): the sum of h²
    s: Tensor  # (num_betas,): the bets; their sum is the scale
    x0: Params  # the first parameters


@shows_call
def mechanize(
    base_optimizer: GradientTransformation,
    weight_decay: Scalar = 1e-2,
    eps: Scalar = 1e-8,
    s_init: Scalar = 1e-6,
    num_betas: int = 6,
) -> GradientTransformation:
    """Multiply the sum of an optimizer's updates by a scale that is learned, in place of a learning rate.

    With Δ the sum of updates so far, so that p = p0 + S Δ, and c = g + weight_decay S |g| p / |p|: h = -<c, Δ>, and
    for b = 0.9, 0.99, …: m = max(b m, |h|), v = b² v + h², r = b r + s clip(h, -m, m), with the old m in the bound, and
    s = (s_init m / num_betas + max(r, 0)) / sqrt(v). Then S is the sum of the s and Δ grows by the optimizer's update.

    Args:
        base_optimizer: The optimizer, with a learning rate of 1 or a schedule that starts or peaks at 1.
        weight_decay: The factor of the parameters.
        eps: Added to divisors.
        s_init: The first scale.
        num_betas: The number of decay rates.
    Returns:
        The transformation. It needs params. State: `MechanicState`.
    Source:
        Cutkosky, Defazio, Mehta (2023), Mechanic: A Learning Rate Tuner, algorithm 1,
        https://arxiv.org/abs/2306.00144; the formula is that of optax.contrib.mechanize.
    Example:
        >>> optimizer, x = fn.optim.mechanize(fn.optim.sgd(1.0), s_init=0.5), torch.tensor(2.0)
        >>> first, state = optimizer.update(torch.tensor(4.0), optimizer.init(x), x)
        >>> first == -4.0 * state.s.sum()
        tensor(True)
    """
    check_parts("mechanize", [base_optimizer])
    check_not_negative("mechanize", weight_decay=weight_decay, eps=eps, s_init=s_init)
    check_count("mechanize", num_betas=num_betas)
    base = with_extra_args_support(base_optimizer)
    update = partial(_mechanic_update, base=base, weight_decay=weight_decay, eps=eps, s_init=s_init)
    init = partial(_mechanic_init, base=base, s_init=s_init, num_betas=num_betas)
    return with_state(MechanicState, init, update, like=("x0",))


def _mechanic_init(params: Params, *, base: GradientTransformation, s_init: Scalar, num_betas: int) -> MechanicState:
    zeros = zero_scalar(params).expand(num_betas).clone()
    bets = zeros + cast(s_init, zeros)
    return MechanicState(base.init(params), zero_count(params), zeros, zeros, zeros, bets, floating(params))


def _mechanic_update(
    updates: Updates,
    state: MechanicState,
    params: Params | None = None,
    *,
    base: GradientTransformation,
    weight_decay: Scalar,
    eps: Scalar,
    s_init: Scalar,
    **extra: Any,
) -> tuple[Updates, MechanicState]:
    change, base_state = base.update(updates, state.base_optimizer_state, params, **extra)
    params = tree.map(lambda _, p: p, updates, need_params("mechanize", params, updates))
    start = select(state.count == 0, tree.map(lambda x, p: x if p is None else p, state.x0, params), state.x0)
    scale = state.s.sum()
    pull = cast(weight_decay, scale) * scale * _norm(updates, scale) / (_norm(params, scale) + eps)
    decayed = tree.map(lambda g, p: g + cast(pull, g) * p, updates, params)
    moved = tree.map(lambda p, p0: (p - p0) / (cast(scale, p) + eps), params, start)
    h = -as_dtype(tree.dot(decayed, moved), scale.dtype)
    r, m, v, s = _bet(h, state, eps, s_init)

    def step(u: Tensor, p: Tensor, p0: Tensor, delta: Tensor) -> Tensor:
        return p0 - p + cast(s.sum(), p) * (delta + u)

    step_tree = tree.map(step, change, params, start, moved)
    return step_tree, MechanicState(base_state, state.count + 1, r, m, v, s, start)


def _bet(h: Tensor, state: MechanicState, eps: Scalar, s_init: Scalar) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the money, the largest |h|, the sum of h² and the bets after the gain h per unit."""
    size = len(state.s)
    betas = 1 - h.new_full((size,), 0.1) ** torch.arange(1, size + 1, dtype=h.dtype, device=h.device)
    m = torch.maximum(betas * state.m, h.abs() + cast(eps, h))
    v = betas.square() * state.v + h.square()
    r = betas * state.r + torch.maximum(torch.minimum(h, state.m), -state.m) * state.s
    s = (cast(s_init, m) / size * m + r.clamp(min=0)) / (_root(v) + cast(eps, h))
    return r, m, v, s


def _root(x: Tensor) -> Tensor:
    """Return the square root, with the derivative 0 at 0: in the first step there is no gain."""
    none = x == 0
    return torch.where(none, 0, torch.where(none, 1, x).sqrt())


def _norm(values: Params, like: Tensor) -> Tensor:
    return as_dtype(tree.norm(values), like.dtype)
