"""The search for a step that satisfies the strong Wolfe conditions, as a function of a line."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.optim.base import Count, Params, Scalar, select


class Point(NamedTuple):
    """A point on the line, all 0-d."""

    step: Tensor
    value: Tensor
    slope: Tensor


class Search(NamedTuple):
    """The state of a search, which first looks for an interval that contains a good step, then narrows it."""

    count: Count
    last: Point
    grad: Params
    low: Point  # the better end of the interval
    high: Point
    reference: Point  # a third point for the cubic
    safe: Point  # the best point so far with sufficient decrease, at step 0 if there is none
    safe_grad: Params
    found: Tensor  # whether an interval is found
    done: Tensor
    failed: Tensor
    decrease_error: Tensor
    curvature_error: Tensor


class Rules(NamedTuple):
    """The options of `scale_by_zoom_linesearch`."""

    max_linesearch_steps: int
    max_learning_rate: Scalar | None
    tol: Scalar
    increase_factor: Scalar
    slope_rtol: Scalar
    curv_rtol: Scalar
    approx_dec_rtol: Scalar | None
    stepsize_precision: Scalar
    keep_guess: bool


def find_step(
    start: Point, grad: Params, along: Callable[[Tensor], tuple[Point, Params]], guess: Tensor, rules: Rules
) -> Search:
    """Search along a line from its start, until a step is good or the maximum number of steps is reached.

    Args:
        start: The point at step 0.
        grad: The gradient there.
        along: A function from a step to its point and the gradient there.
        guess: The first step to try.
        rules: The conditions for a good step.
    """
    no = torch.zeros_like(start.value, dtype=torch.bool)
    unknown = torch.full_like(start.value, float("inf"))
    search = Search(
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
        if is_certain(ended):
            break
        search = select(ended, search, _try_next(search, start, along, guess, rules))
    unsafe = search.done | ((search.safe.step == 0) & search.decrease_error.isfinite())
    last, grad = select(unsafe, (search.last, search.grad), (search.safe, search.safe_grad))
    return search._replace(last=last, grad=grad)


def _try_next(
    search: Search,
    start: Point,
    along: Callable[[Tensor], tuple[Point, Params]],
    guess: Tensor,
    rules: Rules,
) -> Search:
    """Evaluate the loss at one more step, and narrow the search by the result."""
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
    return Search(
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


def _interval(search: Search, new: Point, decrease: Tensor, good: Tensor) -> tuple[Tensor, Point, Point, Point]:
    """Return the interval between the last two steps, and whether it contains a good step (algorithm 3.5)."""
    too_far = (decrease > 0) | ((new.value >= search.last.value) & (search.count > 0))
    turned = (new.slope >= 0) & ~too_far
    low, high = select(turned, (new, search.last), (search.last, new))
    return too_far | turned | good, low, high, low


def _into_interval(search: Search, new: Point, decrease: Tensor) -> tuple[Tensor, Point, Point, Point]:
    """Return the part of the interval that still contains a good step (algorithm 3.6)."""
    low, high = search.low, search.high
    worse = (decrease > 0) | (new.value >= low.value)
    beyond = (new.slope * (high.step - low.step) >= 0) & ~worse
    reference = select(worse | beyond, high, low)
    return search.found, select(worse, low, new), select(worse, new, select(beyond, low, high)), reference


def _between(search: Search) -> Tensor:
    """Choose a step within the interval: the minimum of a cubic, else of a parabola, else the midpoint."""
    low, high = search.low, search.high
    left, right, length = torch.minimum(low.step, high.step), torch.maximum(low.step, high.step), high.step - low.step
    cubic, parabola = _cubic_minimum(low, high, search.reference), _parabola_minimum(low, high)
    margin = length.abs()
    by_parabola = (parabola > left + 0.1 * margin) & (parabola < right - 0.1 * margin)
    by_cubic = (cubic > left + 0.2 * margin) & (cubic < right - 0.2 * margin)
    return torch.where(by_cubic, cubic, torch.where(by_parabola, parabola, low.step + length / 2))


def _cubic_minimum(a: Point, b: Point, c: Point) -> Tensor:
    """Return the minimiser of the cubic through three points with the first's slope; the first if there is none."""
    db, dc = b.step - a.step, c.step - a.step
    rise_b, rise_c = b.value - a.value - a.slope * db, c.value - a.value - a.slope * dc
    scale = (db * dc) ** 2 * (db - dc)
    third = _quotient(dc**2 * rise_b - db**2 * rise_c, scale)
    second = _quotient(db**3 * rise_c - dc**3 * rise_b, scale)
    radical = second * second - 3 * third * a.slope
    root = torch.where(radical > 0, radical, 1).sqrt()
    return a.step + torch.where(radical > 0, _quotient(root - second, 3 * third), 0)


def _parabola_minimum(a: Point, b: Point) -> Tensor:
    """Return the minimiser of the parabola through two points with the first's slope; the first if there is none."""
    length = b.step - a.step
    return a.step - _quotient(a.slope * length**2, 2 * (b.value - a.value - a.slope * length))


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """Compute a / b, or 0 where b is 0, with finite derivatives there."""
    return torch.where(b == 0, 0, a / torch.where(b == 0, 1, b))


def _decrease_error(new: Point, start: Point, rules: Rules) -> Tensor:
    error = new.value - start.value - rules.slope_rtol * new.step * start.slope
    if rules.approx_dec_rtol is not None:
        by_slopes = new.slope - (2 * rules.slope_rtol - 1) * start.slope
        above = new.value - start.value - rules.approx_dec_rtol * start.value.abs()
        error = torch.minimum(error, torch.maximum(by_slopes, above))
    return _positive(error)


def _curvature_error(new: Point, start: Point, rules: Rules) -> Tensor:
    return _positive(new.slope.abs() - rules.curv_rtol * start.slope.abs())


def _positive(error: Tensor) -> Tensor:
    """Compute max(error, 0), or infinity for NaN, where the loss is undefined."""
    return torch.where(error.isnan(), float("inf"), error.clamp(min=0))


def is_certain(flag: Tensor) -> bool:
    """Tell whether a flag is known to be true; inside vmap, grad or a trace its value cannot be read."""
    return type(flag) is Tensor and not _torch.is_wrapped(flag) and not _torch.is_dispatching() and bool(flag)
