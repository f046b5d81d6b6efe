"""The AdEMAMix optimizer."""

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
    cast,
    on_pairs,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative, check_rate
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByAdemamixState(NamedTuple):
    """The state of AdEMAMix."""

    count: Count  # 0-d int64, updates seen so far
    count_m2: Count  # 0-d int64: the argument of the schedules of b3 and alpha
    m1: Params  # like params, in mu_dtype: the fast mean of gradients
    m2: Params  # like params, in mu_dtype: the slow mean of gradients
    nu: Params  # like params, in mu_dtype: the mean of squared gradients


@shows_call
def scale_by_ademamix(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 6.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Divide a mixture of two means of gradients by their root mean square, as `ademamix` does.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_ademamix()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.0006, 1.0006])
    """
    check_fraction("scale_by_ademamix", b1=b1, b2=b2, **({} if callable(b3) else {"b3": b3}))
    check_rate("scale_by_ademamix", alpha=alpha)
    check_not_negative("scale_by_ademamix", eps=eps, eps_root=eps_root)
    update = partial(_ademamix_update, b1=b1, b2=b2, b3=b3, alpha=alpha, eps=eps, eps_root=eps_root)
    init = partial(_ademamix_init, mu_dtype=mu_dtype)
    return on_pairs(with_state(ScaleByAdemamixState, init, update, like=("m1", "m2", "nu")))


@shows_call
def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `adamw` does, with a second, slow mean of gradients.

    m1 = b1 m1 + (1 - b1) g, m2 = b3 m2 + (1 - b3) g, v = b2 v + (1 - b2) g²,
    u = -learning_rate ((m̂1 + alpha m2) / (sqrt(v̂ + eps_root) + eps) + weight_decay p), where m̂1 and v̂ are divided by
    the sums of their weights.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2, b3: Decay of m1, v and m2, in [0, 1); b3 may be a schedule.
        alpha: Weight of the slow mean; may be a schedule.
        eps, eps_root: Added to the root, gradient unit; and below it.
        mu_dtype: The dtype of the three means. None: that of the parameters.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdemamixState` first.
    Source:
        Pagliardini, Ablin, Grangier (2024), The AdEMAMix Optimizer, algorithm 1, https://arxiv.org/abs/2409.03137
    Example:
        >>> optimizer, params = fn.optim.ademamix(0.1, b3=0.5), torch.tensor(0.0)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(params), params)[0]
        tensor(-0.3500)
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _ademamix_init(params: Params, *, mu_dtype: torch.dtype | None) -> ScaleByAdemamixState:
    zeros, count = moments.zeros(params, mu_dtype), zero_count(params)
    return ScaleByAdemamixState(count, count, zeros, zeros, zeros)


def _ademamix_update(
    updates: Updates,
    state: ScaleByAdemamixState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    b3: ScalarOrSchedule,
    alpha: ScalarOrSchedule,
    eps: Scalar,
    eps_root: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByAdemamixState]:
    count = state.count + 1
    slow = b3(state.count_m2) if callable(b3) else b3
    weight = alpha(state.count_m2) if callable(alpha) else alpha
    m1, m2 = moments.first(updates, state.m1, b1), moments.first(updates, state.m2, slow)
    nu = moments.second(updates, state.nu, b2)

    def direction(_: Tensor, fast: Tensor, slow: Tensor, v: Tensor) -> Tensor:
        return (fast + cast(weight, slow) * slow) / ((v + eps_root).sqrt() + eps)

    updates = tree.map(direction, updates, moments.unbias(m1, b1, count), m2, moments.unbias(nu, b2, count))
    return updates, ScaleByAdemamixState(count, state.count_m2 + 1, m1, m2, nu)
