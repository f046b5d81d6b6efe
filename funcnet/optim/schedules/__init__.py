"""Schedules: hyper-parameters as functions of the step count.

A schedule takes an int or a 0-d integer tensor and returns a 0-d float64 tensor, so that it is exact to rounding
whatever the dtype of the parameters; the transformation that uses it casts the value. Values may be tensors, which can
be differentiated or mapped; so may step counts, except the boundaries between pieces, which are ints.
"""

from funcnet.optim.schedules.curves import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
    polynomial_schedule,
)
from funcnet.optim.schedules.pieces import (
    cosine_onecycle_schedule,
    join_schedules,
    linear_onecycle_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)

__all__ = [
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "sgdr_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]


def __dir__() -> list[str]:
    return __all__
