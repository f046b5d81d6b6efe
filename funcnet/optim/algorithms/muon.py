"""The Muon optimizer."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adam import adamw
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    stateless,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction, partition
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call
from funcnet.tree import Tree

Coefficients = tuple[float, float, float]

STANDARD: Coefficients = (3.4445, -4.7750, 2.0315)


class MuonState(NamedTuple):
    """The state of Muon."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params, in mu_dtype: the mean of gradients


@shows_call
def scale_by_muon(
    ns_coeffs: Coefficients | Sequence[Coefficients] = STANDARD,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
) -> GradientTransformation:
    """Replace mean gradients of matrices by the nearest orthogonal matrices, as `muon` does before its step size.

    Example:
        >>> params, part = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), fn.optim.scale_by_muon()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([[0.7229, 0.0000],
                [0.0000, 1.1192]])
    """
    check_fraction("scale_by_muon", beta=beta)
    check_not_negative("scale_by_muon", eps=eps)
    coefficients = _per_step(ns_coeffs, ns_steps)
    update = partial(_muon_update, coefficients=coefficients, beta=beta, eps=eps, nesterov=nesterov, adaptive=adaptive)
    return with_state(MuonState, partial(_muon_init, mu_dtype=mu_dtype), update, like=("mu",))


@shows_call
def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Coefficients | Sequence[Coefficients] = STANDARD,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: TreeOrFunction | None = None,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps_root: Scalar = 0.0,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    consistent_rms: Scalar | None = None,
) -> GradientTransformation:
    """Move matrices along the orthogonal matrix nearest to their mean gradient, and other leaves as `adamw` does.

    m = beta m + (1 - beta) g, o = orthogonalize(m̂), with m̂ as in `adam`;
    u = -learning_rate (sqrt(max(1, out / in)) o + weight_decay p), for a matrix of shape (in, out).

    torch.optim.Muon uses m in place of m̂, assumes shapes (out, in), and computes in bfloat16.

    Args:
        learning_rate: Step size; a number, a 0-d tensor or a schedule.
        ns_coeffs: The polynomial of each Newton-Schulz step, or one for every step.
        ns_steps: Newton-Schulz steps.
        beta: Decay of m, in [0, 1).
        eps: Keeps norms from 0.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        weight_decay_mask: The leaves that decay, as in `masked`. None: all.
        mu_dtype: The dtype of m. None: that of the parameters.
        nesterov: Whether m̂ looks ahead, as in `nadam`.
        adaptive: Whether to multiply o by the sum of m̂ o.
        adam_b1, adam_b2, adam_eps_root, adam_weight_decay, adam_learning_rate: For the other leaves; their learning
            rate defaults to learning_rate.
        consistent_rms: If given, the root mean square of a step: scale o by sqrt(max(in, out)) consistent_rms instead.
    Returns:
        The transformation. State: a `PartitionState` with the labels "muon" and "adam".
    Raises:
        ValueError: There are fewer polynomials than steps.
    Source:
        Jordan et al. (2024), Muon, https://kellerjordan.github.io/posts/muon/; options as in optax.contrib.muon.
    Example:
        >>> params, part = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), fn.optim.muon(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([[-0.0723, -0.0000],
                [-0.0000, -0.1119]])
    """
    adam_rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    matrices = chain(
        scale_by_muon(ns_coeffs, ns_steps, beta, eps, mu_dtype, nesterov=nesterov, adaptive=adaptive),
        stateless(partial(_by_shape, consistent_rms=consistent_rms)),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    others = adamw(
        adam_rate, adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, weight_decay=adam_weight_decay, nesterov=nesterov
    )
    return partition({"muon": matrices, "adam": others}, _labels)


def orthogonalize(x: Tensor, coefficients: Sequence[Coefficients], eps: Scalar = 1e-8) -> Tensor:
    """Approximate u vᵀ of the singular value decomposition x = u s vᵀ by Newton-Schulz steps.

    x = x / (|x| + eps), then x = a x + (b (x xᵀ) + c (x xᵀ)²) x for each polynomial (a, b, c).

    Args:
        x: (m, n).
        coefficients: The polynomials; the standard one maps singular values into about [0.7, 1.2] in five steps.
        eps: Keeps the norm from 0.
    Returns:
        (m, n).
    Example:
        >>> fn.optim.orthogonalize(torch.diag(torch.tensor([4.0, 1.0])), [(1.5, -0.5, 0.0)] * 9)
        tensor([[1., 0.],
                [0., 1.]])
    """
    if x.shape[0] > x.shape[1]:
        return orthogonalize(x.mT, coefficients, eps).mT
    x = x / (torch.linalg.vector_norm(x) + eps)
    for a, b, c in coefficients:
        gram = x @ x.mH
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def _per_step(ns_coeffs: Coefficients | Sequence[Coefficients], steps: int) -> Sequence[Coefficients]:
    if not isinstance(ns_coeffs[0], Sequence):
        return [cast(Coefficients, ns_coeffs)] * steps
    if len(ns_coeffs) < steps:
        raise ValueError(f"muon: expected a polynomial for each of {steps} steps, got {len(ns_coeffs)}.")
    return cast(Sequence[Coefficients], ns_coeffs)[-steps:]


def _labels(params: Params) -> Tree:
    return tree.map(lambda p: "muon" if p.ndim == 2 else "adam", params)


def _muon_init(params: Params, *, mu_dtype: torch.dtype | None) -> MuonState:
    return MuonState(zero_count(params), moments.zeros(params, mu_dtype))


def _muon_update(
    updates: Updates,
    state: MuonState,
    params: Params | None = None,
    *,
    coefficients: Sequence[Coefficients],
    beta: Scalar,
    eps: Scalar,
    nesterov: bool,
    adaptive: bool,
    **extra: Any,
) -> tuple[Updates, MuonState]:
    count, mu = state.count + 1, moments.first(updates, state.mu, beta)
    mean = moments.lookahead_mean(updates, mu, beta, count) if nesterov else moments.unbias(mu, beta, count)

    def direction(_: Tensor, m: Tensor) -> Tensor:
        o = orthogonalize(m, coefficients, eps)
        return tree.dot(m, o) * o if adaptive else o

    return tree.map(direction, updates, mean), MuonState(count, mu)


def _by_shape(updates: Updates, params: Params | None, *, consistent_rms: Scalar | None) -> Updates:
    def factor(o: Tensor) -> Scalar:
        fan_in, fan_out = (max(size, 1) for size in o.shape)
        wide = max(1.0, fan_out / fan_in) ** 0.5
        return wide if consistent_rms is None else max(fan_in, fan_out) ** 0.5 * consistent_rms

    return tree.map(lambda o: factor(o) * o, updates)
