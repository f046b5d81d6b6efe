"""Step sizes that a search along the line finds."""

import inspect
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
from funcnet.optim.linesearch.zoom import Point, Rules, find_step, is_certain
from funcnet.optim.moments import zeros
from funcnet.optim.ranges import check_count
from funcnet.optim.states import find, with_state
from funcnet.transforms import value_and_grad


class ZoomLinesearchInfo(NamedTuple):
    """How the last search went."""

    num_linesearch_steps: Tensor  # 0-d int64, evaluations of the loss
    decrease_error: Tensor  # 0-d, by how much the loss falls short of a sufficient decrease; 0 if it does not
    curvature_error: Tensor  # 0-d, by how much the slope is still too steep; 0 if it is not


class ScaleByZoomLinesearchState(NamedTuple):
    """Where the last search ended."""

    learning_rate: Tensor  # 0-d, the step size
    value: Tensor  # 0-d, the loss there; infinite before the first search
    grad: Params  # like params, the gradient there
    info: ZoomLinesearchInfo


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
    |slope at s| <= curv_rtol |f'|, where f' is the slope at 0. The search doubles s until an interval holds such a
    step, then interpolates by cubics and parabolas into it. What it cannot find it replaces by the best step that
    decreases the loss. When it is mapped, differentiated or staged, its end cannot be seen and it always evaluates the
    loss max_linesearch_steps times; elsewhere it ends when it has found a step.

    Args:
        max_linesearch_steps: Most evaluations of the loss.
        max_learning_rate: The largest step. None: no bound.
        tol: By how much the conditions may be missed.
        increase_factor: Of s while the interval is sought.
        slope_rtol, curv_rtol: Of the conditions; 0 < slope_rtol < curv_rtol < 1.
        approx_dec_rtol: How much above f(p) the approximate condition allows, relative; None for the exact one alone.
        stepsize_precision: The interval that is too short to go on in.
        initial_guess_strategy: "one", or "keep" for the last step.
    Returns:
        The transformation. Update takes the loss as `value=`, its gradient `grad=` and the loss itself as a function of
        the parameters, `value_fn=`; extra arguments that value_fn names are passed on to it.
        State: `ScaleByZoomLinesearchState`.
    Raises:
        ValueError: Another strategy; at update, one of the three missing.
    Source:
        Nocedal, Wright (2006), Numerical Optimization, algorithms 3.5 and 3.6; Hager, Zhang (2005) for the approximate
        condition; in the form of optax.scale_by_zoom_linesearch.
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
    """Transform a loss into a function that returns its value and gradient as a line search left them in a state.

    The function is called as f(params, *args, state=state, **kwargs); where the state holds no finite value, as before
    the first search, it computes them.

    Source:
        optax.value_and_grad_from_state.
    """
    return partial(_value_and_grad_from_state, value_fn=value_fn)


def _value_and_grad_from_state(
    params: Params, *args: Any, value_fn: Callable[..., Tensor], state: State, **kwargs: Any
) -> tuple[Tensor, Params]:
    found = find(state, ScaleByZoomLinesearchState)
    if found is None:
        raise ValueError("value_and_grad_from_state: expected a state of a line search, got none in it.")
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
    if value is None or grad is None or value_fn is None:
        raise ValueError(
            "linesearch: expected the loss, its gradient and the loss as a function. "
            "Call update(grads, state, params, value=…, grad=grads, value_fn=…)."
        )
    if not tree.leaves(updates):
        return updates, state
    known = inspect.signature(value_fn).parameters
    along = partial(
        _along,
        value_and_grad_fn=partial(value_and_grad(value_fn), **{k: v for k, v in extra.items() if k in known}),
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
