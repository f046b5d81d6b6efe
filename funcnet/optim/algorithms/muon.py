"""The Muon optimizer."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.algorithms.adam import adamw
from funcnet.optim.algorithms.orthogonal import (
    Coefficients,
    DimensionNumbers,
    MuonDimensionNumbers,
    Preconditioning,
    check_preconditioning,
    on_matrices,
    orthogonalize,
)
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
from funcnet.tree.nodes import prefix_leaves

STANDARD: Coefficients = (3.4445, -4.7750, 2.0315)
DION: Sequence[Coefficients] = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)  # of https://github.com/microsoft/dion


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
    preconditioning: Preconditioning = "frobenius",
    weight_dimension_numbers: DimensionNumbers | None = None,
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
    check_preconditioning(preconditioning)
    nearest = partial(_nearest, coefficients=coefficients, eps=eps, adaptive=adaptive, preconditioning=preconditioning)
    update = partial(
        _muon_update, nearest=nearest, beta=beta, nesterov=nesterov, weight_dimension_numbers=weight_dimension_numbers
    )
    return with_state(MuonState, partial(_muon_init, mu_dtype=mu_dtype), update, like=("mu",))


@shows_call
def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Coefficients | Sequence[Coefficients] | str = STANDARD,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: TreeOrFunction | None = None,
    mu_dtype: torch.dtype | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Preconditioning = "frobenius",
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps_root: Scalar = 0.0,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: DimensionNumbers | None = None,
    consistent_rms: Scalar | None = None,
) -> GradientTransformation:
    """Move matrices along the orthogonal matrix nearest to their mean gradient, and other leaves as `adamw` does.

    m = beta m + (1 - beta) g, o = orthogonalize(m̂), with m̂ as in `adam`;
    u = -learning_rate (sqrt(max(1, out / in)) o + weight_decay p), for a matrix of shape (in, out).

    torch.optim.Muon uses m in place of m̂, assumes shapes (out, in), and computes in bfloat16.

    Args:
        learning_rate: Step size; a number, a 0-d tensor or a schedule.
        ns_coeffs: The polynomial of each Newton-Schulz step, or one for every step; or the name of known ones:
            "standard" or "dion".
        ns_steps: Newton-Schulz steps.
        beta: Decay of m, in [0, 1).
        eps: Keeps norms from 0.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        weight_decay_mask: The leaves that decay, as in `masked`. None: all.
        mu_dtype: The dtype of m. None: that of the parameters.
        nesterov: Whether m̂ looks ahead, as in `nadam`.
        adaptive: Whether to multiply o by the sum of m̂ o.
        preconditioning: How the matrices are scaled before the first step, as in `orthogonalize`.
        adam_b1, adam_b2, adam_eps_root, adam_weight_decay, adam_learning_rate: For the other leaves; their learning
            rate defaults to learning_rate.
        muon_weight_dimension_numbers: A tree of `MuonDimensionNumbers` like the parameters, or a prefix of it, with
            None for those that move as `adamw` does; or a function from the parameters to such a tree. By default
            the parameters with two axes are matrices.
        consistent_rms: If given, the root mean square of a step: scale o by sqrt(max(in, out)) consistent_rms instead.
    Returns:
        The transformation. State: a `PartitionState` with the labels "muon" and "adam".
    Raises:
        ValueError: There are fewer polynomials than steps, or a name is unknown.
    Source:
        Jordan et al. (2024), Muon, https://kellerjordan.github.io/posts/muon/; options as in optax.contrib.muon.
    Example:
        >>> params, part = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), fn.optim.muon(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([[-0.0723, -0.0000],
                [-0.0000, -0.1119]])
    """
    adam_rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    numbers = muon_weight_dimension_numbers
    matrices = chain(
        scale_by_muon(
            _named(ns_coeffs),
            ns_steps,
            beta,
            eps,
            mu_dtype,
            nesterov=nesterov,
            adaptive=adaptive,
            preconditioning=preconditioning,
            weight_dimension_numbers=numbers,
        ),
        stateless(partial(_by_shape, consistent_rms=consistent_rms, numbers=numbers)),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    others = adamw(
        adam_rate, adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, weight_decay=adam_weight_decay, nesterov=nesterov
    )
    return partition({"muon": matrices, "adam": others}, partial(_labels, numbers=numbers))


def _per_step(ns_coeffs: Coefficients | Sequence[Coefficients], steps: int) -> Sequence[Coefficients]:
    if not isinstance(ns_coeffs[0], Sequence):
        return [cast(Coefficients, ns_coeffs)] * steps
    if len(ns_coeffs) < steps:
        raise ValueError(f"muon: expected a polynomial for each of {steps} steps, got {len(ns_coeffs)}.")
    return cast(Sequence[Coefficients], ns_coeffs)[-steps:]


def _named(ns_coeffs: Coefficients | Sequence[Coefficients] | str) -> Coefficients | Sequence[Coefficients]:
    if not isinstance(ns_coeffs, str):
        return ns_coeffs
    if ns_coeffs not in ("standard", "dion"):
        raise ValueError(f"muon: expected ns_coeffs to be polynomials, 'standard' or 'dion', got {ns_coeffs!r}.")
    return STANDARD if ns_coeffs == "standard" else DION


def _labels(params: Params, *, numbers: DimensionNumbers | None) -> Tree:
    if numbers is None:
        return tree.map(lambda p: "muon" if p.ndim == 2 else "adam", params)
    specs = prefix_leaves(numbers(params) if callable(numbers) else numbers, params)
    structure = tree.flatten(params)[1]
    return tree.unflatten(structure, ["adam" if spec is None else "muon" for spec in specs])


def _muon_init(params: Params, *, mu_dtype: torch.dtype | None) -> MuonState:
    return MuonState(zero_count(params), moments.zeros(params, mu_dtype))


def _muon_update(
    updates: Updates,
    state: MuonState,
    params: Params | None = None,
    *,
    nearest: Callable[[Tensor, MuonDimensionNumbers], Tensor],
    beta: Scalar,
    nesterov: bool,
    weight_dimension_numbers: DimensionNumbers | None,
    **extra: Any,
) -> tuple[Updates, MuonState]:
    count, mu = state.count + 1, moments.first(updates, state.mu, beta)
    mean = moments.lookahead_mean(updates, mu, beta, count) if nesterov else moments.unbias(mu, beta, count)
    return on_matrices(nearest, weight_dimension_numbers, mean), MuonState(count, mu)


def _nearest(
    m: Tensor,
    numbers: MuonDimensionNumbers,
    *,
    coefficients: Sequence[Coefficients],
    eps: Scalar,
    adaptive: bool,
    preconditioning: Preconditioning,
) -> Tensor:
    matrices, back = numbers.matrices(m)
    o = back(orthogonalize(matrices, coefficients, eps, preconditioning))
    return tree.dot(m, o) * o if adaptive else o


def _by_shape(
    updates: Updates, params: Params | None, *, consistent_rms: Scalar | None, numbers: DimensionNumbers | None
) -> Updates:
    def scaled(o: Tensor, spec: MuonDimensionNumbers) -> Tensor:
        fan_in, fan_out = (max(math.prod(o.shape[axis] for axis in axes), 1) for axes in spec.axes(o.ndim))
        wide = max(1.0, fan_out / fan_in) ** 0.5
        return o * (wide if consistent_rms is None else max(fan_in, fan_out) ** 0.5 * consistent_rms)

    return on_matrices(scaled, numbers, updates)
