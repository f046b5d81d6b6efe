"""A step size that is reduced when the loss stops improving."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    Updates,
    as_dtype,
    cast,
    device,
    select,
    widest_dtype,
    zero_count,
)
from funcnet.optim.ranges import check_count, check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call


class ReduceLROnPlateauState(NamedTuple):
    """The state of `reduce_on_plateau`."""

    scale: Tensor  # 0-d, the factor of updates
    best_value: Tensor  # 0-d, the lowest mean loss so far
    plateau_count: Tensor  # 0-d int64, means in a row without improvement
    cooldown_count: Tensor  # 0-d int64, means still to be ignored
    count: Count  # 0-d int64, losses in the current mean
    avg_value: Tensor  # 0-d, the current mean


@shows_call
def reduce_on_plateau(
    factor: Scalar = 0.1,
    patience: int | Tensor = 10,
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    cooldown: int | Tensor = 0,
    accumulation_size: int | Tensor = 1,
    min_scale: Scalar = 0.0,
) -> GradientTransformation:
    """Multiply updates by a number that shrinks by `factor` when the loss has not improved `patience` times in a row.

    The loss is passed to update as `value=`. It improves where value < (1 - rtol) best - atol.

    Args:
        factor: In (0, 1).
        patience: The number of values in a row without improvement after which the scale is reduced; 0 is the same as
            1. (In Optax, 0 reduces the scale at every improvement.)
        rtol, atol: The smallest relative and absolute improvement.
        cooldown: The number of values to ignore after each reduction.
        accumulation_size: The number of values to average into one.
        min_scale: Lower bound on the scale.
    Returns:
        The transformation. State: `ReduceLROnPlateauState`.
    Raises:
        ValueError: At update, `value` is missing.
    Source:
        optax.contrib.reduce_on_plateau and torch.optim.lr_scheduler.ReduceLROnPlateau.
    Example:
        >>> optimizer = fn.optim.chain(fn.optim.sgd(1.0), fn.optim.reduce_on_plateau(0.5, patience=1))
        >>> state = optimizer.init(torch.tensor(0.0))
        >>> for loss in (3.0, 3.0):
        ...     updates, state = optimizer.update(torch.tensor(1.0), state, value=torch.tensor(loss))
        >>> updates
        tensor(-0.5000)
    """
    check_fraction("reduce_on_plateau", factor=factor, min_scale=min_scale)
    check_not_negative("reduce_on_plateau", rtol=rtol, atol=atol, patience=patience, cooldown=cooldown)
    check_count("reduce_on_plateau", accumulation_size=accumulation_size)
    update = partial(
        _plateau_update,
        factor=factor,
        patience=patience,
        rtol=rtol,
        atol=atol,
        cooldown=cooldown,
        accumulation_size=accumulation_size,
        min_scale=min_scale,
    )
    return with_state(ReduceLROnPlateauState, _plateau_init, update)


def _plateau_init(params: Params) -> ReduceLROnPlateauState:
    zero = torch.zeros((), dtype=widest_dtype(params), device=device(params))
    count = zero_count(params)
    return ReduceLROnPlateauState(
        scale=torch.ones_like(zero),
        best_value=torch.full_like(zero, float("inf")),
        plateau_count=count,
        cooldown_count=count,
        count=count,
        avg_value=zero,
    )


def _plateau_update(
    updates: Updates,
    state: ReduceLROnPlateauState,
    params: Params | None = None,
    *,
    value: Scalar | None = None,
    accumulation_size: int | Tensor,
    factor: Scalar,
    patience: int | Tensor,
    rtol: Scalar,
    atol: Scalar,
    cooldown: int | Tensor,
    min_scale: Scalar,
    **extra: Any,
) -> tuple[Updates, ReduceLROnPlateauState]:
    if value is None:
        raise ValueError("reduce_on_plateau: expected the loss, got none. Call update(…, value=loss).")
    count = state.count + 1
    mean = as_dtype(state.avg_value + (value - state.avg_value) / count, state.avg_value.dtype)
    judged = _judge(state, mean, factor, patience, rtol, atol, cooldown, min_scale)
    after = select(count == accumulation_size, judged, state._replace(count=count, avg_value=mean))
    return tree.map(lambda u: cast(after.scale, u) * u, updates), after


def _judge(
    state: ReduceLROnPlateauState,
    mean: Tensor,
    factor: Scalar,
    patience: int | Tensor,
    rtol: Scalar,
    atol: Scalar,
    cooldown: int | Tensor,
    min_scale: Scalar,
) -> ReduceLROnPlateauState:
    """Update the state by a complete mean."""
    improved = mean < (1 - rtol) * state.best_value - atol
    cooling = state.cooldown_count > 0
    waited = torch.where(improved | cooling, 0, state.plateau_count + 1)
    reduce = ~improved & ~cooling & (waited >= patience)
    reduced = (state.scale * factor).clamp(min=cast(min_scale, state.scale))
    return ReduceLROnPlateauState(
        scale=torch.where(reduce, as_dtype(reduced, state.scale.dtype), state.scale),
        best_value=torch.where(improved, mean, state.best_value),
        plateau_count=torch.where(reduce, 0, waited),
        cooldown_count=torch.where(reduce, cooldown, (state.cooldown_count - 1).clamp(min=0)),
        count=torch.zeros_like(state.count),
        avg_value=torch.zeros_like(state.avg_value),
    )
