"""The AMSGrad optimizer."""

from functools import partial
from typing import Any, NamedTuple

import torch

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    on_pairs,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call


class ScaleByAmsgradState(NamedTuple):
    """The state of AMSGrad."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params, in mu_dtype: the mean of gradients
    nu: Params  # like params, in mu_dtype if that is wider than theirs: the mean of squared gradients
    nu_max: Params  # like nu: its maximum so far


@shows_call
def scale_by_amsgrad(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Divide the mean of gradients by the largest root mean square so far, as `amsgrad` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_amsgrad()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.0000, 1.0000])
    """
    check_fraction("scale_by_amsgrad", b1=b1, b2=b2)
    check_not_negative("scale_by_amsgrad", eps=eps, eps_root=eps_root)
    update = partial(
        _amsgrad_update,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        bias_correction_mu=bias_correction_mu,
        bias_correction_nu=bias_correction_nu,
    )
    return on_pairs(
        with_state(ScaleByAmsgradState, partial(_amsgrad_init, mu_dtype=mu_dtype), update, like=("mu", "nu", "nu_max"))
    )


@shows_call
def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: torch.dtype | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Descend as `adam` does, with the maximum of v so far in place of v.

    s = max(s, v̂), u = -learning_rate m̂ / (sqrt(s + eps_root) + eps): the maximum of the corrected v̂, as in Optax.
    torch.optim.Adam(amsgrad=True) corrects the maximum: s = max(s, v), u = -learning_rate m̂ / (sqrt(s / (1 - b2^t))
    + eps). The paper uses no bias correction.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of v, in [0, 1).
        eps: Added to the root; gradient unit.
        eps_root: Added below the root; a positive one keeps derivatives of the update finite where g is 0.
        mu_dtype: The dtype of m, and of v if it is wider than that of the parameters; torch.float32 suits bfloat16
            parameters.
        bias_correction_mu, bias_correction_nu: Whether m and v are divided by the sum of their weights.
    Source:
        Reddi, Kale, Kumar (2018), On the Convergence of Adam and Beyond, https://arxiv.org/abs/1904.09237
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.amsgrad(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1000, -0.1000])
    """
    first = scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu)
    return chain(first, scale_by_learning_rate(learning_rate))


def _amsgrad_init(params: Params, *, mu_dtype: torch.dtype | None) -> ScaleByAmsgradState:
    nu = moments.at_least(params, mu_dtype)
    return ScaleByAmsgradState(zero_count(params), moments.zeros(params, mu_dtype), nu, nu)


def _amsgrad_update(
    updates: Updates,
    state: ScaleByAmsgradState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    bias_correction_mu: bool,
    bias_correction_nu: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByAmsgradState]:
    count = state.count + 1
    mu, nu = moments.first(updates, state.mu, b1), moments.second(updates, state.nu, b2)
    mean = moments.unbias(mu, b1, count) if bias_correction_mu else mu
    square = moments.unbias(nu, b2, count) if bias_correction_nu else nu
    nu_max = tree.map(torch.maximum, state.nu_max, square)
    updates = tree.map(lambda _, m, v: m / ((v + eps_root).sqrt() + eps), updates, mean, nu_max)
    return updates, ScaleByAmsgradState(count, mu, nu, nu_max)
