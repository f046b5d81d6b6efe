"""The learning rate in a state, for metrics."""

from torch import Tensor

from funcnet.optim.base import State
from funcnet.optim.states import find
from funcnet.optim.transforms.plateau import ReduceLROnPlateauState
from funcnet.optim.transforms.scaling import ScaleByScheduleState
from funcnet.optim.wrappers.hyperparams import InjectHyperparamsState


def learning_rate(state: State) -> Tensor:
    """Return the learning rate of the last update, or of the first one before it, as a 0-d tensor.

    It is that of the first schedule in the state, or of `inject_hyperparams`, times the scale of `reduce_on_plateau`.

    Args:
        state: The state of an optimizer whose learning rate is a schedule or a part of the state.
    Raises:
        ValueError: The state holds none: the rate is a constant.
    Example:
        >>> optimizer = fn.optim.adam(fn.optim.linear_schedule(1.0, 0.0, 10))
        >>> state = optimizer.init(torch.tensor(0.0))
        >>> for _ in range(3):
        ...     updates, state = optimizer.update(torch.tensor(1.0), state)
        >>> fn.optim.learning_rate(state)
        tensor(0.8000)
    """
    injected, scheduled = find(state, InjectHyperparamsState), find(state, ScaleByScheduleState)
    if injected is not None and "learning_rate" in injected.hyperparams:
        rate = injected.hyperparams["learning_rate"]
    elif scheduled is not None:
        rate = scheduled.step_size
    else:
        raise ValueError(
            "optim.learning_rate: the state holds no learning rate. Build the optimizer with a schedule, such as"
            " fn.optim.constant_schedule(rate), or by inject_hyperparams."
        )
    plateau = find(state, ReduceLROnPlateauState)
    return rate if plateau is None else rate * plateau.scale
