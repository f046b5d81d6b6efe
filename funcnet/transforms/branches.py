"""The results of several branches, one of which runs: structural zeros and numbers become tensors like the others."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from funcnet.tree.conversion import number_as_tensor

Branch = Callable[[], Sequence[Any]]  # results: tensors, numbers, and None for structural zeros


def joined(results: Sequence[Sequence[Any]]) -> list[Callable[[int], Tensor] | None]:
    """Return for each result a function from the number of a branch to a tensor; None if it is zero in all branches.

    Args:
        results: Those of each branch; tensors in the same place have the same shape and dtype.
    """
    return [_column(column) for column in zip(*results, strict=True)]


def filled(leaf: Any, spec: tuple[Any, torch.dtype, torch.device | None]) -> Tensor:
    """Return a tensor; for a number or a structural zero, one of this shape, dtype and device."""
    shape, dtype, device = spec
    return leaf if isinstance(leaf, Tensor) else torch.full(shape, leaf or 0, dtype=dtype, device=device)


def _column(column: Sequence[Any]) -> Callable[[int], Tensor] | None:
    found = [leaf for leaf in column if leaf is not None]
    if not found:
        return None
    like = next((leaf for leaf in found if isinstance(leaf, Tensor)), None)
    if like is not None:
        spec = tuple(like.shape), like.dtype, like.device
        return lambda i: filled(column[i], spec)
    dtype = reduce(torch.promote_types, (number_as_tensor(number).dtype for number in found))
    return lambda i: filled(column[i], ((), dtype, None))
