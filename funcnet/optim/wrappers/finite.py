"""Transformations that guard against NaN and infinity."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    State,
    Updates,
    device,
    floating,
    select,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_not_negative, check_parts
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call
from funcnet.tree import Tree


class ZeroNansState(NamedTuple):
    """The leaves in which the last update found NaN."""

    found_nan: Tree  # like params, of 0-d bools


class ApplyIfFiniteState(NamedTuple):
    """The state of `apply_if_finite`."""

    notfinite_count: Tensor  # 0-d int64, updates in a row that were not finite
    last_finite: Tensor  # 0-d bool, whether the last update was finite
    total_notfinite: Tensor  # 0-d int64, all updates that were not finite
    inner_state: State


@shows_call
def zero_nans() -> GradientTransformation:
    """Replace NaN in updates by 0, and record the leaves that held NaN.

    Example:
        >>> part = fn.optim.zero_nans()
        >>> part.update(torch.tensor([1.0, float("nan")]), part.init(torch.zeros(2)))
        (tensor([1., 0.]), ZeroNansState(found_nan=tensor(True)))
    """
    return with_state(ZeroNansState, _zero_nans_init, _zero_nans_update)


@shows_call
def apply_if_finite(inner: GradientTransformation, max_consecutive_errors: int) -> GradientTransformation:
    """Apply a transformation to updates that are finite; drop the others, which change neither parameters nor state.

    Args:
        inner: The transformation to apply.
        max_consecutive_errors: After this many dropped updates in a row, the next is applied even if it is not finite.
    Returns:
        The transformation. State: `ApplyIfFiniteState`.
    Example:
        >>> optimizer = fn.optim.apply_if_finite(fn.optim.sgd(0.1), 3)
        >>> updates, state = optimizer.update(torch.tensor(float("inf")), optimizer.init(torch.tensor(0.0)))
        >>> updates, state.total_notfinite
        (tensor(0.), tensor(1))
    """
    check_parts("apply_if_finite", [inner])
    inner = with_extra_args_support(inner)
    check_not_negative("apply_if_finite", max_consecutive_errors=max_consecutive_errors)
    update = partial(_if_finite_update, inner=inner, max_consecutive_errors=max_consecutive_errors)
    return with_state(ApplyIfFiniteState, partial(_if_finite_init, inner=inner), update)


def _zero_nans_init(params: Params) -> ZeroNansState:
    return ZeroNansState(tree.map(lambda p: p.new_zeros((), dtype=torch.bool), floating(params)))


def _zero_nans_update(
    updates: Updates, state: ZeroNansState, params: Params | None = None, **extra: Any
) -> tuple[Updates, ZeroNansState]:
    found = tree.map(lambda before, g: before if g is None else g.isnan().any(), state.found_nan, updates)
    return tree.map(lambda g: torch.where(g.isnan(), 0, g), updates), ZeroNansState(found)


def _if_finite_init(params: Params, *, inner: GradientTransformation) -> ApplyIfFiniteState:
    finite = torch.ones((), dtype=torch.bool, device=device(params))
    return ApplyIfFiniteState(zero_count(params), finite, zero_count(params), inner.init(params))


def _if_finite_update(
    updates: Updates,
    state: ApplyIfFiniteState,
    params: Params | None = None,
    *,
    inner: GradientTransformation,
    max_consecutive_errors: int,
    **extra: Any,
) -> tuple[Updates, ApplyIfFiniteState]:
    finite = _all_finite(updates, state.last_finite)
    in_a_row = torch.where(finite, 0, state.notfinite_count + 1)
    apply = finite | (in_a_row > max_consecutive_errors)
    changed, inner_state = inner.update(updates, state.inner_state, params, **extra)
    return tree.map(lambda u: torch.where(apply, u, 0), changed), ApplyIfFiniteState(
        in_a_row, finite, state.total_notfinite + ~finite, select(apply, inner_state, state.inner_state)
    )


def _all_finite(updates: Updates, like: Tensor) -> Tensor:
    finite = [g.isfinite().all() for g in tree.leaves(updates) if tree.is_inexact(g)]
    return torch.stack(finite).all() if finite else torch.ones_like(like)
