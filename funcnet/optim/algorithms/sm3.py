"""The SM3 optimizer."""

from functools import partial, reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adagrad import inverse_root
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    as_dtype,
    floating,
    on_pairs,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleBySM3State(NamedTuple):
    """The state of SM3."""

    mu: Params  # per parameter a list of vectors, one per axis: the largest sums of squares along the other axes
    nu: Params  # like params: the mean of scaled gradients


@shows_call
def scale_by_sm3(b1: Scalar = 0.9, b2: Scalar = 1.0, eps: Scalar = 1e-8) -> GradientTransformation:
    """Divide updates by roots of bounds on the sums of their squares, as `sm3` does before its step size.

    Args:
        b1: Decay of the mean of scaled gradients, in [0, 1).
        b2: Decay of the sums of squares, in (0, 1]; below 1 the squares are weighted by 1 - b2.
        eps: Added below the root; gradient unit squared.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_sm3()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.1000, 0.1000])
    """
    check_fraction("scale_by_sm3", b1=b1, b2=b2)
    check_not_negative("scale_by_sm3", eps=eps)
    return on_pairs(with_state(ScaleBySM3State, _sm3_init, partial(_sm3_update, b1=b1, b2=b2, eps=eps), like=("nu",)))


@shows_call
def sm3(learning_rate: ScalarOrSchedule, momentum: Scalar = 0.9) -> GradientTransformation:
    """Descend as `adagrad` does, with memory for one number per row and column instead of one per parameter.

    s_ij = min(r_i, c_j) + g_ij², r_i = max_j s_ij, c_j = max_i s_ij, and likewise for other numbers of axes;
    m = momentum m + (1 - momentum) g / sqrt(s + 1e-8), u = -learning_rate m.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        momentum: Decay of m, in [0, 1).
    Returns:
        The transformation. State: a tuple, with a `ScaleBySM3State` first.
    Source:
        Anil, Gupta, Koren, Singer (2019), Memory-Efficient Adaptive Optimization, algorithm SM3-II,
        https://arxiv.org/abs/1901.11150
    Example:
        >>> optimizer = fn.optim.sm3(1.0, momentum=0.0)
        >>> optimizer.update(torch.tensor([2.0, -3.0]), optimizer.init(torch.zeros(2)))[0]
        tensor([-1.,  1.])
    """
    return chain(scale_by_sm3(momentum), scale_by_learning_rate(learning_rate))


def _sm3_init(params: Params) -> ScaleBySM3State:
    return ScaleBySM3State(tree.map(_axes, floating(params)), moments.zeros(params))


def _axes(p: Tensor) -> list[Tensor]:
    """Return zeros for each axis; a number has one axis of length 1."""
    return [p.new_zeros(n) for n in p.shape or (1,)]


def _sm3_update(
    updates: Updates,
    state: ScaleBySM3State,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleBySM3State]:
    weight = torch.where(b2 == 1, 1, 1 - b2) if isinstance(b2, Tensor) else 1 - b2 if b2 != 1 else 1

    def accumulated(g: Tensor, bounds: list[Tensor]) -> Tensor:
        return as_dtype(weight * g * g + b2 * reduce(torch.minimum, _along_axes(bounds, g)), g.dtype)

    total = tree.map(accumulated, updates, state.mu)
    nu = moments.first(tree.map(lambda g, s: g * inverse_root(s, eps), updates, total), state.nu, b1)
    mu = tree.map(lambda _, old, s: old if s is None else _bounds(s), state.nu, state.mu, total)
    return tree.map(lambda _, m: m, updates, nu), ScaleBySM3State(mu, nu)


def _along_axes(bounds: list[Tensor], g: Tensor) -> list[Tensor]:
    """View each vector as a tensor that varies along its own axis of a gradient."""
    if g.ndim < 2:
        return [bounds[0].view(g.shape)]
    return [v.view([v.shape[0] if i == axis else 1 for i in range(g.ndim)]) for axis, v in enumerate(bounds)]


def _bounds(total: Tensor) -> list[Tensor]:
    """Return the largest sums along all axes but one, for each axis."""
    if total.ndim < 2:
        return [total.view(-1)]
    if not total.numel():
        return _axes(total)
    return [total.amax([i for i in range(total.ndim) if i != axis]) for axis in range(total.ndim)]
