"""The rectified Adam optimizer."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adam import ScaleByAdamState, zero_moments
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    cast,
    on_pairs,
    widest_dtype,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


@shows_call
def scale_by_radam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    threshold: Scalar = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Divide by the root mean square once its variance is tractable, as `radam` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_radam()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3.0000, 4.0000])
    """
    check_fraction("scale_by_radam", b1=b1, b2=b2)
    check_not_negative("scale_by_radam", eps=eps, eps_root=eps_root)
    update = partial(_radam_update, b1=b1, b2=b2, eps=eps, eps_root=eps_root, threshold=threshold, nesterov=nesterov)
    return on_pairs(with_state(ScaleByAdamState, zero_moments, update, like=("mu", "nu")))


@shows_call
def radam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    threshold: Scalar = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Descend as `adam` does, rectified for the variance of the first few root mean squares.

    With ρ∞ = 2 / (1 - b2) - 1, ρ = ρ∞ - 2 t b2^t / (1 - b2^t) and
    r² = (ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ): u = -learning_rate r m̂ / (sqrt(v̂ + eps_root) + eps) where
    ρ >= threshold, else -learning_rate m̂. torch.optim.RAdam has sqrt(1 - b2^t) / (sqrt(v) + eps) in place of the last
    factor, and ρ > 5 in place of the condition; the two agree for eps = 0.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of v, in [0, 1).
        eps: Added to the root; gradient unit.
        eps_root: Added below the root; a positive one keeps derivatives of the update finite where g is 0.
        nesterov: Whether m̂ is b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t) instead.
        threshold: The smallest ρ at which v is used.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdamState` first.
    Source:
        Liu et al. (2020), On the Variance of the Adaptive Learning Rate and Beyond, https://arxiv.org/abs/1908.03265
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.radam(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3000, -0.4000])
    """
    first = scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov)
    return chain(first, scale_by_learning_rate(learning_rate))


def _radam_update(
    updates: Updates,
    state: ScaleByAdamState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    threshold: Scalar,
    nesterov: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByAdamState]:
    count = state.count + 1
    mu, nu = moments.first(updates, state.mu, b1), moments.second(updates, state.nu, b2)
    mean = moments.lookahead_mean(updates, mu, b1, count) if nesterov else moments.unbias(mu, b1, count)
    square = moments.unbias(nu, b2, count)
    trusted, rectifier = _rectifier(count, b2, threshold, torch.promote_types(widest_dtype(nu), torch.float32))

    def direction(_: Tensor, m: Tensor, v: Tensor) -> Tensor:
        return torch.where(trusted, cast(rectifier, m) * m / ((v + eps_root).sqrt() + eps), m)

    return tree.map(direction, updates, mean, square), ScaleByAdamState(count, mu, nu)


def _rectifier(count: Tensor, b2: Scalar, threshold: Scalar, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return whether the variance is tractable, and r, which is 1 where it is not."""
    t = count.to(dtype)
    most = 2 / (1 - b2) - 1
    length = most - 2 * t * b2**t / (1 - b2**t)
    trusted = length >= threshold
    squared = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
    return trusted, torch.where(trusted, squared, 1).sqrt()
