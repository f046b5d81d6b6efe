"""Momentum: the decaying sum of updates."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.optim.base import GradientTransformation, Params, Scalar, Updates, as_dtype
from funcnet.optim.moments import zeros
from funcnet.optim.ranges import check_fraction
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call
from funcnet.tree.elementwise import map_elementwise


class TraceState(NamedTuple):
    """The state of `trace`."""

    trace: Params  # like params, in accumulator_dtype: the decaying sum of gradients


@shows_call
def trace(
    decay: Scalar, nesterov: bool = False, accumulator_dtype: torch.dtype | None = None
) -> GradientTransformation:
    """Replace updates by their decaying sum: m = g + decay m, u = m, or u = g + decay m if nesterov.

    Args:
        decay: In [0, 1).
        nesterov: Whether to look one step ahead.
        accumulator_dtype: The dtype of the sum. None: that of the parameters.
    Returns:
        The transformation. State: `TraceState`.
    Example:
        >>> part = fn.optim.trace(0.5)
        >>> part.update(torch.tensor(1.0), fn.optim.TraceState(torch.tensor(4.0)))
        (tensor(3.), TraceState(trace=tensor(3.)))
    """
    check_fraction("trace", decay=decay)
    init = partial(_trace_init, accumulator_dtype=accumulator_dtype)
    return with_state(TraceState, init, partial(_trace_update, decay=decay, nesterov=nesterov), like=("trace",))


def _trace_init(params: Params, *, accumulator_dtype: torch.dtype | None) -> TraceState:
    return TraceState(zeros(params, accumulator_dtype))


def _trace_update(
    updates: Updates,
    state: TraceState,
    params: Params | None = None,
    *,
    decay: Scalar,
    nesterov: bool,
    **extra: Any,
) -> tuple[Updates, TraceState]:
    def onward(m: Tensor, g: Tensor | None) -> Tensor:
        return m if g is None else as_dtype(g + decay * m, m.dtype)

    after = map_elementwise(onward, state.trace, updates)
    updates = map_elementwise(lambda g, m: g + decay * m if nesterov else m, updates, after)
    return updates, TraceState(after)
