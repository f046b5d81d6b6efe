"""An exponential moving average of updates."""

from functools import partial
from typing import Any, NamedTuple

import torch

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import Count, GradientTransformation, Params, Scalar, Updates, zero_count
from funcnet.optim.ranges import check_fraction
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call


class EmaState(NamedTuple):
    """The state of `ema`."""

    count: Count  # 0-d int64, updates seen so far
    ema: Params  # like params, in accumulator_dtype


@shows_call
def ema(decay: Scalar, debias: bool = True, accumulator_dtype: torch.dtype | None = None) -> GradientTransformation:
    """Replace updates by their moving average: m = decay m + (1 - decay) g, divided by 1 - decay^t if debias.

    Args:
        decay: In [0, 1).
        debias: Whether to divide by the sum of the weights, because the average starts from 0.
        accumulator_dtype: The dtype of the average. None: that of the parameters.
    Returns:
        The transformation. State: `EmaState`.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.ema(0.9)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3.0000, 4.0000])
    """
    check_fraction("ema", decay=decay)
    init = partial(_ema_init, accumulator_dtype=accumulator_dtype)
    return with_state(EmaState, init, partial(_ema_update, decay=decay, debias=debias), like=("ema",))


def _ema_init(params: Params, *, accumulator_dtype: torch.dtype | None) -> EmaState:
    return EmaState(zero_count(params), moments.zeros(params, accumulator_dtype))


def _ema_update(
    updates: Updates, state: EmaState, params: Params | None = None, *, decay: Scalar, debias: bool, **extra: Any
) -> tuple[Updates, EmaState]:
    count, mean = state.count + 1, moments.first(updates, state.ema, decay)
    averaged = moments.unbias(mean, decay, count) if debias else mean
    return tree.map(lambda _, m: m, updates, averaged), EmaState(count, mean)
