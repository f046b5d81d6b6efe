"""Linear systems and determinants in terms of LU factors, as torch computes them on the CPU.

For a determinant, torch factors the transpose of a row-major matrix. How its derivatives use the factors depends on
this choice, which is therefore made during tracing.
"""

from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def solve(a: Tensor, b: Tensor, *, left: bool = True) -> Any:
    """Solve a x = b, or x a = b; return x, the factors, the pivots and the error code."""
    is_vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    if not _is_square(a) or b.dtype != a.dtype or (b.ndim < 2 and not is_vector):
        return NotImplemented
    rhs = b[..., None] if is_vector else b
    if a.shape[-1] != rhs.shape[-2 if left else -1]:
        return NotImplemented
    lu, pivots, info = aten.linalg_lu_factor_ex(a)
    x = aten.linalg_lu_solve(lu, pivots, rhs, left=left)
    return x[..., 0] if is_vector else x, lu, pivots, info


def inverse(a: Tensor) -> Any:
    """Return the inverse and the error code."""
    if not _is_square(a):
        return NotImplemented
    identity = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand(a.shape)
    return solve(a, identity)[::3]


def det(a: Tensor) -> Any:
    """Return the determinant, the factors and the pivots."""
    if not _is_square(a):
        return NotImplemented
    lu, pivots, _ = aten.linalg_lu_factor_ex(_factored(a))
    return _sign(pivots, a.dtype) * _diagonal(lu).prod(-1), lu, pivots


def slogdet(a: Tensor) -> Any:
    """Return the sign and the logarithm of the absolute determinant, the factors and the pivots."""
    if not _is_square(a):
        return NotImplemented
    lu, pivots, _ = aten.linalg_lu_factor_ex(_factored(a))
    diagonal = _diagonal(lu)
    return _sign(pivots, a.dtype) * diagonal.sgn().prod(-1), diagonal.abs().log().sum(-1), lu, pivots


def lu(a: Tensor, *, pivot: bool = True) -> Any:
    """Return the permutation and the triangles."""
    if not pivot or a.is_complex() or a.ndim < 2:
        return NotImplemented
    return aten.lu_unpack(*aten.linalg_lu_factor_ex(a)[:2])


def lstsq(a: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Solve for a vector as for a matrix of one column."""
    if a.ndim < 2 or b.shape != a.shape[:-1]:
        return NotImplemented
    x, *others = aten.linalg_lstsq.default(a, b[..., None], rcond, driver=driver)
    return x[..., 0], *others


def pinv(a: Tensor, *, atol: Tensor | None = None, rtol: Tensor | None = None, hermitian: bool = False) -> Any:
    """Return the pseudo-inverse from singular values, or eigenvalues, of which those up to a tolerance count as 0."""
    if a.dtype not in (torch.float32, torch.float64) or not a.numel():
        return NotImplemented
    if hermitian:
        values, left = aten._linalg_eigh.default(a)
        right, sizes = left.mT, values.abs()
    else:
        left, values, right = aten._linalg_svd.default(a)
        sizes = values
    bound = _tolerance(a, atol, rtol) * sizes.amax(-1, keepdim=True)
    bound = bound if atol is None else torch.maximum(atol[..., None], bound)
    scales = torch.where(sizes > bound, values.reciprocal(), 0)
    return (right.mT * scales[..., None, :]) @ left.mT


def _tolerance(a: Tensor, atol: Tensor | None, rtol: Tensor | None) -> Any:
    """Return the relative tolerance: by default a few rounding errors, unless there is an absolute one."""
    if rtol is not None:
        return rtol[..., None]
    default = torch.finfo(a.dtype).eps * max(a.shape[-2:])
    return default if atol is None else torch.where(atol[..., None] > 0, 0, default).to(a.dtype)


def _is_square(a: Tensor) -> bool:
    return a.ndim > 1 and a.shape[-1] == a.shape[-2] and a.dtype in (torch.float32, torch.float64)


def _factored(a: Tensor) -> Tensor:
    return a.mT if a.is_contiguous() else a


def _diagonal(lu: Tensor) -> Tensor:
    return lu.diagonal(0, -2, -1)


def _sign(pivots: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the determinant of a permutation, from the exchanges of rows."""
    rows = torch.arange(1, pivots.shape[-1] + 1, dtype=pivots.dtype, device=pivots.device)
    return (1 - 2 * ((pivots != rows).sum(-1) % 2)).to(dtype)
