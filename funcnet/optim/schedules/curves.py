"""Schedules that follow a single curve."""

from functools import partial

import torch
from torch import Tensor

from funcnet.optim.base import Scalar, Schedule
from funcnet.optim.ranges import check_finite
from funcnet.reprs import names_call

Steps = int | Tensor


@names_call
def constant_schedule(value: Scalar) -> Schedule:
    """Return the same value at every step.

    Example:
        >>> fn.optim.constant_schedule(0.3)(7)
        tensor(0.3000, dtype=torch.float64)
    """
    check_finite("constant_schedule", value=value)
    return partial(_constant, value=value)


@names_call
def linear_schedule(
    init_value: Scalar, end_value: Scalar, transition_steps: Steps, transition_begin: Steps = 0
) -> Schedule:
    """Interpolate linearly from init_value to end_value: `polynomial_schedule` with power 1.

    Example:
        >>> fn.optim.linear_schedule(1.0, 0.0, 10)(4)
        tensor(0.6000, dtype=torch.float64)
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


@names_call
def polynomial_schedule(
    init_value: Scalar, end_value: Scalar, power: Scalar, transition_steps: Steps, transition_begin: Steps = 0
) -> Schedule:
    """Go from init_value to end_value along a power: (init_value - end_value) (1 - s)^power + end_value.

    s = (t - transition_begin) / transition_steps, clipped to [0, 1]. If transition_steps is not positive,
    the value is constant, as in Optax.

    Args:
        init_value, end_value: The first and the last value.
        power: 1 for a line; above 1 the end is approached more gently.
        transition_steps: Length of the transition.
        transition_begin: Step at which the transition begins.
    Example:
        >>> schedule = fn.optim.polynomial_schedule(1.0, 0.0, power=2, transition_steps=10)
        >>> [float(schedule(step)) for step in (0, 5, 10)]
        [1.0, 0.25, 0.0]
    """
    check_finite("polynomial_schedule", init_value=init_value, end_value=end_value, power=power)
    return partial(
        _polynomial,
        init_value=init_value,
        end_value=end_value,
        power=power,
        transition_steps=transition_steps,
        transition_begin=transition_begin,
    )


@names_call
def exponential_decay(
    init_value: Scalar,
    transition_steps: Steps,
    decay_rate: Scalar,
    transition_begin: Steps = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """Multiply by decay_rate every transition_steps: init_value decay_rate^((t - transition_begin) / transition_steps).

    If transition_steps is not positive, or decay_rate is 0, the value is constant, as in Optax.

    Args:
        init_value: The value until transition_begin.
        transition_steps: Number of steps per factor.
        decay_rate: The factor. Below 1 the value falls, above 1 it rises.
        transition_begin: Step at which the decay begins.
        staircase: Whether the exponent is rounded down, so that the value falls in steps.
        end_value: Bound on the value. None: no bound.
    Example:
        >>> schedule = fn.optim.exponential_decay(1.0, transition_steps=10, decay_rate=0.5)
        >>> [schedule(step) for step in (0, 10, 20)]
        [tensor(1., dtype=torch.float64), tensor(0.5000, dtype=torch.float64), tensor(0.2500, dtype=torch.float64)]
    """
    check_finite("exponential_decay", init_value=init_value, decay_rate=decay_rate)
    return partial(
        _exponential,
        init_value=init_value,
        transition_steps=transition_steps,
        decay_rate=decay_rate,
        transition_begin=transition_begin,
        staircase=staircase,
        end_value=end_value,
    )


@names_call
def cosine_decay_schedule(
    init_value: Scalar, decay_steps: Steps, alpha: Scalar = 0.0, exponent: Scalar = 1.0
) -> Schedule:
    """Decay along half a cosine: init_value ((1 - alpha) c^exponent + alpha).

    c = (1 + cos(π min(t / decay_steps, 1))) / 2.

    Args:
        init_value: The first value.
        decay_steps: Length of the decay.
        alpha: The ratio of the last value to the first.
        exponent: Power of the cosine.
    Raises:
        ValueError: decay_steps is below 1.
    Source:
        Loshchilov, Hutter (2017), SGDR, https://arxiv.org/abs/1608.03983
    Example:
        >>> fn.optim.cosine_decay_schedule(1.0, 10)(5)
        tensor(0.5000, dtype=torch.float64)
    """
    if isinstance(decay_steps, int) and decay_steps < 1:
        raise ValueError(f"cosine_decay_schedule: expected decay_steps of at least 1, got {decay_steps}.")
    check_finite("cosine_decay_schedule", init_value=init_value, alpha=alpha, exponent=exponent)
    return partial(_cosine, init_value=init_value, decay_steps=decay_steps, alpha=alpha, exponent=exponent)


def _constant(count: Steps, *, value: Scalar) -> Tensor:
    return number(value, exact(count))


def _polynomial(
    count: Steps,
    *,
    init_value: Scalar,
    end_value: Scalar,
    power: Scalar,
    transition_steps: Steps,
    transition_begin: Steps,
) -> Tensor:
    t = exact(count)
    steps, begin = (number(n, t).clamp(min=0) for n in (transition_steps, transition_begin))
    left = 1 - torch.minimum((t - begin).clamp(min=0), steps) / steps.clamp(min=1)
    return (init_value - end_value) * left**power + end_value


def _exponential(
    count: Steps,
    *,
    init_value: Scalar,
    transition_steps: Steps,
    decay_rate: Scalar,
    transition_begin: Steps,
    staircase: bool,
    end_value: Scalar | None,
) -> Tensor:
    t = exact(count)
    rate, steps, begin = number(decay_rate, t), number(transition_steps, t), number(transition_begin, t).clamp(min=0)
    stays = (steps <= 0) | (rate == 0)
    exponent = (t - begin).clamp(min=0) / torch.where(stays, 1, steps)
    value = init_value * torch.where(stays, 1, rate) ** (exponent.floor() if staircase else exponent)
    if end_value is None:
        return value
    end = number(end_value, t)
    bounded = torch.where(rate < 1, torch.maximum(value, end), torch.minimum(value, end))
    return torch.where(stays, value, bounded)


def _cosine(count: Steps, *, init_value: Scalar, decay_steps: Steps, alpha: Scalar, exponent: Scalar) -> Tensor:
    return init_value * ((1 - alpha) * half_cosine(count, decay_steps) ** exponent + alpha)


def half_cosine(count: Steps, steps: Steps) -> Tensor:
    """Go from 1 to 0 along half a cosine."""
    t = exact(count)
    return (1 + torch.cos(torch.pi * (t / number(steps, t).clamp(min=1)).clamp(max=1))) / 2


def exact(count: Steps) -> Tensor:
    """Convert a step count to the precision in which schedules are computed."""
    return count.double() if isinstance(count, Tensor) else torch.full((), count, dtype=torch.float64)


def number(value: Scalar, like: Tensor) -> Tensor:
    """Convert a value to a tensor of the precision in which schedules are computed."""
    return value.to(like.dtype) if isinstance(value, Tensor) else torch.full_like(like, value)
