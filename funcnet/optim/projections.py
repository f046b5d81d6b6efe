"""Projections of a tree onto convex sets: apply one after each step to keep the parameters in the set."""

from collections.abc import Callable

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import Params, Scalar, cast
from funcnet.tree import Tree

__all__ = ["projection_box", "projection_l2_ball", "projection_non_negative", "projection_simplex"]


def projection_non_negative(params: Params) -> Params:
    """Project onto the non-negative numbers, entry by entry: max(p, 0).

    Example:
        >>> fn.optim.projections.projection_non_negative(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return _each(torch.relu, _real(params))


def projection_box(params: Params, lower: Tree, upper: Tree) -> Params:
    """Project onto a box, entry by entry: lower <= p <= upper.

    Args:
        params: Any tree.
        lower, upper: A number or a tensor for all entries, or a tree like params or a prefix of it.
    Example:
        >>> fn.optim.projections.projection_box(torch.tensor([-1.0, 0.5, 2.0]), 0.0, 1.0)
        tensor([0.0000, 0.5000, 1.0000])
    """
    bounds = (tree.broadcast_prefix(bound, params) for bound in (lower, upper))
    return tree.map(lambda p, low, high: _between(p, low, high) if tree.is_floating(p) else p, _real(params), *bounds)


def projection_simplex(params: Params, scale: Scalar = 1.0) -> Params:
    """Project all entries together onto the simplex: p >= 0, summing to `scale`.

    The result is max(p - t, 0), with the threshold t at which it sums to `scale`.

    Source:
        Duchi, Shalev-Shwartz, Singer, Chandra (2008), Efficient Projections onto the l1-Ball, figure 1,
        https://stanford.edu/~jduchi/projects/DuchiShSiCh08.pdf
    Example:
        >>> fn.optim.projections.projection_simplex(torch.tensor([0.5, 1.0, -3.0]))
        tensor([0.2500, 0.7500, 0.0000])
    """
    values, unravel = tree.ravel(_real(params))
    if not len(values):
        return params
    values = values - values.max()  # leaves the projection unchanged, and keeps small differences of large values
    largest = values.sort(descending=True).values
    sums = largest.cumsum(0) - scale
    place = torch.arange(1, len(values) + 1, dtype=values.dtype, device=values.device)
    support = largest * place > sums  # the entries that stay positive, a run from the largest
    threshold = (torch.where(support, largest, 0).sum() - scale) / support.sum()
    return unravel(torch.relu(values - threshold.to(values.dtype)))


def projection_l2_ball(params: Params, scale: Scalar = 1.0) -> Params:
    """Project all entries together onto the ball of radius `scale`: p scale / max(|p|, scale).

    Example:
        >>> fn.optim.projections.projection_l2_ball(torch.tensor([3.0, 4.0]))
        tensor([0.6000, 0.8000])
    """
    norm = tree.norm(params)
    factor = scale / norm.clamp(min=cast(scale, norm))
    return _each(lambda p: p * factor.to(p.dtype), params)


def _real(params: Params) -> Params:
    """Refuse complex numbers, which have no order."""
    for path, leaf in zip(tree.paths(params), tree.leaves(params), strict=True):
        if tree.is_inexact(leaf) and not tree.is_floating(leaf):
            raise TypeError(
                f"optim.projections: at {tree.place(path)}: expected real tensors, got {tree.describe(leaf)}. "
                "Project its fn.tree.view_as_real, or its absolute values."
            )
    return params


def _each(f: Callable[[Tensor], Tensor], params: Params) -> Params:
    return tree.map(lambda p: f(p) if tree.is_inexact(p) else p, params)


def _between(p: Tensor, low: Scalar, high: Scalar) -> Tensor:
    return p.clamp(min=cast(low, p)).clamp(max=cast(high, p))
