"""Lookahead: slow parameters that follow fast ones."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    State,
    Updates,
    need_params,
    select,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_fraction, check_parts
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call


class LookaheadState(NamedTuple):
    """The state of `lookahead`."""

    fast_state: State  # of the fast optimizer
    steps_since_sync: Tensor  # 0-d int64


class LookaheadParams(NamedTuple):
    """The parameters that lookahead trains; `slow` is the result."""

    fast: Params
    slow: Params

    @classmethod
    def init_synced(cls, params: Params) -> "LookaheadParams":
        """Start both from the same parameters."""
        return cls(fast=params, slow=params)


@shows_call
def lookahead(
    fast_optimizer: GradientTransformation, sync_period: int, slow_step_size: Scalar, reset_state: bool = False
) -> GradientTransformation:
    """Let slow parameters follow fast ones: every sync_period steps slow += slow_step_size (fast - slow), fast = slow.

    Args:
        fast_optimizer: Makes the fast steps from the gradient at the fast parameters.
        sync_period: Fast steps per slow step, at least 1.
        slow_step_size: In [0, 1].
        reset_state: Whether to reset the state of the fast optimizer after each slow step.
    Returns:
        The transformation. It takes `LookaheadParams` and the gradient with respect to the fast parameters; its updates
        are `LookaheadParams`, too. State: `LookaheadState`.
    Raises:
        ValueError: sync_period is below 1, or the parameters are not `LookaheadParams`.
    Source:
        Zhang, Lucas, Hinton, Ba (2019), Lookahead Optimizer, algorithm 1, https://arxiv.org/abs/1907.08610
    Example:
        >>> optimizer = fn.optim.lookahead(fn.optim.sgd(1.0), sync_period=1, slow_step_size=0.5)
        >>> params = fn.optim.LookaheadParams.init_synced(torch.tensor(0.0))
        >>> optimizer.update(torch.tensor(1.0), optimizer.init(params), params)[0]
        LookaheadParams(fast=tensor(-0.5000), slow=tensor(-0.5000))
    """
    check_parts("lookahead", [fast_optimizer])
    fast_optimizer = with_extra_args_support(fast_optimizer)
    check_fraction("lookahead", slow_step_size=slow_step_size)
    if sync_period < 1:
        raise ValueError(f"lookahead: expected a sync_period of at least 1, got {sync_period}.")
    options: dict[str, Any] = {"sync_period": sync_period, "slow_step_size": slow_step_size, "reset_state": reset_state}
    return with_state(
        LookaheadState,
        init=partial(_lookahead_init, fast_optimizer=fast_optimizer),
        update=partial(_lookahead_update, fast_optimizer=fast_optimizer, **options),
    )


def _lookahead_init(params: LookaheadParams, *, fast_optimizer: GradientTransformation) -> LookaheadState:
    fast = _check(params).fast
    return LookaheadState(fast_optimizer.init(fast), zero_count(fast))


def _lookahead_update(
    updates: Updates,
    state: LookaheadState,
    params: LookaheadParams | None = None,
    *,
    fast_optimizer: GradientTransformation,
    sync_period: int,
    slow_step_size: Scalar,
    reset_state: bool,
    **extra: Any,
) -> tuple[LookaheadParams, LookaheadState]:
    fast, slow = _check(need_params("lookahead", params, updates))
    updates, fast_state = fast_optimizer.update(updates, state.fast_state, fast, **extra)
    count = state.steps_since_sync + 1
    sync = count == sync_period
    apart = tree.map(lambda u, f, s: torch.where(sync, f + u - s, 0), updates, fast, slow)
    after = LookaheadParams(
        fast=tree.map(lambda u, d: u - (1 - slow_step_size) * d, updates, apart),
        slow=tree.map(lambda d: slow_step_size * d, apart),
    )
    if reset_state:
        fast_state = select(sync, fast_optimizer.init(fast), fast_state)
    return after, LookaheadState(fast_state, torch.where(sync, 0, count))


def _check(params: Any) -> LookaheadParams:
    if not isinstance(params, LookaheadParams):
        raise ValueError(
            f"lookahead: expected LookaheadParams, got {tree.describe(params)}. "
            "Make them with LookaheadParams.init_synced(params)."
        )
    return params
