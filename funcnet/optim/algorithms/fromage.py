"""The Fromage optimizer."""

from functools import partial
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, Scalar, ScalarOrSchedule, Updates, cast, need_params
from funcnet.optim.ranges import check_rate
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import ScaleByScheduleState, next_schedule, scale_by_trust_ratio, start_schedule
from funcnet.reprs import shows_call


@shows_call
def fromage(learning_rate: ScalarOrSchedule, min_norm: Scalar = 1e-6) -> GradientTransformation:
    """Descend by a fraction of the norm of each leaf, then shrink it so that norms do not grow.

    p = (p - learning_rate |p| / |g| g) / sqrt(1 + learning_rate²), per leaf.

    Args:
        learning_rate: The relative size of a step, without unit; a number, a 0-d tensor or a schedule.
        min_norm: The smallest norm of a leaf and of its gradient.
    Returns:
        The transformation. It needs params. State: a tuple, with a `ScaleByScheduleState` last.
    Source:
        Bernstein, Vahdat, Yue, Liu (2020), On the distance between two neural networks and the stability of learning,
        algorithm 1, https://arxiv.org/abs/2002.03432
    Example:
        >>> optimizer, params = fn.optim.fromage(1.0), torch.tensor([3.0, 4.0])
        >>> optimizer.update(torch.tensor([0.0, 2.0]), optimizer.init(params), params)[0]
        tensor([-0.8787, -4.7071])
    """
    check_rate("fromage", learning_rate=learning_rate)
    update = partial(_shrunk, learning_rate=learning_rate)
    init = partial(start_schedule, step_size_fn=learning_rate)
    return chain(scale_by_trust_ratio(min_norm), with_state(ScaleByScheduleState, init, update))


def _shrunk(
    updates: Updates,
    state: ScaleByScheduleState,
    params: Params | None = None,
    *,
    learning_rate: ScalarOrSchedule,
    **extra: Any,
) -> tuple[Updates, ScaleByScheduleState]:
    rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
    factor = (1 + rate**2) ** -0.5

    def step(g: Tensor, p: Tensor) -> Tensor:
        return cast(factor - 1, p) * p - cast(factor * rate, g) * g

    shrunk = tree.map(step, updates, need_params("fromage", params, updates))
    return shrunk, next_schedule(state, rate)
