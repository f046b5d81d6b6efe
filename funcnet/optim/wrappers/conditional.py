"""Transformations that act in some steps only."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    State,
    Updates,
    select,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_parts
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call

Condition = Callable[..., Any]  # from the number of updates so far, and extra arguments, to a 0-d bool


class ConditionallyTransformState(NamedTuple):
    """The state of `conditionally_transform`."""

    inner_state: State
    step: Count  # 0-d int64, updates seen so far


class ConditionallyMaskState(NamedTuple):
    """The state of `conditionally_mask`."""

    step: Count  # 0-d int64, updates seen so far
    inner_state: State


@shows_call
def conditionally_transform(
    inner: GradientTransformation, should_transform_fn: Condition, forward_extra_args: bool = False
) -> GradientTransformation:
    """Apply a transformation in some steps; in the others, leave the updates and its state unchanged.

    Args:
        inner: The transformation.
        should_transform_fn: A function from the number of updates so far to a 0-d bool, whether to apply it.
        forward_extra_args: Whether this function also gets the extra arguments of update.
    Returns:
        The transformation. State: `ConditionallyTransformState`.
    Example:
        >>> odd = fn.optim.conditionally_transform(fn.optim.scale(2.0), lambda step: step % 2 == 1)
        >>> state, g = odd.init(torch.tensor(0.0)), torch.tensor(1.0)
        >>> first, state = odd.update(g, state)
        >>> first, odd.update(g, state)[0]
        (tensor(1.), tensor(2.))
    """
    check_parts("conditionally_transform", [inner])
    options: dict[str, Any] = {"condition": should_transform_fn, "forward": forward_extra_args}
    inner = with_extra_args_support(inner)
    update = partial(_update, inner=inner, otherwise=_unchanged, **options)
    return with_state(ConditionallyTransformState, partial(_transform_init, inner=inner), update)


@shows_call
def conditionally_mask(
    inner: GradientTransformation, should_transform_fn: Condition, forward_extra_args: bool = False
) -> GradientTransformation:
    """Apply a transformation in some steps; in the others, set the updates to zero and leave its state unchanged.

    Args:
        inner: The transformation.
        should_transform_fn: A function from the number of updates so far to a 0-d bool, whether to apply it.
        forward_extra_args: Whether this function also gets the extra arguments of update.
    Returns:
        The transformation. State: `ConditionallyMaskState`.
    Example:
        >>> odd = fn.optim.conditionally_mask(fn.optim.scale(2.0), lambda step: step % 2 == 1)
        >>> odd.update(torch.tensor(1.0), odd.init(torch.tensor(0.0)))[0]
        tensor(0.)
    """
    check_parts("conditionally_mask", [inner])
    options: dict[str, Any] = {"condition": should_transform_fn, "forward": forward_extra_args}
    inner = with_extra_args_support(inner)
    update = partial(_update, inner=inner, otherwise=tree.zeros_like, **options)
    return with_state(ConditionallyMaskState, partial(_mask_init, inner=inner), update)


def _transform_init(params: Params, *, inner: GradientTransformation) -> ConditionallyTransformState:
    return ConditionallyTransformState(inner.init(params), zero_count(params))


def _mask_init(params: Params, *, inner: GradientTransformation) -> ConditionallyMaskState:
    return ConditionallyMaskState(zero_count(params), inner.init(params))


def _update(
    updates: Updates,
    state: Any,
    params: Params | None = None,
    *,
    inner: GradientTransformation,
    condition: Condition,
    forward: bool,
    otherwise: Callable[[Updates], Updates],
    **extra: Any,
) -> tuple[Updates, Any]:
    apply = _holds(condition, state.step, extra if forward else {})
    changed, after = inner.update(updates, state.inner_state, params, **extra)
    after = select(apply, after, state.inner_state)
    return select(apply, changed, otherwise(updates)), state._replace(inner_state=after, step=state.step + 1)


def _unchanged(updates: Updates) -> Updates:
    return updates


def _holds(condition: Condition, step: Tensor, extra: dict[str, Any]) -> Tensor:
    found = condition(step, **extra)
    return found if isinstance(found, Tensor) else step.new_full((), bool(found)).bool()
