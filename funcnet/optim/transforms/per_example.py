"""Sums of per-example gradients with bounded norms, with noise for differential privacy."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.optim.base import GradientTransformation, Params, Scalar, Updates, cast, on_pairs
from funcnet.optim.ranges import check_bound, check_not_negative
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call
from funcnet.tree import Tree


class DifferentiallyPrivateAggregateState(NamedTuple):
    """The state of `differentially_private_aggregate`."""

    rng_key: Tensor  # (2,) int32, the key for the next draw


def per_example_global_norm_clip(grads: Tree, l2_norm_clip: Scalar) -> tuple[Tree, Tensor]:
    """Bound the norm of the gradient of each example, and add them.

    Args:
        grads: Gradients per example, as those of `fn.per_example_grads`: every leaf has a leading axis of examples.
        l2_norm_clip: The bound of the norm of all leaves together.
    Returns:
        The sum over the examples of g min(1, l2_norm_clip / |g|), and the number of examples that were bounded.
    Raises:
        ValueError: The leaves do not have a leading axis of the same size.
    Source:
        Abadi et al. (2016), Deep Learning with Differential Privacy, algorithm 1, https://arxiv.org/abs/1607.00133
    Example:
        >>> fn.optim.per_example_global_norm_clip(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), 2.5)
        (tensor([1.5000, 3.0000]), tensor(1))
    """
    _check_examples("per_example_global_norm_clip", grads)
    squares = [g.flatten(1).abs().square().sum(1) for g in tree.leaves(grads)]
    factors = _factors(torch.stack(squares).sum(0).sqrt() if squares else torch.ones(0), l2_norm_clip)
    return _weighted(grads, factors), (factors < 1).sum()


def per_example_layer_norm_clip(grads: Tree, global_l2_norm_clip: Scalar, uniform: bool = True) -> tuple[Tree, Tree]:
    """Bound the norm of the gradient of each example in each leaf, and add them.

    Args:
        grads: Gradients per example: every leaf has a leading axis of examples.
        global_l2_norm_clip: The bound C of the norm of all leaves together.
        uniform: Whether each of K leaves has the bound C / sqrt(K), or C sqrt(D / N), with its D of N numbers.
    Returns:
        The sum over the examples, and the number of examples that were bounded in each leaf.
    Raises:
        ValueError: The leaves do not have a leading axis of the same size.
    Source:
        McMahan, Ramage, Talwar, Zhang (2018), Learning Differentially Private Recurrent Language Models,
        https://arxiv.org/abs/1710.06963
    Example:
        >>> fn.optim.per_example_layer_norm_clip([torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.zeros(2, 3)], 2.5)
        ([tensor([1.0607, 2.4142]), tensor([0., 0., 0.])], [tensor(1), tensor(0)])
    """
    _check_examples("per_example_layer_norm_clip", grads)
    leaves, structure = tree.flatten(grads)
    sizes = [g.shape[1:].numel() for g in leaves]
    shares = [1 / len(leaves) if uniform else size / max(sum(sizes), 1) for size in sizes]
    bounds = [global_l2_norm_clip * share**0.5 for share in shares]
    pairs = [per_example_global_norm_clip(g, bound) for g, bound in zip(leaves, bounds, strict=True)]
    sums, counts = ([pair[i] for pair in pairs] for i in range(2))
    return tree.unflatten(structure, sums), tree.unflatten(structure, counts)


@shows_call
def differentially_private_aggregate(
    l2_norm_clip: Scalar, noise_multiplier: Scalar, key: Tensor | int
) -> GradientTransformation:
    """Replace gradients per example by their noisy mean with bounded norms: (Σ g min(1, C / |g|) + s C n) / B.

    It is the first part of a chain. `fn.curvature.clipped_mean` computes the same mean without storing the gradients
    of the examples, and can divide by the expected number of examples.

    Args:
        l2_norm_clip: C, the bound of the norm of the gradient of one example.
        noise_multiplier: s, the standard deviation of the noise on the sum, divided by C.
        key: A key, or a seed, for the normal noise n.
    Returns:
        The transformation. Updates have a leading axis of B examples, parameters do not. State:
        `DifferentiallyPrivateAggregateState`.
    Source:
        Abadi et al. (2016), Deep Learning with Differential Privacy, algorithm 1, https://arxiv.org/abs/1607.00133
    Example:
        >>> part = fn.optim.differentially_private_aggregate(2.5, 0.0, key=0)
        >>> part.update(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), part.init(torch.zeros(2)))[0]
        tensor([0.7500, 1.5000])
    """
    check_bound("differentially_private_aggregate", l2_norm_clip=l2_norm_clip)
    check_not_negative("differentially_private_aggregate", noise_multiplier=noise_multiplier)
    update = partial(_private_update, bound=l2_norm_clip, deviation=l2_norm_clip * noise_multiplier)
    return on_pairs(with_state(DifferentiallyPrivateAggregateState, partial(_private_init, key=key), update))


def _private_init(params: Params, *, key: Tensor | int) -> DifferentiallyPrivateAggregateState:
    return DifferentiallyPrivateAggregateState(random.key(key) if isinstance(key, int) else key)


def _private_update(
    updates: Updates,
    state: DifferentiallyPrivateAggregateState,
    params: Params | None = None,
    *,
    bound: Scalar,
    deviation: Scalar,
    **extra: Any,
) -> tuple[Updates, DifferentiallyPrivateAggregateState]:
    size = len(leaves[0]) if (leaves := tree.leaves(updates)) else 1
    sums, structure = tree.flatten(per_example_global_norm_clip(updates, bound)[0])
    key, *keys = random.split(state.rng_key, len(sums) + 1)
    noise = [random.normal(k, g.shape, g.dtype) for k, g in zip(keys, sums, strict=True)]
    noisy = [(g + cast(deviation, g) * n) / size for g, n in zip(sums, noise, strict=True)]
    return tree.unflatten(structure, noisy), DifferentiallyPrivateAggregateState(key)


def _check_examples(operation: str, grads: Tree) -> None:
    sizes = {tuple(g.shape[:1]) for g in tree.leaves(grads)}
    if len(sizes) > 1 or () in sizes:
        raise ValueError(
            f"{operation}: expected gradients per example, whose leaves have a leading axis of one size, got shapes "
            f"{[tuple(g.shape) for g in tree.leaves(grads)]}. fn.per_example_grads(loss) returns such gradients."
        )


def _factors(norms: Tensor, bound: Scalar) -> Tensor:
    """Return min(1, bound / norm), which is 1 for a norm of 0."""
    none = norms == 0
    return torch.where(none, 1, (bound / torch.where(none, 1, norms)).clamp(max=1))


def _weighted(grads: Tree, factors: Tensor) -> Tree:
    return tree.map(lambda g: torch.tensordot(factors.to(g.dtype), g, dims=1), grads)
