"""The Lion optimizer."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

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
    on_pairs,
    zero_count,
)
from funcnet.optim.ranges import check_fraction
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByLionState(NamedTuple):
    """The state of Lion."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params, in mu_dtype: the mean of gradients


@shows_call
def scale_by_lion(
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    mu_dtype: torch.dtype | None = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: Scalar = 1.0,
) -> GradientTransformation:
    """Replace updates by the signs of their mean, as `lion` does before its step size.

    Args:
        b1, b2: Decay of the mean in the update, and of the mean in the state; in [0, 1).
        mu_dtype: The dtype of the mean. None: that of the parameters.
        mode: "hard" for signs, "smooth" for tanh(smooth_beta x), or "refined" for x clipped to [-1, 1].
        smooth_beta: The slope of the smooth sign at 0.
    Raises:
        ValueError: The mode is none of these.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_lion()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1., 1.])
    """
    check_fraction("scale_by_lion", b1=b1, b2=b2)
    signs: dict[str, Callable[[Tensor], Tensor]] = {
        "hard": torch.sign,
        "smooth": partial(_smooth_sign, slope=smooth_beta),
        "refined": _refined_sign,
    }
    if mode not in signs:
        raise ValueError(f"scale_by_lion: expected mode to be one of {', '.join(signs)}, got {mode!r}.")
    update = partial(_lion_update, b1=b1, b2=b2, sign=signs[mode])
    return on_pairs(with_state(ScaleByLionState, partial(_lion_init, mu_dtype=mu_dtype), update, like=("mu",)))


@shows_call
def lion(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    mu_dtype: torch.dtype | None = None,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend by the signs of a mean gradient, with decoupled weight decay.

    u = -learning_rate (sign(b1 m + (1 - b1) g) + weight_decay p), then m = b2 m + (1 - b2) g.

    Args:
        learning_rate: Step size, parameter unit; 3 to 10 times smaller than Adam's.
        b1, b2: Decay of the mean in the update, and of the mean in the state; in [0, 1).
        mu_dtype: The dtype of m. None: that of the parameters.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. State: a tuple, with a `ScaleByLionState` first.
    Source:
        Chen et al. (2023), Symbolic Discovery of Optimization Algorithms, https://arxiv.org/abs/2302.06675
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.lion(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1003, -0.1004])
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _lion_init(params: Params, *, mu_dtype: torch.dtype | None) -> ScaleByLionState:
    return ScaleByLionState(zero_count(params), moments.zeros(params, mu_dtype))


def _smooth_sign(x: Tensor, slope: Scalar) -> Tensor:
    return torch.tanh(slope * x)


def _refined_sign(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 1, x, torch.sign(x))


def _lion_update(
    updates: Updates,
    state: ScaleByLionState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    sign: Callable[[Tensor], Tensor],
    **extra: Any,
) -> tuple[Updates, ScaleByLionState]:
    signs = tree.map(lambda g, m: sign(b1 * m + (1 - b1) * g), updates, state.mu)
    return signs, ScaleByLionState(state.count + 1, moments.first(updates, state.mu, b2))
