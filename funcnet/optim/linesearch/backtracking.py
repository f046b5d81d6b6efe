"""Step sizes found by backtracking."""

import inspect
from collections.abc import Callable, Sequence
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
    apply_updates,
    device,
    need_params,
    select,
    widest_dtype,
    zero_count,
)
from funcnet.optim.linesearch.zoom import is_certain
from funcnet.optim.moments import zeros
from funcnet.optim.ranges import check_bound, check_count, check_not_negative
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call
from funcnet.transforms import value_and_grad


class BacktrackingLinesearchInfo(NamedTuple):
    """Diagnostics of the last search."""

    num_linesearch_steps: Tensor  # 0-d int64, evaluations of the loss
    decrease_error: Tensor  # 0-d, violation of the decrease condition; at most atol if it holds


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The result of the last search."""

    learning_rate: Tensor  # 0-d, the step size
    value: Tensor  # 0-d, the loss there; infinite before the first search
    grad: Params | None  # like params, the gradient there; None unless store_grad
    info: BacktrackingLinesearchInfo


class _Rules(NamedTuple):
    """The options of a search."""

    steps: int
    slope_rtol: Scalar
    decrease_factor: Scalar
    increase_factor: Scalar
    max_learning_rate: Scalar
    atol: Scalar
    rtol: Scalar


class _Search(NamedTuple):
    """Where a search is."""

    count: Count  # 0-d int64, evaluations so far
    step: Tensor  # 0-d
    value: Tensor  # 0-d, the loss there
    error: Tensor  # 0-d, violation of the condition there
    grad: Params | None  # the gradient there


@shows_call
def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: Scalar = 1e-4,
    decrease_factor: Scalar = 0.8,
    increase_factor: Scalar = 1.5,
    max_learning_rate: Scalar = 1.0,
    atol: Scalar = 0.0,
    rtol: Scalar = 0.0,
    store_grad: bool = False,
) -> GradientTransformation:
    """Scale updates by a step s that decreases the loss enough along them (the condition of Armijo and Goldstein).

    f(p + s u) <= (1 + rtol) f(p) + slope_rtol s f' + atol, where f' is the slope at 0. The first s is increase_factor
    times the last step, at most max_learning_rate; it is multiplied by decrease_factor until the condition holds. A
    search that only meets NaN or infinite losses returns the step 0. Inside vmap, derivatives and jit the condition has
    no known value, and the loss is evaluated max_backtracking_steps + 1 times; elsewhere the search stops at the step.

    Args:
        max_backtracking_steps: The maximum number of reductions of s.
        slope_rtol: The fraction of the slope that is enough.
        decrease_factor, increase_factor: Below and above 1.
        max_learning_rate: The largest step; infinity for no bound.
        atol, rtol: Tolerances of the condition, in units of the loss and relative to it.
        store_grad: Whether the state holds the gradient at the end, for `value_and_grad_from_state`.
    Returns:
        The transformation. Update takes the loss as `value=`, its gradient as `grad=` and the loss as a function of the
        parameters as `value_fn=`; extra arguments that value_fn names are passed on to it.
        State: `ScaleByBacktrackingLinesearchState`.
    Raises:
        ValueError: At update, one of the three arguments is missing.
    Source:
        Nocedal, Wright (2006), Numerical Optimization, algorithm 3.1; options as in
        optax.scale_by_backtracking_linesearch.
    Example:
        >>> search = fn.optim.scale_by_backtracking_linesearch(15)
        >>> f, x = lambda x: 2 * x**2, torch.tensor(1.0)
        >>> search.update(-4 * x, search.init(x), x, value=f(x), grad=4 * x, value_fn=f)[0]  # a step of 0.8^4 = 0.41
        tensor(-1.6384)
    """
    name = "scale_by_backtracking_linesearch"
    check_count(name, max_backtracking_steps=max_backtracking_steps)
    check_not_negative(name, slope_rtol=slope_rtol, decrease_factor=decrease_factor, increase_factor=increase_factor)
    check_not_negative(name, atol=atol, rtol=rtol)
    check_bound(name, max_learning_rate=max_learning_rate)
    rules = _Rules(max_backtracking_steps, slope_rtol, decrease_factor, increase_factor, max_learning_rate, atol, rtol)
    init = partial(_backtracking_init, store_grad=store_grad)
    return with_state(ScaleByBacktrackingLinesearchState, init, partial(_backtracking_update, rules=rules))


def given_loss(
    value: Scalar | None, grad: Updates | None, value_fn: Callable[..., Tensor] | None, extra: dict[str, Any]
) -> tuple[Scalar, Updates, Callable[[Params], Tensor]]:
    """Return the loss, its gradient and the loss as a function of the parameters; raise if one is missing."""
    if value is None or grad is None or value_fn is None:
        raise ValueError(
            "linesearch: expected the loss, its gradient and the loss as a function. "
            "Call update(grads, state, params, value=…, grad=grads, value_fn=…)."
        )
    known = _argument_names(value_fn)
    return value, grad, partial(value_fn, **{name: x for name, x in extra.items() if name in known})


def _argument_names(f: Callable[..., Any]) -> Sequence[str]:
    """Return the names of a function's arguments; a builtin function does not tell them."""
    try:
        return [*inspect.signature(f).parameters]
    except ValueError:
        return []


def _backtracking_init(params: Params, *, store_grad: bool) -> ScaleByBacktrackingLinesearchState:
    unknown = torch.full((), float("inf"), dtype=widest_dtype(params), device=device(params))
    info = BacktrackingLinesearchInfo(zero_count(params), unknown)
    return ScaleByBacktrackingLinesearchState(
        torch.ones_like(unknown), unknown, zeros(params) if store_grad else None, info
    )


def _backtracking_update(
    updates: Updates,
    state: ScaleByBacktrackingLinesearchState,
    params: Params | None = None,
    *,
    rules: _Rules,
    value: Scalar | None = None,
    grad: Updates | None = None,
    value_fn: Callable[..., Tensor] | None = None,
    **extra: Any,
) -> tuple[Updates, ScaleByBacktrackingLinesearchState]:
    params = need_params("linesearch", params, updates)
    value, grad, loss = given_loss(value, grad, value_fn, extra)
    if not tree.leaves(updates):
        return updates, state
    dtype = state.value.dtype
    start, slope = torch.as_tensor(value, device=state.value.device).to(dtype), tree.dot(updates, grad).to(dtype)
    end = _search(loss, state, params, updates, start, slope, rules)
    step = torch.where(end.error.isinf(), 0, end.step)
    info = BacktrackingLinesearchInfo(end.count, end.error)
    after = ScaleByBacktrackingLinesearchState(step, end.value, end.grad, info)
    return tree.map(lambda u: u * step.to(u.dtype), updates), after


def _search(
    loss: Callable[[Params], Tensor],
    state: ScaleByBacktrackingLinesearchState,
    params: Params,
    updates: Updates,
    start: Tensor,
    slope: Tensor,
    rules: _Rules,
) -> _Search:
    """Shrink the step until the loss has decreased enough."""
    first = (rules.increase_factor * state.learning_rate).clamp(max=rules.max_learning_rate)
    search = _Search(torch.zeros_like(state.info.num_linesearch_steps), first, start, start + torch.inf, state.grad)
    for i in range(rules.steps + 1):
        is_found = search.error <= rules.atol
        if is_certain(is_found):
            break
        step = search.step * rules.decrease_factor if i else search.step
        there = apply_updates(params, tree.map(lambda u, s=step: u * s.to(u.dtype), updates))
        value, grad = (loss(there), None) if state.grad is None else value_and_grad(loss)(there)
        value = value.to(start.dtype)
        error = _violation(value, start, slope, step, rules)
        search = select(is_found, search, _Search(search.count + 1, step, value, error, grad))
    return search


def _violation(value: Tensor, start: Tensor, slope: Tensor, step: Tensor, rules: _Rules) -> Tensor:
    """Return by how much the loss is too large; infinity for NaN."""
    excess = value - (1 + rules.rtol) * start - step * rules.slope_rtol * slope
    return torch.where(excess.isnan(), torch.inf, excess).clamp(min=0)
