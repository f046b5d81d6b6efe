"""Reductions of segments: jax.ops on torch tensors.

Example:
    >>> fn.ops.segment_sum(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 0]), 3)
    tensor([4., 2., 0.])
"""

from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_tensor
from funcnet.numpy.updates import at

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]


def segment_sum(data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, **hints: Any) -> Tensor:
    """Sum the slices of data along its first axis that have the same segment.

    Args:
        data: Shape (n, ...).
        segment_ids: Integers of shape (n,), not necessarily sorted; slices whose segment is outside of
            [0, num_segments) are left out.
        num_segments: The size of the result's first axis. None: the largest segment plus 1, which must not be traced.
        hints: indices_are_sorted, unique_indices, bucket_size and mode of JAX, which change nothing.
    Returns:
        Shape (num_segments, ...); a segment without slices has the sum 0.
    Example:
        >>> fn.ops.segment_sum(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 2, 0]), num_segments=3)
        tensor([4., 0., 2.])
    """
    return _reduced("segment_sum", "add", 0, data, segment_ids, num_segments)


def segment_prod(data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, **hints: Any) -> Tensor:
    """Multiply the slices of each segment, as `segment_sum` adds them; a segment without slices has the product 1.

    Example:
        >>> fn.ops.segment_prod(torch.tensor([2.0, 3.0, 4.0]), torch.tensor([0, 2, 0]), num_segments=3)
        tensor([8., 1., 3.])
    """
    return _reduced("segment_prod", "multiply", 1, data, segment_ids, num_segments)


def segment_max(data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, **hints: Any) -> Tensor:
    """Return the largest entries of each segment, as `segment_sum` adds them; -inf, or the least integer, of none.

    Example:
        >>> fn.ops.segment_max(torch.tensor([2.0, 3.0, 4.0]), torch.tensor([0, 1, 0]))
        tensor([4., 3.])
    """
    return _reduced("segment_max", "max", "min", data, segment_ids, num_segments)


def segment_min(data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, **hints: Any) -> Tensor:
    """Return the least entries of each segment, as `segment_sum` adds them; inf, or the largest integer, of none.

    Example:
        >>> fn.ops.segment_min(torch.tensor([2.0, 3.0, 4.0]), torch.tensor([0, 1, 0]))
        tensor([2., 3.])
    """
    return _reduced("segment_min", "min", "max", data, segment_ids, num_segments)


def _reduced(
    name: str, update: str, of_none: float | str, data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None
) -> Tensor:
    x, ids = as_tensor(name, data), as_tensor(name, segment_ids)
    if x.ndim < 1 or ids.shape != x.shape[:1]:
        raise ValueError(
            f"{name}: expected segment_ids of shape (n,) for data of shape (n, ...), got shapes {tuple(ids.shape)} "
            f"and {tuple(x.shape)}."
        )
    if num_segments is not None and num_segments < 0:
        raise ValueError(f"{name}: expected num_segments of at least 0, got {num_segments}.")
    size = int(ids.max()) + 1 if num_segments is None and ids.numel() else num_segments or 0
    start = _extreme(x.dtype, of_none) if isinstance(of_none, str) else of_none
    result = torch.full((size, *x.shape[1:]), start, dtype=x.dtype, device=x.device)
    return getattr(at(result)[torch.where(ids < 0, size, ids)], update)(x, mode="drop")


def _extreme(dtype: torch.dtype, which: str) -> float:
    """Return the least or the largest value of a dtype."""
    if dtype.is_floating_point:
        return -torch.inf if which == "min" else torch.inf
    return int(which == "max") if dtype == torch.bool else getattr(torch.iinfo(dtype), which)


def __dir__() -> list[str]:
    return __all__
