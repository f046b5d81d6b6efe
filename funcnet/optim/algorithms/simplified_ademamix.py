"""AdEMAMix with one mean instead of two."""

from functools import partial
from typing import Any, NamedTuple

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


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """The state of `simplified_ademamix`."""

    t: Count  # 0-d int64, updates seen so far
    m: Params  # like params: the decaying sum of gradients
    n: Params  # like params: the mean of squared gradients


@shows_call
def scale_by_simplified_ademamix(
    b1: Scalar = 0.99, b2: Scalar = 0.95, alpha: ScalarOrSchedule = 0.0, eps: Scalar = 1e-8, eps_root: Scalar = 0.0
) -> GradientTransformation:
    """Divide a decaying sum of gradients by their root mean square, as `simplified_ademamix` does.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_simplified_ademamix(alpha=1.0)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([2.0000, 2.0000])
    """
    check_fraction("scale_by_simplified_ademamix", b1=b1, b2=b2)
    check_rate("scale_by_simplified_ademamix", alpha=alpha)
    check_not_negative("scale_by_simplified_ademamix", eps=eps, eps_root=eps_root)
    update = partial(_update, b1=b1, b2=b2, alpha=alpha, eps=eps, eps_root=eps_root)
    return on_pairs(with_state(ScaleBySimplifiedAdEMAMixState, _init, update, like=("m", "n")))


@shows_call
def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.99,
    b2: Scalar = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `ademamix` does, with the gradient in place of the fast mean, and a sum in place of the slow one.

    m = b1 m + g, v = b2 v + (1 - b2) g²,
    u = -learning_rate ((m + alpha g) / (sqrt(v̂ + eps_root) + eps) + weight_decay p), where v̂ is divided by the sum of
    its weights. As m is a sum, the learning rate is 1 - b1 times that of `adam`.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and v, in [0, 1).
        alpha: Weight of the gradient; may be a schedule.
        eps, eps_root: Added to the root, gradient unit; and below it.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. State: a tuple, with a `ScaleBySimplifiedAdEMAMixState` first.
    Source:
        Morwani, Vyas, Zhang, Kakade (2025), Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD
        Variants, https://arxiv.org/abs/2502.02431; the formula is that of optax.contrib.simplified_ademamix.
    Example:
        >>> optimizer, params = fn.optim.simplified_ademamix(0.1, alpha=2.0), torch.tensor(0.0)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(params), params)[0]
        tensor(-0.3000)
    """
    return chain(
        scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _init(params: Params) -> ScaleBySimplifiedAdEMAMixState:
    zeros = moments.zeros(params)
    return ScaleBySimplifiedAdEMAMixState(zero_count(params), zeros, zeros)


def _update(
    updates: Updates,
    state: ScaleBySimplifiedAdEMAMixState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    alpha: ScalarOrSchedule,
    eps: Scalar,
    eps_root: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleBySimplifiedAdEMAMixState]:
    weight, t = alpha(state.t) if callable(alpha) else alpha, state.t + 1

    def add(m: Tensor, g: Tensor | None) -> Tensor:
        return m if g is None else as_dtype(cast(b1, m) * m + g, m.dtype)

    m, n = tree.map(add, state.m, updates), moments.second(updates, state.n, b2)

    def direction(g: Tensor, m: Tensor, v: Tensor) -> Tensor:
        return (m + cast(weight, g) * g) / ((v + eps_root).sqrt() + eps)

    updates = tree.map(direction, updates, m, moments.unbias(n, b2, t))
    return updates, ScaleBySimplifiedAdEMAMixState(t, m, n)
