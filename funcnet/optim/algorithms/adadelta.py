"""The Adadelta optimizer."""

from functools import partial
from typing import Any, NamedTuple

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import GradientTransformation, Params, Scalar, ScalarOrSchedule, Updates, on_pairs
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByAdaDeltaState(NamedTuple):
    """The state of Adadelta."""

    e_g: Params  # like params: the mean of squared gradients
    e_x: Params  # like params: the mean of squared updates


@shows_call
def scale_by_adadelta(rho: Scalar = 0.9, eps: Scalar = 1e-6) -> GradientTransformation:
    """Rescale updates to the size of earlier updates, as `adadelta` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_adadelta()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.0032, 0.0032])
    """
    check_fraction("scale_by_adadelta", rho=rho)
    check_not_negative("scale_by_adadelta", eps=eps)
    return on_pairs(
        with_state(
            ScaleByAdaDeltaState, _adadelta_init, partial(_adadelta_update, rho=rho, eps=eps), like=("e_g", "e_x")
        )
    )


@shows_call
def adadelta(
    learning_rate: ScalarOrSchedule = 1.0,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend along the gradient by steps of the size of earlier steps.

    e = rho e + (1 - rho) g², d = g sqrt(x + eps) / sqrt(e + eps), x = rho x + (1 - rho) d², u = -learning_rate d,
    where g includes weight_decay p. torch.optim.Adadelta has the same formula. (Optax's default learning_rate, None,
    leaves out the sign as well: its updates ascend.)

    Args:
        learning_rate: A number without unit, a 0-d tensor or a schedule.
        rho: Decay of e and x, in [0, 1).
        eps: Makes the first steps nonzero and keeps the divisor from 0.
        weight_decay: Added to the gradient times p; a number, a 0-d tensor or a schedule.
        weight_decay_mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. State: a tuple, with a `ScaleByAdaDeltaState` second.
    Source:
        Zeiler (2012), ADADELTA, https://arxiv.org/abs/1212.5701
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.adadelta(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.0003, -0.0003])
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(learning_rate),
    )


def _adadelta_init(params: Params) -> ScaleByAdaDeltaState:
    return ScaleByAdaDeltaState(moments.zeros(params), moments.zeros(params))


def _adadelta_update(
    updates: Updates,
    state: ScaleByAdaDeltaState,
    params: Params | None = None,
    *,
    rho: Scalar,
    eps: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByAdaDeltaState]:
    e_g = moments.second(updates, state.e_g, rho)
    updates = tree.map(lambda g, e, x: g * (x + eps).sqrt() / (e + eps).sqrt(), updates, e_g, state.e_x)
    return updates, ScaleByAdaDeltaState(e_g, moments.second(updates, state.e_x, rho))
