"""Step sizes found by a line search."""

from collections.abc import Callable
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
    apply_updates,
    device,
    floating,
    need_params,
    select,
    widest_dtype,
    zero_count,
)
from funcnet.optim.linesearch.backtracking import ScaleByBacktrackingLinesearchState, given_loss
from funcnet.optim.linesearch.zoom import Point, Rules, find_step, is_certain
from funcnet.optim.moments import zeros
from funcnet.optim.ranges import check_count
from funcnet.optim.states import find, with_state
from funcnet.reprs import shows_call
from funcnet.transforms import value_and_grad


class ZoomLinesearchInfo(NamedTuple):
    """Diagnostics of the last search."""

    num_linesearch_steps: Tensor  # 0-d int64, evaluations of the loss
    decrease_error: Tensor  # 0-d, violation of the decrease condition; 0 if it holds
    curvature_error: Tensor  # 0-d, violation of the curvature condition; 0 if it holds


class ScaleByZoomLinesearchState(NamedTuple):
    """The result of the last search."""

    learning_rate: Tensor  # 0-d, the step size
    value: Tensor  # 0-d, the loss there; infinite before the first search
    grad: Params  # like params, the gradient there
    info: ZoomLinesearchInfo


@shows_call
def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: Scalar | None = None,
    tol: Scalar = 0.0,
    increase_factor: Scalar = 2.0,
    slope_rtol: Scalar = 1e-4,
    curv_rtol: Scalar = 0.9,
    approx_dec_rtol: Scalar | None = 1e-6,
    stepsize_precision: Scalar = 1e-5,
    initial_guess_strategy: str = "keep",
) -> GradientTransformation:
    """Scale updates by a step s that satisfies the strong Wolfe conditions along them.

    f(p + s u) <= f(p) + slope_rtol s f' (or, near a minimum, its approximation by slopes), and
    |slope at s| <= curv_rtol |f'|, where f' is the slope at 0. The search increases s until an interval contains such a
    step, then narrows the interval by cubic and parabolic interpolation. If it finds no such step, it returns the best
    step that decreases the loss. Inside vmap, derivatives and jit the stopping condition has no known value, and the
    search always evaluates the loss max_linesearch_steps times; elsewhere it stops when it has found a step.

    Args:
        max_linesearch_steps: The maximum number of evaluations of the loss.
        max_learning_rate: The largest step. None: no bound.
        tol: Tolerance of the conditions.
        increase_factor: The factor by which s grows until an interval is found.
        slope_rtol, curv_rtol: Constants of the conditions; 0 < slope_rtol < curv_rtol < 1.
        approx_dec_rtol: Relative increase above f(p) that the approximate condition allows; None: only the exact one.
        stepsize_precision: The search stops when the interval is shorter than this.
        initial_guess_strategy: "one", or "keep" to start from the last step.
    Returns:
        The transformation. Update takes the loss as `value=`, its gradient as `grad=` and the loss as a function of the
        parameters as `value_fn=`; extra arguments that value_fn names are passed on to it.
        State: `ScaleByZoomLinesearchState`.
    Raises:
        ValueError: The strategy is unknown; at update, one of the three arguments is missing.
    Source:
        Nocedal, Wright (2006), Numerical Optimization, algorithms 3.5 and 3.6; Hager, Zhang (2005) for the approximate
        condition; options as in optax.scale_by_zoom_linesearch.
    Example:
        >>> params, part = torch.tensor(3.0), fn.optim.scale_by_zoom_linesearch(max_linesearch_steps=15)
        >>> value, grad = torch.square(params), 2 * params
        >>> part.update(-grad, part.init(params), params, value=value, grad=grad, value_fn=torch.square)[0]
        tensor(-3.)
    """
    check_count("scale_by_zoom_linesearch", max_linesearch_steps=max_linesearch_steps)
    if initial_guess_strategy not in ("one", "keep"):
        raise ValueError(f"linesearch: expected the strategy 'one' or 'keep', got {initial_guess_strategy!r}.")
    rules = Rules(
        max_linesearch_steps,
        max_learning_rate,
        tol,
        increase_factor,
        slope_rtol,
        curv_rtol,
        approx_dec_rtol,
        stepsize_precision,
        initial_guess_strategy == "keep",
    )
    return with_state(ScaleByZoomLinesearchState, _linesearch_init, partial(_linesearch_update, rules=rules))


def value_and_grad_from_state(value_fn: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Params]]:
    """Transform a loss into a function that returns its value and gradient from the state of a line search.

    The function is called as f(params, *args, state=state, **kwargs). If the value in the state is not finite, as
    before the first search, the function computes value and gradient.

    Source:
        optax.value_and_grad_from_state.
    Example:
        >>> params, f = torch.tensor(3.0), torch.square
        >>> optimizer = fn.optim.lbfgs()
        >>> value, grad = fn.optim.value_and_grad_from_state(f)(params, state=optimizer.init(params))
        >>> value, grad
        (tensor(9.), tensor(6.))
    """
    return partial(_value_and_grad_from_state, value_fn=value_fn)


def _value_and_grad_from_state(
    params: Params, *args: Any, value_fn: Callable[..., Tensor], state: State, **kwargs: Any
) -> tuple[Tensor, Params]:
    found = find(state, ScaleByZoomLinesearchState) or find(state, ScaleByBacktrackingLinesearchState)
    if found is None or found.grad is None:
        raise ValueError(
            "value_and_grad_from_state: expected a state that holds the state of a line search with its gradient, got "
            "none. Backtracking keeps the gradient with store_grad=True."
        )
    known = found.value.isfinite()
    if is_certain(known):
        return found.value, found.grad
    computed = value_and_grad(value_fn)(params, *args, **kwargs)
    return select(known, (found.value, found.grad), computed)


def _linesearch_init(params: Params) -> ScaleByZoomLinesearchState:
    unknown = torch.full((), float("inf"), dtype=widest_dtype(params), device=device(params))
    return ScaleByZoomLinesearchState(
        learning_rate=torch.ones_like(unknown),
        value=unknown,
        grad=zeros(params),
        info=ZoomLinesearchInfo(zero_count(params), unknown, unknown),
    )


def _linesearch_update(
    updates: Updates,
    state: ScaleByZoomLinesearchState,
    params: Params | None = None,
    *,
    rules: Rules,
    value: Scalar | None = None,
    grad: Updates | None = None,
    value_fn: Callable[..., Tensor] | None = None,
    **extra: Any,
) -> tuple[Updates, ScaleByZoomLinesearchState]:
    params = need_params("linesearch", params, updates)
    value, grad, loss = given_loss(value, grad, value_fn, extra)
    if not tree.leaves(updates):
        return updates, state
    along = partial(
        _along,
        value_and_grad_fn=value_and_grad(loss),
        params=params,
        updates=updates,
        like=state.value,
    )
    zero = torch.zeros_like(state.value)
    start = Point(zero, (zero + value).to(zero.dtype), tree.dot(updates, grad).to(zero.dtype))
    end = find_step(start, floating(grad), along, state.learning_rate if rules.keep_guess else zero + 1, rules)
    info = ZoomLinesearchInfo(end.count, end.decrease_error, end.curvature_error)
    after = ScaleByZoomLinesearchState(end.last.step, end.last.value, end.grad, info)
    return tree.map(lambda u: u * end.last.step.to(u.dtype), updates), after


def _along(
    step: Tensor,
    *,
    value_and_grad_fn: Callable[..., tuple[Tensor, Params]],
    params: Params,
    updates: Updates,
    like: Tensor,
) -> tuple[Point, Params]:
    there = apply_updates(params, tree.map(lambda u: u * step.to(u.dtype), updates))
    value, grad = value_and_grad_fn(there)
    return Point(step, value.to(like.dtype), tree.dot(updates, grad).to(like.dtype)), grad
