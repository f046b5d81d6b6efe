"""A batching rule of torch's that gives wrong numbers, replaced.

On the CPU torch.linalg.lu_solve computes the place of each matrix from the stride of the last batch axis alone, which
is wrong for (5, 1, 3, 3) and other batches of several axes that do not follow each other in memory; checked on torch
2.13. torch.func.vmap's rule calls it so where one vmap is inside another: for the Jacobians under vmap of solve, inv,
det, slogdet and logdet. The rule here calls it with at most one batch axis of matrices.
"""

import warnings
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("aten", "FRAGMENT")  # the rule is in place for as long as this exists
_OPERATION = torch.ops.aten.linalg_lu_solve.default


def register() -> None:
    """Replace the batching rule of lu_solve for this process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Overriding a previously registered kernel")  # as is intended
        torch.library.register_vmap(_OPERATION, _lu_solve, lib=_LIBRARY)


def _lu_solve(info: Any, in_dims: Any, lu: Tensor, pivots: Tensor, b: Tensor, **options: bool) -> tuple[Tensor, int]:
    size = info.batch_size
    if in_dims[0] is in_dims[1] is None and lu.ndim == 2:
        return _OPERATION(lu, pivots, b.movedim(in_dims[2], 0), **options), 0
    lu, pivots, b = (
        x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip((lu, pivots, b), in_dims, strict=True)
    )
    if lu.ndim == 3:
        return _OPERATION(lu, pivots, b.movedim(0, -3), **options), b.ndim - 3
    batch = torch.broadcast_shapes(lu.shape[1:-2], b.shape[1:-2])
    flat = (_flat(x, batch, core) for x, core in ((lu, 2), (pivots, 1), (b, 2)))
    return _OPERATION(*flat, **options).reshape(size, *batch, *b.shape[-2:]), 0


def _flat(x: Tensor, batch: torch.Size, core: int) -> Tensor:
    """Broadcast the batch axes behind the first, and make one axis of all."""
    own, size = x.ndim - 1 - core, x.shape[0]
    padded = x.reshape(size, *(1,) * (len(batch) - own), *x.shape[1:])
    return padded.expand(size, *batch, *x.shape[1 + own :]).reshape(size * batch.numel(), *x.shape[1 + own :])
