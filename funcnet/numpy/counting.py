"""Counts: histograms, bins, and places in sorted vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, inexact, promote
from funcnet.numpy.statistics import diff

__all__ = ["bincount", "digitize", "histogram", "histogram_bin_edges", "searchsorted"]


def searchsorted(a: ArrayLike, v: ArrayLike, side: str = "left") -> Tensor:
    """The positions in a sorted vector where values would be inserted, int32.

    Args:
        a: A vector in ascending order.
        v: The values.
        side: "left": before equal elements; "right": after them.
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: expected side to be 'left' or 'right', got {side!r}.")
    a, v = promote("searchsorted", a, v)
    return torch.searchsorted(a, v.contiguous(), side=side).to(torch.int32)


def digitize(x: ArrayLike, bins: ArrayLike, right: bool = False) -> Tensor:
    """The bin i of each element: bins[i-1] <= x < bins[i], or bins[i-1] < x <= bins[i] if right; bins ascend."""
    return searchsorted(bins, x, "left" if right else "right")


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
