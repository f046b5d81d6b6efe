"""The NovoGrad optimizer."""

from functools import partial
from typing import Any, NamedTuple

import torch
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
    as_dtype,
    cast,
    floating,
    need_params,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByNovogradState(NamedTuple):
    """The state of NovoGrad."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params, in mu_dtype: the sum of normalised gradients
    nu: Params  # 0-d per parameter, in its real dtype: the mean of squared norms of its gradients


@shows_call
def scale_by_novograd(
    b1: Scalar = 0.9,
    b2: Scalar = 0.25,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Replace updates by the sum of gradients over the norm of their leaf, as `novograd` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_novograd()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.6000, 0.8000])
    """
    check_fraction("scale_by_novograd", b1=b1, b2=b2)
    check_not_negative("scale_by_novograd", eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    update = partial(_novograd_update, b1=b1, b2=b2, eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    return with_state(ScaleByNovogradState, partial(_novograd_init, mu_dtype=mu_dtype), update, like=("mu",))


@shows_call
def novograd(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.25,
    eps: Scalar = 1e-6,
    eps_root: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
) -> GradientTransformation:
    """Descend with momentum along gradients that are divided by the mean norm of their leaf.

    v = b2 v + (1 - b2) |g|² per leaf, m = b1 m + g / (sqrt(v + eps_root) + eps) + weight_decay p,
    u = -learning_rate m. The first v is |g|².

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of v, in [0, 1).
        eps, eps_root: Added to the root, gradient unit; and below it.
        weight_decay: The factor of the parameters that are added to m.
    Returns:
        The transformation. It needs params. State: a tuple, with a `ScaleByNovogradState` first.
    Source:
        Ginsburg et al. (2019), Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep
        Networks, algorithm 1, https://arxiv.org/abs/1905.11286
    Example:
        >>> optimizer, params = fn.optim.novograd(1.0), torch.zeros(2)
        >>> optimizer.update(torch.tensor([3.0, 4.0]), optimizer.init(params), params)[0]
        tensor([-0.6000, -0.8000])
    """
    first = scale_by_novograd(b1, b2, eps, eps_root, weight_decay)
    return chain(first, scale_by_learning_rate(learning_rate))


def _novograd_init(params: Params, *, mu_dtype: torch.dtype | None) -> ScaleByNovogradState:
    norms = tree.map(lambda p: p.new_zeros((), dtype=p.dtype.to_real()), floating(params))
    return ScaleByNovogradState(zero_count(params), moments.zeros(params, mu_dtype), norms)


def _novograd_update(
    updates: Updates,
    state: ScaleByNovogradState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    weight_decay: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByNovogradState]:
    def mean_square(v: Tensor, g: Tensor | None) -> Tensor:
        if g is None:
            return v
        square = as_dtype(torch.linalg.vector_norm(g) ** 2, v.dtype)
        return torch.where(state.count == 0, square, torch.lerp(square, v, cast(b2, v)))

    def onward(m: Tensor, g: Tensor | None, v: Tensor, p: Tensor) -> Tensor:
        if g is None:
            return m
        return as_dtype(b1 * m + g / ((v + eps_root).sqrt() + eps) + weight_decay * p, m.dtype)

    params = need_params("novograd", params, updates)
    nu = tree.map(mean_square, state.nu, updates)
    mu = tree.map(onward, state.mu, updates, nu, params)
    return tree.map(lambda _, m: m, updates, mu), ScaleByNovogradState(state.count + 1, mu, nu)
