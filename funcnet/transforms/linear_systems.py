"""Replacements for batching rules of torch that give wrong numbers; checked on torch 2.13.

On the CPU torch.linalg.lu_solve computes the offset of each matrix from the stride of the last batch axis alone, which
is wrong for several batch axes that are not contiguous in memory. torch.func.vmap's rule calls it in this way when
vmaps are nested: for the Jacobians under vmap of solve, inv, det, slogdet and logdet. The rule here calls it with at
most one batch axis of matrices.

torch's rule for solve does not align the function's own batch axes with the mapped axis: mapped matrices of shape
(3, 3) and mapped right-hand sides of shape (2, 3, 3) become (size, 3, 3) and (size, 2, 3, 3).

torch's rule for lu_unpack treats the results that it is asked to omit as mapped, which is an error in a second vmap.
"""

import warnings
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("aten", "FRAGMENT")  # the rules are in place for as long as this exists
_LU_SOLVE = torch.ops.aten.linalg_lu_solve.default
_LU_UNPACK = torch.ops.aten.lu_unpack.default
_SOLVE = torch.ops.aten._linalg_solve_ex.default


def register() -> None:
    """Replace the batching rules for this process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Overriding a previously registered kernel")  # this is intended
        torch.library.register_vmap(_LU_SOLVE, _lu_solve, lib=_LIBRARY)
        torch.library.register_vmap(_LU_UNPACK, _lu_unpack, lib=_LIBRARY)
        torch.library.register_vmap(_SOLVE, _solve, lib=_LIBRARY)


def _lu_solve(info: Any, in_dims: Any, lu: Tensor, pivots: Tensor, b: Tensor, **options: bool) -> tuple[Tensor, int]:
    size = info.batch_size
    if in_dims[0] is in_dims[1] is None and lu.ndim == 2:
        return _LU_SOLVE(lu, pivots, b.movedim(in_dims[2], 0), **options), 0
    lu, pivots, b = (_mapped(x, dim, size) for x, dim in zip((lu, pivots, b), in_dims, strict=True))
    if lu.ndim == 3:
        return _LU_SOLVE(lu, pivots, b.movedim(0, -3), **options), b.ndim - 3
    batch = torch.broadcast_shapes(lu.shape[1:-2], b.shape[1:-2])
    flat = (
        _padded(x, len(batch) + axes).expand(size, *batch, *x.shape[-axes:]).reshape(-1, *x.shape[-axes:])
        for x, axes in ((lu, 2), (pivots, 1), (b, 2))
    )
    return _LU_SOLVE(*flat, **options).reshape(size, *batch, *b.shape[-2:]), 0


def _lu_unpack(info: Any, in_dims: Any, lu: Tensor, pivots: Tensor, *wanted: bool, **options: bool) -> tuple[Any, Any]:
    data, permutation = (*wanted, *(True,) * (2 - len(wanted)))
    data, permutation = options.get("unpack_data", data), options.get("unpack_pivots", permutation)
    lu, pivots = _mapped(lu, in_dims[0], info.batch_size), _mapped(pivots, in_dims[1], info.batch_size)
    factors = 0 if data else None
    return _LU_UNPACK(lu, pivots, data, permutation), (0 if permutation else None, factors, factors)


def _solve(info: Any, in_dims: Any, a: Tensor, b: Tensor, **options: bool) -> tuple[Any, Any]:
    is_shared = in_dims[0] is None  # then its factors are shared as well
    a, b = a[None] if is_shared else a.movedim(in_dims[0], 0), _mapped(b, in_dims[1], info.batch_size)
    is_vector = b.ndim == 2 or b.shape[1:] == a.shape[1:-1]
    b = b[..., None] if is_vector else b
    x, *factors = _SOLVE(_padded(a, b.ndim - 1), _padded(b, a.ndim - 1), **options)
    shapes = a.shape, a.shape[:-1], a.shape[:-2]  # of factors, pivots and flags
    factors = [part.reshape(shape) for part, shape in zip(factors, shapes, strict=True)]
    x = x.squeeze(-1) if is_vector else x
    if is_shared:
        return (x, *(part[0] for part in factors)), (0, None, None, None)
    return (x, *factors), (0, 0, 0, 0)


def _mapped(x: Tensor, dim: int | None, size: int) -> Tensor:
    """Move the mapped axis to the front; a shared value is repeated along it."""
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


def _padded(x: Tensor, axes: int) -> Tensor:
    """Give an example this many axes by inserting new ones between the mapped axis and its own."""
    return x.reshape(x.shape[0], *(1,) * (axes + 1 - x.ndim), *x.shape[1:])
