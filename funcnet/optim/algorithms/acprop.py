"""The ACProp optimizer."""

from functools import partial
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adabelief import ScaleByBeliefState
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    on_pairs,
    select,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


@shows_call
def scale_by_acprop(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-16, eps_root: Scalar = 1e-16
) -> GradientTransformation:
    """Divide updates by the root of the mean squared deviation before them, as `acprop` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_acprop()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3., 4.])
    """
    check_fraction("scale_by_acprop", b1=b1, b2=b2)
    check_not_negative("scale_by_acprop", eps=eps, eps_root=eps_root)
    update = partial(_acprop_update, b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    return on_pairs(with_state(ScaleByBeliefState, _acprop_init, update, like=("mu", "nu")))


@shows_call
def acprop(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `adabelief` does, without momentum, and with the mean squared deviation of the steps before.

    u = -learning_rate (g / (sqrt(ŝ) + eps) + weight_decay p), and then s = b2 s + (1 - b2) (g - m)² + eps_root,
    m = b1 m + (1 - b1) g. Here ŝ is s divided by the sum of its weights, and 1 at the first step.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of s, in [0, 1).
        eps: Added to the root; gradient unit.
        eps_root: Added to s at every step; gradient unit squared.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. State: a tuple, with a `ScaleByBeliefState` first.
    Source:
        Zhuang, Ding, Tang, Dvornek, Tatikonda, Duncan (2021), Momentum Centering and Asynchronous Update for Adaptive
        Gradient Methods, algorithm 2, https://arxiv.org/abs/2110.05454; the formula is that of optax.contrib.acprop.
    Example:
        >>> optimizer = fn.optim.acprop(0.1)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(torch.tensor(0.0)), torch.tensor(0.0))[0]
        tensor(-0.2000)
    """
    return chain(
        scale_by_acprop(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _acprop_init(params: Params) -> ScaleByBeliefState:
    return ScaleByBeliefState(zero_count(params), moments.zeros(params), moments.zeros(params))


def _acprop_update(
    updates: Updates,
    state: ScaleByBeliefState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByBeliefState]:
    first = state.count == 0
    mu = moments.first(updates, state.mu, b1)
    nu = moments.second(tree.map(lambda g, m: g - m, updates, state.mu), state.nu, b2)
    nu = tree.map(lambda v, g: v if g is None else v + eps_root, nu, updates)
    before = moments.unbias(state.nu, b2, state.count.clamp(min=1))
    before = select(first, tree.map(lambda v: v * 0 + 1, before), before)

    def direction(g: Tensor, v: Tensor) -> Tensor:
        return g / (v.sqrt() + eps)

    return tree.map(direction, updates, before), ScaleByBeliefState(state.count + 1, mu, nu)
