"""Stochastic gradient descent."""

from functools import partial
from typing import NamedTuple

from torch import Tensor

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, State, Updates


class TraceState(NamedTuple):
    """What momentum remembers."""

    trace: Params  # like params: the decaying sum of gradients


def sgd(
    learning_rate: float | Tensor, momentum: float | Tensor | None = None, nesterov: bool = False
) -> GradientTransformation:
    """Descend along the gradient, with momentum if asked: m = momentum m + g, update = -learning_rate m.

    With nesterov the update is -learning_rate (momentum m + g), with the new m.

    Args:
        learning_rate: Step size, parameter unit squared over loss unit; may be a tensor.
        momentum: In [0, 1); None keeps no state.
        nesterov: Whether to look ahead; without momentum it changes nothing.
    Returns:
        The transformation. State: () without momentum, else `TraceState`.
    Source:
        Sutskever, Martens, Dahl, Hinton (2013), On the importance of initialization and momentum in deep learning,
        https://proceedings.mlr.press/v28/sutskever13.html; in the form of optax.sgd and torch.optim.SGD.
    Example:
        >>> optimizer = fn.optim.sgd(0.1)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(torch.tensor(1.0)))
        (tensor(-0.2000), ())
    """
    if momentum is None:
        return GradientTransformation(init=_no_state, update=partial(_descend, learning_rate=learning_rate))
    update = partial(_descend_with_momentum, learning_rate=learning_rate, momentum=momentum, nesterov=nesterov)
    return GradientTransformation(init=_trace_init, update=update)


def _no_state(params: Params) -> State:
    return ()


def _descend(
    updates: Updates, state: State, params: Params | None = None, *, learning_rate: float | Tensor
) -> tuple[Updates, State]:
    return tree.scale(-learning_rate, updates), state


def _trace_init(params: Params) -> TraceState:
    return TraceState(trace=tree.zeros_like(tree.partition(params, tree.is_floating)[0]))


def _descend_with_momentum(
    updates: Updates,
    state: TraceState,
    params: Params | None = None,
    *,
    learning_rate: float | Tensor,
    momentum: float | Tensor,
    nesterov: bool,
) -> tuple[Updates, TraceState]:
    trace = tree.add(updates, tree.scale(momentum, state.trace))
    ahead = tree.add(updates, tree.scale(momentum, trace)) if nesterov else trace
    return tree.scale(-learning_rate, ahead), TraceState(trace=trace)
