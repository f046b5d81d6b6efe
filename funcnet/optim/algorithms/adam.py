"""Adam and its close variants: with decoupled weight decay, with Nesterov momentum."""

from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
from funcnet.tree.elementwise import map_several


class ScaleByAdamState(NamedTuple):
    """The state of Adam."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params, in mu_dtype: the mean of gradients
    nu: Params  # like params, in mu_dtype if that is wider than theirs: the mean of squared gradients


@shows_call
def scale_by_adam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Divide the mean of gradients by the root of the mean of their squares, as `adam` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_adam()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.0000, 1.0000])
    """
    check_fraction("scale_by_adam", b1=b1, b2=b2)
    check_not_negative("scale_by_adam", eps=eps, eps_root=eps_root)
    return on_pairs(
        with_state(
            ScaleByAdamState,
            init=partial(zero_moments, mu_dtype=mu_dtype),
            update=partial(_adam_update, b1=b1, b2=b2, eps=eps, eps_root=eps_root, nesterov=nesterov),
            like=("mu", "nu"),
        )
    )


@shows_call
def adam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Descend by the mean gradient over its root mean square.

    m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g², m̂ = m / (1 - b1^t), v̂ = v / (1 - b2^t),
    u = -learning_rate m̂ / (sqrt(v̂ + eps_root) + eps), which is torch.optim.Adam with eps_root = 0. There,
    weight_decay is `add_decayed_weights` before this in a chain.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of v, in [0, 1).
        eps: Added to the root; gradient unit.
        eps_root: Added below the root; a positive one keeps derivatives of the update finite where g is 0.
        mu_dtype: The dtype of m, and of v if it is wider than that of the parameters: use torch.float32 for bfloat16
            parameters, whose eight bits could not hold b2 v. (Optax keeps v in the dtype of the parameters.)
        nesterov: Whether m̂ is b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t) instead.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdamState` first.
    Source:
        Kingma, Ba (2015), Adam, algorithm 1, https://arxiv.org/abs/1412.6980
    Example:
        >>> optimizer = fn.optim.adam(0.1)
        >>> optimizer.update(torch.tensor([5.0, -0.01]), optimizer.init(torch.zeros(2)))[0]
        tensor([-0.1000,  0.1000])
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov), scale_by_learning_rate(learning_rate)
    )


@shows_call
def adamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: TreeOrFunction | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Descend as `adam` does, with decoupled weight decay.

    u = -learning_rate (m̂ / (sqrt(v̂ + eps_root) + eps) + weight_decay p). torch.optim.AdamW applies the decay before
    the step, which gives the same sum; its default weight_decay is 1e-2.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of v, in [0, 1).
        eps: Added to the root; gradient unit.
        eps_root: Added below the root; a positive one keeps derivatives of the update finite where g is 0.
        mu_dtype: The dtype of m, and of v if it is wider than that of the parameters; torch.float32 suits bfloat16
            parameters.
        nesterov: Whether m̂ is b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t) instead.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        mask: The leaves that decay, as in `masked`. None: all.
    Source:
        Loshchilov, Hutter (2019), Decoupled Weight Decay Regularization, https://arxiv.org/abs/1711.05101
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.adamw(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1000, -0.1000])
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@shows_call
def nadam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Descend as `adam` does with nesterov=True.

    b1 is constant here. torch.optim.NAdam warms it up, b1 (1 - 0.96^(t momentum_decay) / 2) at step t, and agrees with
    this for a large momentum_decay.

    Source:
        Dozat (2016), Incorporating Nesterov Momentum into Adam, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.nadam(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1474, -0.1474])
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=True)


@shows_call
def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `adamw` does with nesterov=True.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.nadamw(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1474, -0.1474])
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=True)


def zero_moments(params: Params, *, mu_dtype: torch.dtype | None = None) -> ScaleByAdamState:
    """Return the initial state."""
    return ScaleByAdamState(zero_count(params), moments.zeros(params, mu_dtype), moments.at_least(params, mu_dtype))


def _adam_update(
    updates: Updates,
    state: ScaleByAdamState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    nesterov: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByAdamState]:
    count = state.count + 1
    ahead = moments.looking_ahead(b1, count) if nesterov else None
    corrections = cache(partial(_corrections, count, 0.0 if nesterov else b1, b2, eps, eps_root))

    def leaf(g: Tensor | None, m: Tensor, v: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        if g is None:
            return None, m, v
        m, v = moments.toward(m, g, b1), moments.toward_square(v, g, b2)
        ratio, epsilon, epsilon_root = corrections(v.dtype)
        root = torch.sqrt(v if epsilon_root is None else v + epsilon_root)
        mean = m if ahead is None else ahead(g, m)
        return mean / torch.addcmul(epsilon, root, ratio), m, v

    updates, mu, nu = map_several(leaf, updates, state.mu, state.nu)
    return updates, ScaleByAdamState(count, mu, nu)


def _corrections(
    count: Tensor, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return both bias corrections as three numbers, for fewer operations per leaf (section 2 of the paper).

    m̂ / (sqrt(v̂ + eps_root) + eps) = m / (r sqrt(v + eps_root w) + eps (1 - b1^t)), where w = 1 - b2^t and
    r = (1 - b1^t) / sqrt(w). The last number, eps_root w, is None where eps_root is the default.
    """
    first, second = (moments.bias_weight(decay, count, dtype) for decay in (b1, b2))
    ratio, epsilon = as_dtype(first / second.sqrt(), dtype), as_dtype(eps * first, dtype)
    if type(eps_root) is float and not eps_root:  # the type of a number that jit traces is another one
        return ratio, epsilon, None
    return ratio, epsilon, as_dtype(eps_root * second, dtype)
