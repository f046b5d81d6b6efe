"""The Adan optimizer."""

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
    on_pairs,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByAdanState(NamedTuple):
    """The state of Adan."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params: the mean of gradients
    delta: Params  # like params: the mean of their differences
    nu: Params  # like params: the mean of squared extrapolated gradients
    grad: Params  # like params: the last gradient


@shows_call
def scale_by_adan(
    b1: Scalar = 0.98, b2: Scalar = 0.92, b3: Scalar = 0.99, eps: Scalar = 1e-8, eps_root: Scalar = 0.0
) -> GradientTransformation:
    """Divide an extrapolated mean of gradients by its root mean square, as `adan` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_adan()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.0000, 1.0000])
    """
    check_fraction("scale_by_adan", b1=b1, b2=b2, b3=b3)
    check_not_negative("scale_by_adan", eps=eps, eps_root=eps_root)
    update = partial(_adan_update, b1=b1, b2=b2, b3=b3, eps=eps, eps_root=eps_root)
    return on_pairs(with_state(ScaleByAdanState, _adan_init, update, like=("mu", "delta", "nu", "grad")))


@shows_call
def adan(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.98,
    b2: Scalar = 0.92,
    b3: Scalar = 0.99,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `adam` does, with Nesterov momentum estimated from differences of gradients.

    d = g - last g (0 at first), m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) d,
    n = b3 n + (1 - b3) (g + (1 - b2) d)², u = -learning_rate ((m̂ + (1 - b2) v̂) / (sqrt(n̂ + eps_root) + eps) +
    weight_decay p), where m̂, v̂ and n̂ are divided by the sums of their weights.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2, b3: Decay of m, v and n, in [0, 1).
        eps, eps_root: Added to the root, gradient unit; and below it.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdanState` first.
    Source:
        Xie, Zhou, Li, Lin, Yan (2022), Adan, algorithm 1, https://arxiv.org/abs/2208.06677; as in Optax, weights decay
        by addition to the update.
    Example:
        >>> optimizer, params = fn.optim.adan(0.1), torch.tensor(0.0)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(params), params)[0]
        tensor(-0.1000)
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _adan_init(params: Params) -> ScaleByAdanState:
    zeros = moments.zeros(params)
    return ScaleByAdanState(zero_count(params), zeros, zeros, zeros, zeros)


def _adan_update(
    updates: Updates,
    state: ScaleByAdanState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    b3: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByAdanState]:
    count = state.count + 1
    difference = tree.map(lambda g, last: torch.where(count == 1, 0, g - last), updates, state.grad)
    ahead = tree.map(lambda g, d: g + (1 - b2) * d, updates, difference)
    mu, delta = moments.first(updates, state.mu, b1), moments.first(difference, state.delta, b2)
    nu = moments.second(ahead, state.nu, b3)

    def direction(_: Tensor, m: Tensor, v: Tensor, n: Tensor) -> Tensor:
        return (m + (1 - b2) * v) / ((n + eps_root).sqrt() + eps)

    unbiased = [moments.unbias(mean, decay, count) for mean, decay in ((mu, b1), (delta, b2), (nu, b3))]
    last = tree.map(lambda old, g: old if g is None else as_dtype(g, old.dtype), state.grad, updates)
    return tree.map(direction, updates, *unbiased), ScaleByAdanState(count, mu, delta, nu, last)
