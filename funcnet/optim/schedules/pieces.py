"""Schedules composed of pieces."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.optim.base import Scalar, Schedule
from funcnet.optim.schedules.curves import Steps, exact, exponential_decay, half_cosine, linear_schedule, number
from funcnet.reprs import names_call

Interpolation = Callable[[Tensor, Tensor, Tensor], Tensor]


@names_call
def piecewise_constant_schedule(
    init_value: Scalar, boundaries_and_scales: Mapping[int, Scalar] | None = None
) -> Schedule:
    """Multiply by a factor at each boundary.

    Args:
        init_value: The first value.
        boundaries_and_scales: A dict from each step at which the value changes to its factor.
    Example:
        >>> fn.optim.piecewise_constant_schedule(1.0, {4: 0.5})(4)
        tensor(0.5000, dtype=torch.float64)
    """
    return partial(_piecewise_constant, init_value=init_value, pieces=sorted((boundaries_and_scales or {}).items()))


@names_call
def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: Scalar, boundaries_and_scales: Mapping[int, Scalar] | None = None
) -> Schedule:
    """Multiply by a factor between boundaries, interpolating along a line or half a cosine.

    Args:
        interpolate_type: "linear" or "cosine".
        init_value: The first value.
        boundaries_and_scales: A dict from the step at which each piece ends to its factor.
    Raises:
        ValueError: interpolate_type is another string.
    Example:
        >>> schedule = fn.optim.piecewise_interpolate_schedule("linear", 1.0, {10: 0.5})
        >>> [float(schedule(step)) for step in (0, 5, 10)]
        [1.0, 0.75, 0.5]
    """
    if interpolate_type not in _INTERPOLATIONS:
        raise ValueError(
            f"piecewise_interpolate_schedule: expected one of {list(_INTERPOLATIONS)}, got {interpolate_type!r}."
        )
    return partial(
        _piecewise_interpolate,
        interpolate=_INTERPOLATIONS[interpolate_type],
        init_value=init_value,
        pieces=sorted((boundaries_and_scales or {}).items()),
    )


@names_call
def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: Scalar,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
) -> Schedule:
    """Rise linearly from a base value to a peak, fall back to the base value, and then fall further.

    Args:
        transition_steps: Length of the cycle.
        peak_value: The highest value.
        pct_start, pct_final: The fractions of the cycle at which the peak, and then the base value, are reached.
        div_factor: The ratio of the peak to the base value, at which the cycle starts.
        final_div_factor: The ratio of the base value to the last value.
    Source:
        Smith, Topin (2018), Super-Convergence, https://arxiv.org/abs/1708.07120
    Example:
        >>> schedule = fn.optim.linear_onecycle_schedule(100, 1.0)
        >>> [round(float(schedule(step)), 4) for step in (0, 30, 100)]
        [0.04, 1.0, 0.0]
    """
    pieces = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1 / div_factor,
        transition_steps: 1 / final_div_factor,
    }
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, pieces)


@names_call
def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: Scalar,
    pct_start: float = 0.3,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
) -> Schedule:
    """Rise to a peak and fall below the initial value, each along half a cosine.

    Args:
        transition_steps: Length of the cycle.
        peak_value: The highest value.
        pct_start: The fraction of the cycle at which the peak is reached.
        div_factor: The ratio of the peak to the first value.
        final_div_factor: The ratio of the first value to the last.
    Example:
        >>> schedule = fn.optim.cosine_onecycle_schedule(100, 1.0)
        >>> [round(float(schedule(step)), 4) for step in (0, 30, 100)]
        [0.04, 1.0, 0.0]
    """
    pieces = {
        int(pct_start * transition_steps): div_factor,
        transition_steps: 1 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, pieces)


@names_call
def warmup_constant_schedule(init_value: Scalar, peak_value: Scalar, warmup_steps: Steps) -> Schedule:
    """Rise linearly to peak_value, and remain there.

    Example:
        >>> schedule = fn.optim.warmup_constant_schedule(0.0, 1.0, warmup_steps=10)
        >>> [float(schedule(step)) for step in (0, 5, 20)]
        [0.0, 0.5, 1.0]
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


@names_call
def warmup_cosine_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: int,
    decay_steps: Steps,
    end_value: Scalar = 0.0,
    exponent: Scalar = 1.0,
) -> Schedule:
    """Rise linearly, then decay along half a cosine.

    Args:
        init_value, peak_value, end_value: The first, the highest and the last value.
        warmup_steps: Length of the warmup.
        decay_steps: Length of warmup and decay together.
        exponent: Power of the cosine.
    Raises:
        ValueError: decay_steps is not more than warmup_steps.
    Example:
        >>> schedule = fn.optim.warmup_cosine_decay_schedule(0.0, 1.0, 5, 20)
        >>> [round(float(schedule(step)), 3) for step in (0, 4, 5, 20)]
        [0.0, 0.8, 1.0, 0.0]
    """
    if isinstance(decay_steps, int) and decay_steps <= warmup_steps:
        raise ValueError(
            "warmup_cosine_decay_schedule: expected decay_steps, which include warmup, to be more than warmup_steps "
            f"{warmup_steps}, got {decay_steps}."
        )
    cosine = partial(
        _cosine_between,
        init_value=peak_value,
        end_value=end_value,
        decay_steps=decay_steps - warmup_steps,
        exponent=exponent,
    )
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), cosine], [warmup_steps])


@names_call
def warmup_exponential_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: int,
    transition_steps: Steps,
    decay_rate: Scalar,
    transition_begin: Steps = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """Rise linearly to peak_value in warmup_steps, then decay as `exponential_decay` does from there.

    Example:
        >>> schedule = fn.optim.warmup_exponential_decay_schedule(0.0, 1.0, 10, transition_steps=10, decay_rate=0.5)
        >>> [float(schedule(step)) for step in (0, 10, 20)]
        [0.0, 1.0, 0.5]
    """
    decay = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), decay], [warmup_steps])


@names_call
def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """Repeat warmup and decay: stochastic gradient descent with warm restarts.

    Args:
        cosine_kwargs: For each cycle the arguments of `warmup_cosine_decay_schedule`.
    Source:
        Loshchilov, Hutter (2017), SGDR, https://arxiv.org/abs/1608.03983
    Example:
        >>> cycle = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 10}
        >>> schedule = fn.optim.sgdr_schedule([cycle, cycle])
        >>> [float(schedule(step)) for step in (0, 2, 10, 12)]
        [0.0, 1.0, 0.0, 1.0]
    """
    rounds = list(cosine_kwargs)
    ends = [sum(each["decay_steps"] for each in rounds[: i + 1]) for i in range(len(rounds))]
    return join_schedules([warmup_cosine_decay_schedule(**each) for each in rounds], ends[:-1])


@names_call
def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Follow one schedule after another; each counts steps from the boundary at which it begins.

    Args:
        schedules: At least one.
        boundaries: The steps at which the second and each later schedule begins.
    Raises:
        ValueError: The number of boundaries is not one less than that of schedules.
    Example:
        >>> warmup, rest = fn.optim.linear_schedule(0.0, 1.0, 10), fn.optim.constant_schedule(0.5)
        >>> schedule = fn.optim.join_schedules([warmup, rest], boundaries=[10])
        >>> [float(schedule(step)) for step in (0, 5, 10)]
        [0.0, 0.5, 0.5]
    """
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"join_schedules: expected one boundary fewer than schedules, got {len(schedules)} schedules and "
            f"{len(boundaries)} boundaries."
        )
    return partial(_join, schedules=tuple(schedules), boundaries=tuple(boundaries))


def _cosine_between(
    count: Steps, *, init_value: Scalar, end_value: Scalar, decay_steps: Steps, exponent: Scalar
) -> Tensor:
    return (init_value - end_value) * half_cosine(count, decay_steps) ** exponent + end_value


def _piecewise_constant(count: Steps, *, init_value: Scalar, pieces: Sequence[tuple[int, Scalar]]) -> Tensor:
    t = exact(count)
    value = number(init_value, t)
    for boundary, factor in pieces:
        value = value * torch.where(t < boundary, 1, number(factor, t))
    return value


def _piecewise_interpolate(
    count: Steps, *, interpolate: Interpolation, init_value: Scalar, pieces: Sequence[tuple[int, Scalar]]
) -> Tensor:
    t = exact(count)
    begin, start = 0, number(init_value, t)
    value = start
    for end, factor in pieces:
        target = start * factor
        part = torch.where(t < end, (t - begin) / max(end - begin, 1), 1)
        value = torch.where(t < begin, value, interpolate(start, target, part))
        begin, start = end, target
    return value


def _join(count: Steps, *, schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Tensor:
    t = exact(count)
    value = number(schedules[0](count), t)
    for boundary, schedule in zip(boundaries, schedules[1:], strict=True):
        value = torch.where(t < boundary, value, number(schedule(count - boundary), t))
    return value


def _linear(start: Tensor, end: Tensor, part: Tensor) -> Tensor:
    return start + (end - start) * part


def _along_cosine(start: Tensor, end: Tensor, part: Tensor) -> Tensor:
    return end + (start - end) * (1 + torch.cos(torch.pi * part)) / 2


_INTERPOLATIONS: dict[str, Interpolation] = {"linear": _linear, "cosine": _along_cosine}
