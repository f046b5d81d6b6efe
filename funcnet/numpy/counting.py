"""Counts: histograms, bins, and places in sorted vectors."""

import math
from builtins import range as builtins_range
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, inexact, promote
from funcnet.numpy.statistics import diff
from funcnet.numpy.unsigned import widened

__all__ = ["bincount", "digitize", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd", "searchsorted"]


def searchsorted(
    a: ArrayLike, v: ArrayLike, side: str = "left", sorter: ArrayLike | None = None, *, method: str = "scan"
) -> Tensor:
    """The positions in a sorted vector where values would be inserted, int32.

    Args:
        a: A vector in ascending order.
        v: The values.
        side: "left": before equal elements; "right": after them.
        sorter: Positions that put a in order, if it is not.
        method: JAX's choice of an algorithm, without effect.
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: expected side to be 'left' or 'right', got {side!r}.")
    a, v = map(widened, promote("searchsorted", a, v))
    a = a if sorter is None else a[as_tensor("searchsorted", sorter).long()]
    return torch.searchsorted(a, v.contiguous(), side=side).to(torch.int32)


def digitize(x: ArrayLike, bins: ArrayLike, right: bool = False, *, method: str | None = None) -> Tensor:
    """The bin i of each element: bins[i-1] <= x < bins[i], or bins[i-1] < x <= bins[i] if right.

    Bins may also descend: bins[i-1] > x >= bins[i], or bins[i-1] >= x > bins[i] if right. The method has no effect.
    """
    edges, side = as_tensor("digitize", bins), "left" if right else "right"
    ascending = searchsorted(edges, x, side)
    if len(edges) < 2:
        return ascending
    descending = len(edges) - searchsorted(edges.flip(0), x, side)
    return torch.where(edges[-1] >= edges[0], ascending, descending)


def bincount(
    x: ArrayLike, weights: ArrayLike | None = None, minlength: int = 0, *, length: int | None = None
) -> Tensor:
    """Count how often each of 0, 1, ... occurs, or add the weights of its occurrences.

    Args:
        x: A vector of integers; negative ones count as 0.
        weights: A weight per element.
        minlength: The least length of the result.
        length: The length of the result: larger integers are ignored. Needed inside `jit` and `vmap`.
    """
    x = as_tensor("bincount", x).long().clamp(min=0)
    size = max(minlength, int(x.max()) + 1 if x.numel() else 0) if length is None else length
    added = torch.ones_like(x, dtype=torch.int32) if weights is None else as_tensor("bincount", weights)
    counts = torch.zeros(size + 1, dtype=added.dtype, device=x.device)
    return counts.index_add(0, x.clamp(max=size), added)[:size]


def histogram_bin_edges(a: ArrayLike, bins: ArrayLike = 10, range: Sequence[ArrayLike] | None = None) -> Tensor:
    """The edges of equal bins between the least and the largest element, or of `range`; given edges are returned."""
    if not isinstance(bins, int):
        return inexact(as_tensor("histogram", bins))
    x = inexact(as_tensor("histogram", a)).reshape(-1)
    low, high = (x.min(), x.max()) if range is None else promote("histogram", x.new_zeros(()), *range)[1:]
    low, high = torch.where(low == high, low - 0.5, low), torch.where(low == high, high + 0.5, high)
    unit = torch.linspace(0, 1, bins + 1, dtype=x.dtype, device=x.device)
    return low * (1 - unit) + high * unit


def histogram(
    a: ArrayLike,
    bins: ArrayLike = 10,
    range: Sequence[ArrayLike] | None = None,
    weights: ArrayLike | None = None,
    density: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return (counts, edges): how many elements, or what weight, is in each bin; the last bin includes its upper edge.

    Args:
        a: The elements, of any shape.
        bins: The number of equal bins, or the edges.
        range: The lower edge of the first bin and the upper edge of the last; by default the extremes of a.
        weights: A weight per element.
        density: Divide by the total and by the widths.
    """
    edges = histogram_bin_edges(a, bins, range)
    x = as_like("histogram", a, edges).reshape(-1)
    w = torch.ones_like(x) if weights is None else as_like("histogram", weights, edges).reshape(-1)
    place = torch.searchsorted(edges, x, right=True) - (x == edges[-1]).long()
    counts = x.new_zeros(edges.shape[0] + 1).index_add(0, place, w)[1:-1]
    return (counts / counts.sum() / diff(edges) if density else counts), edges


def histogramdd(
    sample: ArrayLike,
    bins: Any = 10,
    range: Sequence[Sequence[ArrayLike] | None] | None = None,
    weights: ArrayLike | None = None,
    density: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Return (counts, edges of each axis) of points, of shape (points, axes).

    Args:
        sample: The points.
        bins: The number of bins of every axis, or a list of one entry per axis: a number or the edges.
        range: The lowest and the highest edge of each axis; by default the extremes.
        weights: A weight per point.
        density: Divide by the total and by the volumes of the bins.
    """
    points = inexact(as_tensor("histogramdd", sample))
    columns = points.unbind(1)
    parts = [bins] * len(columns) if isinstance(bins, int) else list(bins)
    limits = [None] * len(columns) if range is None else range
    edges = [histogram_bin_edges(*row) for row in zip(columns, parts, limits, strict=True)]
    sizes = [len(e) + 1 for e in edges]
    place = torch.zeros_like(columns[0], dtype=torch.long)
    for x, e, size in zip(columns, edges, sizes, strict=True):
        place = place * size + torch.searchsorted(e, x.contiguous(), right=True) - (x == e[-1]).long()
    ones = torch.ones_like(place, dtype=torch.int32)
    w = ones if weights is None else as_like("histogramdd", weights, points)
    counts = torch.zeros(math.prod(sizes), dtype=w.dtype, device=w.device).index_add(0, place, w).reshape(sizes)
    counts = counts[(slice(1, -1),) * len(sizes)]
    if density:
        counts = counts / counts.sum()
        for axis, e in enumerate(edges):
            counts = counts / diff(e).reshape([-1 if i == axis else 1 for i in builtins_range(len(sizes))])
    return counts, edges


def histogram2d(
    x: ArrayLike,
    y: ArrayLike,
    bins: Any = 10,
    range: Sequence[Sequence[ArrayLike] | None] | None = None,
    weights: ArrayLike | None = None,
    density: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (counts, edges along x, edges along y) of points; see `histogramdd`. One vector of edges is for both."""
    x, y = promote("histogram2d", x, y)
    if not isinstance(bins, int) and len(bins) != 2:
        bins = [bins, bins]
    counts, edges = histogramdd(torch.stack([x, y], 1), bins, range, weights, density)
    return counts, edges[0], edges[1]
