"""Projections of a tree onto convex sets: apply one after each step to keep the parameters in the set."""

import operator
from collections.abc import Callable

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import Params, Scalar, cast
from funcnet.optim.distance import sum_of_magnitudes, zero_scalar
from funcnet.tree import Tree

__all__ = [
    "projection_box", "projection_halfspace", "projection_hypercube", "projection_hyperplane", "projection_l1_ball",
    "projection_l1_sphere", "projection_l2_ball", "projection_l2_sphere", "projection_linf_ball",
    "projection_non_negative", "projection_simplex", "projection_vector",
]  # fmt: skip


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


def projection_hypercube(params: Params, scale: Tree = 1.0) -> Params:
    """Project onto a cube with a corner at 0, entry by entry: 0 <= p <= scale.

    Example:
        >>> fn.optim.projections.projection_hypercube(torch.tensor([-1.0, 0.5, 2.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return projection_box(params, 0.0, scale)


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


def projection_l1_sphere(params: Params, scale: Scalar = 1.0) -> Params:
    """Project all entries together onto the sphere of the norm Σ|p| = scale.

    Example:
        >>> fn.optim.projections.projection_l1_sphere(torch.tensor([0.5, -1.0]), 2.0)
        tensor([ 0.7500, -1.2500])
    """
    magnitudes = projection_simplex(_each(torch.abs, _real(params)), scale)
    return tree.map(lambda p, m: p.sign() * m if tree.is_floating(p) else p, params, magnitudes)


def projection_l1_ball(params: Params, scale: Scalar = 1.0) -> Params:
    """Project all entries together onto the ball of the norm Σ|p| <= scale.

    Source:
        Duchi, Shalev-Shwartz, Singer, Chandra (2008), Efficient Projections onto the l1-Ball, section 4,
        https://stanford.edu/~jduchi/projects/DuchiShSiCh08.pdf
    Example:
        >>> fn.optim.projections.projection_l1_ball(torch.tensor([2.0, -1.0]))
        tensor([1., -0.])
    """
    norm = sum_of_magnitudes(tree.partition(_real(params), tree.is_inexact)[0], zero_scalar(params))
    inside = norm <= cast(scale, norm)
    return tree.map(
        lambda p, q: torch.where(inside, p, q) if tree.is_floating(p) else p,
        params,
        projection_l1_sphere(params, scale),
    )


def projection_l2_sphere(params: Params, scale: Scalar = 1.0) -> Params:
    """Project all entries together onto the sphere of radius `scale`: p scale / |p|; NaN for p = 0.

    Example:
        >>> fn.optim.projections.projection_l2_sphere(torch.tensor([0.3, 0.4]))
        tensor([0.6000, 0.8000])
    """
    factor = scale / tree.norm(params)
    return _each(lambda p: p * factor.to(p.dtype.to_real()), params)


def projection_l2_ball(params: Params, scale: Scalar = 1.0) -> Params:
    """Project all entries together onto the ball of radius `scale`: p scale / max(|p|, scale).

    Example:
        >>> fn.optim.projections.projection_l2_ball(torch.tensor([3.0, 4.0]))
        tensor([0.6000, 0.8000])
    """
    norm = tree.norm(params)
    factor = scale / norm.clamp(min=cast(scale, norm))
    return _each(lambda p: p * factor.to(p.dtype.to_real()), params)


def projection_linf_ball(params: Params, scale: Tree = 1.0) -> Params:
    """Project onto the ball of the norm max|p| <= scale, entry by entry: -scale <= p <= scale.

    Example:
        >>> fn.optim.projections.projection_linf_ball(torch.tensor([-2.0, 0.5]))
        tensor([-1.0000,  0.5000])
    """
    return projection_box(params, tree.map(operator.neg, scale), scale)


def projection_vector(params: Params, a: Params) -> Params:
    """Project onto the line through 0 and a tree a like params: a <p, a> / <a, a>.

    Example:
        >>> fn.optim.projections.projection_vector(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0]))
        tensor([1., 0.])
    """
    factor = tree.dot(params, a) / tree.dot(a, a)
    return tree.map(lambda p, d: d * factor.to(d.dtype.to_real()) if tree.is_inexact(p) else p, params, a)


def projection_hyperplane(params: Params, a: Params, b: Scalar) -> Params:
    """Project onto the plane <a, p> = b, for a tree a like params: p + a (b - <p, a>) / <a, a>.

    Example:
        >>> fn.optim.projections.projection_hyperplane(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0]), 4.0)
        tensor([2., 2.])
    """
    return _along(params, a, (b - tree.dot(params, a)) / tree.dot(a, a))


def projection_halfspace(params: Params, a: Params, b: Scalar) -> Params:
    """Project onto the half space <a, p> <= b, for a tree a like params.

    Example:
        >>> fn.optim.projections.projection_halfspace(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0]), 4.0)
        tensor([1., 2.])
    """
    return _along(params, a, ((b - tree.dot(params, a)) / tree.dot(a, a)).clamp(max=0))


def _along(params: Params, a: Params, factor: Tensor) -> Params:
    return tree.map(lambda p, d: p + d * factor.to(d.dtype.to_real()) if tree.is_inexact(p) else p, params, a)


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


def __dir__() -> list[str]:
    return __all__
