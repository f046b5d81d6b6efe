"""The AdaBelief optimizer."""

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
    on_pairs,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByBeliefState(NamedTuple):
    """The state of AdaBelief."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params: the mean of gradients
    nu: Params  # like params: the mean of squared deviations from it


@shows_call
def scale_by_belief(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-16, eps_root: Scalar = 1e-16, *, nesterov: bool = False
) -> GradientTransformation:
    """Divide the mean of gradients by the root mean square of their deviations from it, as `adabelief` does.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_belief()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.1111, 1.1111])
    """
    check_fraction("scale_by_belief", b1=b1, b2=b2)
    check_not_negative("scale_by_belief", eps=eps, eps_root=eps_root)
    update = partial(_belief_update, b1=b1, b2=b2, eps=eps, eps_root=eps_root, nesterov=nesterov)
    return on_pairs(with_state(ScaleByBeliefState, _belief_init, update, like=("mu", "nu")))


@shows_call
def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Descend as `adam` does, with the squared deviation of the gradient from its mean in place of its square.

    m = b1 m + (1 - b1) g, s = b2 s + (1 - b2) (g - m)² + eps_root, u = -learning_rate m̂ / (sqrt(ŝ) + eps), where m̂
    and ŝ are divided by the sums of their weights. A gradient that agrees with its mean makes a large step.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of s, in [0, 1).
        eps: Added to the root; gradient unit.
        eps_root: Added to s at every step; gradient unit squared.
        nesterov: Whether m̂ looks one step ahead, as in `adam`.
    Returns:
        The transformation. State: a tuple, with a `ScaleByBeliefState` first.
    Source:
        Zhuang et al. (2020), AdaBelief Optimizer, algorithm 2, https://arxiv.org/abs/2010.07468
    Example:
        >>> optimizer = fn.optim.adabelief(0.1)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(torch.tensor(0.0)))[0]
        tensor(-0.1111)
    """
    return chain(scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov), scale_by_learning_rate(learning_rate))


def _belief_init(params: Params) -> ScaleByBeliefState:
    return ScaleByBeliefState(zero_count(params), moments.zeros(params), moments.zeros(params))


def _belief_update(
    updates: Updates,
    state: ScaleByBeliefState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    nesterov: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByBeliefState]:
    count = state.count + 1
    mu = moments.first(updates, state.mu, b1)
    nu = moments.second(tree.map(lambda g, m: g - m, updates, mu), state.nu, b2)
    nu = tree.map(lambda v, g: v if g is None else v + eps_root, nu, updates)
    mean = moments.lookahead_mean(updates, mu, b1, count) if nesterov else moments.unbias(mu, b1, count)

    def direction(_: Tensor, m: Tensor, v: Tensor) -> Tensor:
        return m / (v.sqrt() + eps)

    updates = tree.map(direction, updates, mean, moments.unbias(nu, b2, count))
    return updates, ScaleByBeliefState(count, mu, nu)
