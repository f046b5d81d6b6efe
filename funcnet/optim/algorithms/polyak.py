"""Gradient descent with the step size of Polyak."""

from functools import partial
from typing import Any

import torch

from funcnet import tree
from funcnet.optim.algorithms.sgd import sgd
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    cast,
    global_norm,
    no_state,
)
from funcnet.optim.ranges import check_finite, check_not_negative
from funcnet.optim.transforms.combining import chain
from funcnet.reprs import shows_call

VARIANTS = ("sps", "sps+")


@shows_call
def scale_by_polyak(
    f_min: Scalar = 0.0, max_learning_rate: Scalar = 1.0, eps: Scalar = 0.0, variant: str = "sps"
) -> GradientTransformation:
    """Multiply updates by the step size of `polyak_sgd`, which needs `value=`, the loss, at update.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_polyak()
        >>> part.update(params, part.init(params), params, value=torch.tensor(12.5))[0]  # of |params|² / 2
        tensor([1.5000, 2.0000])
    """
    check_finite("scale_by_polyak", f_min=f_min)
    check_not_negative("scale_by_polyak", max_learning_rate=max_learning_rate, eps=eps)
    if variant not in VARIANTS:
        raise ValueError(f"scale_by_polyak: expected the variant {' or '.join(map(repr, VARIANTS))}, got {variant!r}.")
    update = partial(
        _polyak_update, f_min=f_min, max_learning_rate=max_learning_rate, eps=eps, clip_gap=variant == "sps+"
    )
    return GradientTransformation(init=no_state, update=update)


@shows_call
def polyak_sgd(
    max_learning_rate: Scalar = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: Scalar = 0.0,
    eps: Scalar = 0.0,
    variant: str = "sps",
) -> GradientTransformation:
    """Descend along the gradient by the step after which its linear model is the minimum of the loss.

    u = -scaling min((f - f_min) / (|g|² + eps), max_learning_rate) g, and 0 where |g|² + eps is 0 to rounding.

    Args:
        max_learning_rate: Bound of the step size, parameter unit squared over loss unit.
        scaling: A factor of the step size: a number, a 0-d tensor or a schedule.
        f_min: A lower bound of the loss.
        eps: Added to |g|².
        variant: "sps", or "sps+" to take no step where f is below f_min.
    Returns:
        The transformation. Update takes the loss as `value=`. State: a tuple of empty states.
    Raises:
        ValueError: The variant is unknown; at update, the loss is missing.
    Source:
        Loizou, Vaswani, Laradji, Lacoste-Julien (2021), Stochastic Polyak Step-size for SGD,
        https://arxiv.org/abs/2002.10542; Polyak (1987), Introduction to Optimization.
    Example:
        >>> optimizer, x = fn.optim.polyak_sgd(10.0), torch.tensor(3.0)
        >>> optimizer.update(2 * x, optimizer.init(x), x, value=x**2)[0]  # the loss x² at 3
        tensor(-1.5000)
    """
    return chain(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))


def _polyak_update(
    updates: Updates,
    state: tuple[()],
    params: Params | None = None,
    *,
    f_min: Scalar,
    max_learning_rate: Scalar,
    eps: Scalar,
    clip_gap: bool,
    value: Scalar | None = None,
    **extra: Any,
) -> tuple[Updates, tuple[()]]:
    if value is None:
        raise ValueError("scale_by_polyak: expected the loss. Call update(grads, state, params, value=…).")
    square = global_norm(updates) ** 2 + eps
    gap = torch.as_tensor(value - f_min, dtype=square.dtype, device=square.device)
    gap = gap.clamp(min=0) if clip_gap else gap
    flat = square <= torch.finfo(square.dtype).eps
    size = torch.minimum(gap / torch.where(flat, 1, square), torch.ones_like(gap) * max_learning_rate)
    step = torch.where(flat, 0, size)
    return tree.map(lambda g: cast(step, g) * g, updates), state
