"""Step sizes that a search along the line finds."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from funcnet import tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    State,
    Updates,
    apply_updates,
    device,
    find,
    floating,
    need_params,
    select,
    widest_dtype,
    zero_count,
)
from funcnet.optim.moments import zeros
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


class _Point(NamedTuple):
    """A point on the line, all 0-d."""

    step: Tensor
    value: Tensor
    slope: Tensor


class _Search(NamedTuple):
    """A search on its way: first for an interval that holds a good step, then into it."""

    count: Count
    last: _Point
    grad: Params
    low: _Point  # the better end of the interval
    high: _Point
    reference: _Point  # a third point for the cubic
    safe: _Point  # the best point so far of sufficient decrease, at step 0 while there is none
    safe_grad: Params
    found: Tensor  # whether there is an interval
    done: Tensor
    failed: Tensor
    decrease_error: Tensor
    curvature_error: Tensor


class _Rules(NamedTuple):
    max_linesearch_steps: int
    max_learning_rate: Scalar | None
    tol: Scalar
    increase_factor: Scalar
    slope_rtol: Scalar
    curv_rtol: Scalar
    approx_dec_rtol: Scalar | None
    stepsize_precision: Scalar
    keep_guess: bool


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
    decreases the loss. It always counts max_linesearch_steps evaluations when it is mapped, differentiated or staged,
    where its end cannot be seen; elsewhere it ends when it has found a step.

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
    if initial_guess_strategy not in ("one", "keep"):
        raise ValueError(f"linesearch: expected the strategy 'one' or 'keep', got {initial_guess_strategy!r}.")
    rules = _Rules(
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
    return GradientTransformation(init=_linesearch_init, update=partial(_linesearch_update, rules=rules))


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
    if _is_certain(known):
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
    rules: _Rules,
    value: Scalar | None = None,
    grad: Updates | None = None,
    value_fn: Callable[..., Tensor] | None = None,
    **extra: Any,
) -> tuple[Updates, ScaleByZoomLinesearchState]:
    params = need_params("linesearch", params)
    if value is None or grad is None or value_fn is None:
        raise ValueError(
            "linesearch: expected the loss, its gradient and the loss as a function. "
            "Call update(grads, state, params, value=…, grad=grads, value_fn=…)."
        )
    known = inspect.signature(value_fn).parameters
    along = partial(
        _along,
        value_and_grad_fn=partial(value_and_grad(value_fn), **{k: v for k, v in extra.items() if k in known}),
        params=params,
        updates=updates,
        like=state.value,
    )
    zero = torch.zeros_like(state.value)
    start = _Point(zero, zero + value, zero + tree.dot(updates, grad))
    end = _find_step(start, floating(grad), along, state.learning_rate if rules.keep_guess else zero + 1, rules)
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
) -> tuple[_Point, Params]:
    there = apply_updates(params, tree.map(lambda u: u * step.to(u.dtype), updates))
    value, grad = value_and_grad_fn(there)
    return _Point(step, value.to(like.dtype), tree.dot(updates, grad).to(like.dtype)), grad


def _find_step(
    start: _Point, grad: Params, along: Callable[[Tensor], tuple[_Point, Params]], guess: Tensor, rules: _Rules
) -> _Search:
    no = torch.zeros_like(start.value, dtype=torch.bool)
    unknown = torch.full_like(start.value, float("inf"))
    search = _Search(
        torch.zeros_like(no, dtype=torch.int64),
        start,
        grad,
        start,
        start,
        start,
        start,
        grad,
        no,
        no,
        no,
        unknown,
        unknown,
    )
    for _ in range(rules.max_linesearch_steps):
        ended = search.done | search.failed
        if _is_certain(ended):
            break
        search = select(ended, search, _try_next(search, start, along, guess, rules))
    unsafe = search.done | ((search.safe.step == 0) & search.decrease_error.isfinite())
    last, grad = select(unsafe, (search.last, search.grad), (search.safe, search.safe_grad))
    return search._replace(last=last, grad=grad)


def _try_next(
    search: _Search,
    start: _Point,
    along: Callable[[Tensor], tuple[_Point, Params]],
    guess: Tensor,
    rules: _Rules,
) -> _Search:
    """Evaluate the loss at one more step, and narrow the search by what it says."""
    wider = torch.where(search.count == 0, guess, search.last.step * rules.increase_factor)
    bounded = wider if rules.max_learning_rate is None else wider.clamp(max=rules.max_learning_rate)
    new, grad = along(torch.where(search.found, _between(search), bounded))
    decrease, curvature = _decrease_error(new, start, rules), _curvature_error(new, start, rules)
    good = torch.maximum(decrease, curvature) <= rules.tol
    safer = (decrease <= rules.tol) & (~search.found | (new.value < search.safe.value))
    safe, safe_grad = select(safer, (new, grad), (search.safe, search.safe_grad))
    interval, into = _interval(search, new, decrease, good), _into_interval(search, new, decrease)
    found, low, high, reference = select(search.found, into, interval)
    at_bound = torch.zeros_like(good) if rules.max_learning_rate is None else wider >= rules.max_learning_rate
    done = good | (at_bound & ~found)
    exhausted = search.count + 1 >= rules.max_linesearch_steps
    narrow = search.found & ((search.high.step - search.low.step).abs() <= rules.stepsize_precision)
    return _Search(
        count=search.count + 1,
        last=new,
        grad=grad,
        low=low,
        high=high,
        reference=reference,
        safe=safe,
        safe_grad=safe_grad,
        found=found,
        done=done,
        failed=(exhausted | (narrow & (safe.step > 0))) & ~done,
        decrease_error=decrease,
        curvature_error=curvature,
    )


def _interval(search: _Search, new: _Point, decrease: Tensor, good: Tensor) -> tuple[Tensor, _Point, _Point, _Point]:
    """The interval between the last two steps, and whether it holds a good one (algorithm 3.5)."""
    too_far = (decrease > 0) | ((new.value >= search.last.value) & (search.count > 0))
    turned = (new.slope >= 0) & ~too_far
    low, high = select(turned, (new, search.last), (search.last, new))
    return too_far | turned | good, low, high, low


def _into_interval(search: _Search, new: _Point, decrease: Tensor) -> tuple[Tensor, _Point, _Point, _Point]:
    """The part of the interval that still holds a good step (algorithm 3.6)."""
    low, high = search.low, search.high
    worse = (decrease > 0) | (new.value >= low.value)
    beyond = (new.slope * (high.step - low.step) >= 0) & ~worse
    reference = select(worse | beyond, high, low)
    return search.found, select(worse, low, new), select(worse, new, select(beyond, low, high)), reference


def _between(search: _Search) -> Tensor:
    """A step within the interval: the minimum of a cubic, else that of a parabola, else the middle."""
    low, high = search.low, search.high
    left, right, length = torch.minimum(low.step, high.step), torch.maximum(low.step, high.step), high.step - low.step
    cubic, parabola = _cubic_minimum(low, high, search.reference), low.step + _parabola_minimum(low, high)
    margin = length.abs()
    by_parabola = (parabola > left + 0.1 * margin) & (parabola < right - 0.1 * margin)
    by_cubic = (cubic > left + 0.2 * margin) & (cubic < right - 0.2 * margin)
    return torch.where(by_cubic, cubic, torch.where(by_parabola, parabola, low.step + length / 2))


def _cubic_minimum(a: _Point, b: _Point, c: _Point) -> Tensor:
    """Where the cubic through three points, with the slope of the first, is lowest; NaN if nowhere."""
    db, dc = b.step - a.step, c.step - a.step
    rise_b, rise_c = b.value - a.value - a.slope * db, c.value - a.value - a.slope * dc
    scale = (db * dc) ** 2 * (db - dc)
    third = (dc**2 * rise_b - db**2 * rise_c) / scale
    second = (-(dc**3) * rise_b + db**3 * rise_c) / scale
    return a.step + (-second + (second * second - 3 * third * a.slope).sqrt()) / (3 * third)


def _parabola_minimum(a: _Point, b: _Point) -> Tensor:
    """How far from the first of two points the parabola through them, with its slope, is lowest."""
    length = b.step - a.step
    return -a.slope * length**2 / (2 * (b.value - a.value - a.slope * length))


def _decrease_error(new: _Point, start: _Point, rules: _Rules) -> Tensor:
    error = new.value - start.value - rules.slope_rtol * new.step * start.slope
    if rules.approx_dec_rtol is not None:
        by_slopes = new.slope - (2 * rules.slope_rtol - 1) * start.slope
        above = new.value - start.value - rules.approx_dec_rtol * start.value.abs()
        error = torch.minimum(error, torch.maximum(by_slopes, above))
    return _positive(error)


def _curvature_error(new: _Point, start: _Point, rules: _Rules) -> Tensor:
    return _positive(new.slope.abs() - rules.curv_rtol * start.slope.abs())


def _positive(error: Tensor) -> Tensor:
    """max(error, 0), and infinity for NaN: the loss is not defined there."""
    return torch.where(error.isnan(), float("inf"), error.clamp(min=0))


def _is_certain(flag: Tensor) -> bool:
    """Tell whether a flag is known and true; within vmap, grad or a tracer its value is not to be read."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(flag)
    return type(flag) is Tensor and not wrapped and _get_current_dispatch_mode() is None and bool(flag)
