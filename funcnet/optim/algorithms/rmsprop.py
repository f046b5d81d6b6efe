"""The RMSProp optimizer."""

from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    identity,
    on_pairs,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.optim.transforms.trace import trace
from funcnet.reprs import shows_call


class ScaleByRmsState(NamedTuple):
    """The state of RMSProp."""

    count: Count  # 0-d int64, updates seen so far
    nu: Params  # like params: the mean of squared gradients


class ScaleByRStdDevState(NamedTuple):
    """The state of centred RMSProp."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params: the mean of gradients
    nu: Params  # like params: the mean of squared gradients


@shows_call
def scale_by_rms(
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide updates by their root mean square, as `rmsprop` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_rms()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3.1623, 3.1623])
    """
    check_fraction("scale_by_rms", decay=decay)
    check_not_negative("scale_by_rms", eps=eps, initial_scale=initial_scale)
    return on_pairs(
        with_state(
            ScaleByRmsState,
            init=partial(_rms_init, initial_scale=initial_scale),
            update=partial(_rms_update, decay=decay, eps=eps, eps_in_sqrt=eps_in_sqrt, bias_correction=bias_correction),
            like=("nu",),
        )
    )


@shows_call
def scale_by_stddev(
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide updates by their standard deviation, as centred `rmsprop` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_stddev()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3.3333, 3.3333])
    """
    check_fraction("scale_by_stddev", decay=decay)
    check_not_negative("scale_by_stddev", eps=eps, initial_scale=initial_scale)
    return on_pairs(
        with_state(
            ScaleByRStdDevState,
            init=partial(_stddev_init, initial_scale=initial_scale),
            update=partial(
                _stddev_update, decay=decay, eps=eps, eps_in_sqrt=eps_in_sqrt, bias_correction=bias_correction
            ),
            like=("mu", "nu"),
        )
    )


@shows_call
def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Descend along the gradient over its root mean square.

    v = decay v + (1 - decay) g², u = -learning_rate g / sqrt(v + eps) as in Optax. With eps_in_sqrt=False it is
    u = -learning_rate g / (sqrt(v) + eps), the formula of torch.optim.RMSprop (whose decay is 0.99 by default).

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        decay: Decay of v, in [0, 1).
        eps: Keeps the divisor from 0; gradient unit squared, or gradient unit outside the root.
        initial_scale: The initial v.
        eps_in_sqrt: Whether eps is added inside the root.
        centered: Whether to subtract from v the square of the gradients' mean, m = decay m + (1 - decay) g.
        momentum: Momentum of the scaled updates, as in `trace`; None for no momentum.
        nesterov: Whether the momentum looks ahead.
        bias_correction: Whether v and m are divided by the sum of their weights.
    Returns:
        The transformation. State: a tuple, with a `ScaleByRmsState` or `ScaleByRStdDevState` first.
    Source:
        Tieleman, Hinton (2012), Lecture 6.5,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf; centred in Graves (2013), Generating
        Sequences With Recurrent Neural Networks, https://arxiv.org/abs/1308.0850
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.rmsprop(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3162, -0.3162])
    """
    scale_by = scale_by_stddev if centered else scale_by_rms
    return chain(
        scale_by(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def _rms_init(params: Params, *, initial_scale: Scalar) -> ScaleByRmsState:
    return ScaleByRmsState(zero_count(params), moments.full(params, initial_scale))


def _rms_update(
    updates: Updates,
    state: ScaleByRmsState,
    params: Params | None = None,
    *,
    decay: Scalar,
    eps: Scalar,
    eps_in_sqrt: bool,
    bias_correction: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByRmsState]:
    count, nu = state.count + 1, moments.second(updates, state.nu, decay)
    square = moments.unbias(nu, decay, count) if bias_correction else nu
    updates = tree.map(lambda g, v: g / _root(v, eps, eps_in_sqrt), updates, square)
    return updates, ScaleByRmsState(count, nu)


def _stddev_init(params: Params, *, initial_scale: Scalar) -> ScaleByRStdDevState:
    return ScaleByRStdDevState(zero_count(params), moments.zeros(params), moments.full(params, initial_scale))


def _stddev_update(
    updates: Updates,
    state: ScaleByRStdDevState,
    params: Params | None = None,
    *,
    decay: Scalar,
    eps: Scalar,
    eps_in_sqrt: bool,
    bias_correction: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByRStdDevState]:
    count = state.count + 1
    mu, nu = moments.first(updates, state.mu, decay), moments.second(updates, state.nu, decay)
    mean, square = (moments.unbias(m, decay, count) if bias_correction else m for m in (mu, nu))
    updates = tree.map(lambda g, m, v: g / _root(v - m * m, eps, eps_in_sqrt), updates, mean, square)
    return updates, ScaleByRStdDevState(count, mu, nu)


def _root(v: Tensor, eps: Scalar, eps_in_sqrt: bool) -> Tensor:
    return (v + eps).sqrt() if eps_in_sqrt else v.sqrt() + eps
