"""The Yogi optimizer."""

from functools import partial
from typing import Any

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
    as_dtype,
    on_pairs,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


@shows_call
def scale_by_yogi(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-3,
    eps_root: Scalar = 0.0,
    initial_accumulator_value: Scalar = 1e-6,
) -> GradientTransformation:
    """Divide the mean of gradients by the root of their additive mean square, as `yogi` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_yogi()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.9996, 0.9997])
    """
    check_fraction("scale_by_yogi", b1=b1, b2=b2)
    check_not_negative("scale_by_yogi", eps=eps, eps_root=eps_root, initial_accumulator_value=initial_accumulator_value)
    init = partial(_yogi_init, start=initial_accumulator_value)
    update = partial(_yogi_update, b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    return on_pairs(with_state(ScaleByAdamState, init, update, like=("mu", "nu")))


@shows_call
def yogi(
    learning_rate: ScalarOrSchedule, b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-3
) -> GradientTransformation:
    """Descend as `adam` does, with a mean square that changes by at most (1 - b2) g² per step.

    m = b1 m + (1 - b1) g, v = v - (1 - b2) sign(v - g²) g², u = -learning_rate m̂ / (sqrt(v̂) + eps), where m̂ and v̂ are
    divided by 1 - b1^t and 1 - b2^t. Both m and v start from 1e-6.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m, and rate of v; in [0, 1).
        eps: Added to the root; gradient unit.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdamState` first.
    Source:
        Zaheer, Reddi, Sachan, Kale, Kumar (2018), Adaptive Methods for Nonconvex Optimization, algorithm 2,
        https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html
    Example:
        >>> optimizer = fn.optim.yogi(0.1)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(torch.tensor(0.0)))[0]
        tensor(-0.0999)
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))


def _yogi_init(params: Params, *, start: Scalar) -> ScaleByAdamState:
    full = moments.full(params, start)
    return ScaleByAdamState(zero_count(params), full, full)


def _yogi_update(
    updates: Updates,
    state: ScaleByAdamState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByAdamState]:
    def toward(v: Tensor, g: Tensor | None) -> Tensor:
        return v if g is None else as_dtype(v - (1 - b2) * (v - g * g).sign() * g * g, v.dtype)

    count = state.count + 1
    mu, nu = moments.first(updates, state.mu, b1), tree.map(toward, state.nu, updates)
    mean, square = moments.unbias(mu, b1, count), moments.unbias(nu, b2, count)
    updates = tree.map(lambda _, m, v: m / ((v + eps_root).sqrt() + eps), updates, mean, square)
    return updates, ScaleByAdamState(count, mu, nu)
