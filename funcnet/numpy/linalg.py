"""Linear algebra of matrices in the last two axes: jax.numpy.linalg. Integers count as float32."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.numpy import matrices
from funcnet.numpy.products import cross, matmul, multi_dot, outer, tensordot, vecdot
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.numpy.shapes import matrix_transpose

__all__ = [
    "EighResult", "QRResult", "SVDResult", "SlogdetResult", "cholesky", "cond", "cross", "det", "diagonal", "eig",
    "eigh", "eigvals", "eigvalsh", "inv", "lstsq", "matmul", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot",
    "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]  # fmt: skip


class EighResult(NamedTuple):
    """The eigenvalues in ascending order, and the eigenvectors in columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its absolute value."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """A = U diag(S) Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class QRResult(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


def _matrices(operation: str, a: ArrayLike, square: bool = True) -> Tensor:
    x = inexact(as_tensor(operation, a))
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ValueError(f"{operation}: expected {'square ' * square}matrices, got shape {tuple(x.shape)}.")
    return x


def norm(x: ArrayLike, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors (along one axis) or of matrices (two axes); without ord, the root of the sum of squares.

    ord is a number, inf, -inf, "fro" or "nuc". Without an axis, x is one vector or matrix, or, without ord, any array.
    """
    dim = tuple(axis) if isinstance(axis, list) else axis
    return torch.linalg.norm(inexact(as_tensor("norm", x)), ord, dim, keepdim=keepdims)


def vector_norm(x: ArrayLike, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """The norm of vectors along axes, by default all elements."""
    return torch.linalg.vector_norm(inexact(as_tensor("vector_norm", x)), ord, axis, keepdim=keepdims)


def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norm of matrices."""
    return torch.linalg.matrix_norm(_matrices("matrix_norm", x, square=False), ord, keepdim=keepdims)


def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Tensor:
    """The diagonals of the matrices, along a new last axis."""
    return matrices.diagonal(x, offset, -2, -1)


def det(a: ArrayLike) -> Tensor:
    """The determinant."""
    return torch.linalg.det(_matrices("det", a))


def slogdet(a: ArrayLike) -> SlogdetResult:
    """The sign of the determinant and the logarithm of its absolute value."""
    return SlogdetResult(*torch.linalg.slogdet(_matrices("slogdet", a)))


def inv(a: ArrayLike) -> Tensor:
    """The inverse."""
    return torch.linalg.inv(_matrices("inv", a))


def solve(a: ArrayLike, b: ArrayLike) -> Tensor:
    """The x with a @ x = b; b is a vector if it has one axis, else matrices."""
    x, y = floating("solve", _matrices("solve", a), b)
    if y.ndim > 1:
        return torch.linalg.solve(x, y)
    return torch.linalg.solve(x, y[:, None].expand(*x.shape[:-1], 1))[..., 0]


def lstsq(a: ArrayLike, b: ArrayLike, rcond: float | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The x of least norm that minimises |a @ x - b|^2.

    Returns:
        (x, the sum of squares that is left per column of b, rank of a, singular values of a).
    """
    x, y = floating("lstsq", _matrices("lstsq", a, square=False), b)
    columns = y if y.ndim == 2 else y[:, None]
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    least = s[0] * (torch.finfo(s.dtype).eps * max(x.shape) if rcond is None else rcond)
    inverse = torch.where(s > least, 1 / torch.where(s > least, s, 1.0), 0.0)
    solution = vh.mH @ (inverse[:, None] * (u.mH @ columns))
    rank = (s > least).sum().to(torch.int32)
    residuals = (columns - x @ solution).abs().square().sum(0)
    return solution if y.ndim == 2 else solution[:, 0], residuals, rank, s


def pinv(a: ArrayLike, rtol: float | None = None, hermitian: bool = False, *, rcond: float | None = None) -> Tensor:
    """The pseudo-inverse; singular values below rtol times the largest count as 0, by default 10 max(shape) eps.

    `rcond` is an older name of rtol.
    """
    x = _matrices("pinv", a, square=hermitian)
    rtol = rcond if rtol is None else rtol
    rtol = 10 * max(x.shape[-2:]) * torch.finfo(x.dtype).eps if rtol is None else rtol
    return torch.linalg.pinv(x, rtol=rtol, hermitian=hermitian)


def cholesky(a: ArrayLike, *, upper: bool = False, symmetrize_input: bool = True) -> Tensor:
    """The lower triangular factor L with L @ L^H = (a + a^H) / 2, or its conjugate transpose; NaN if there is none."""
    x = _matrices("cholesky", a)
    factor, info = torch.linalg.cholesky_ex((x + x.mH) / 2 if symmetrize_input else x, upper=upper)
    failed = (
        torch.where(factor == 0, 0.0, torch.nan).to(factor.dtype) if not factor.is_complex() else factor * torch.nan
    )
    return torch.where((info != 0)[..., None, None], failed, factor)


def eigh(a: ArrayLike, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:  # noqa: N803
    """The eigenvalues, ascending, and eigenvectors of a Hermitian matrix: (a + a^H) / 2, or one triangle of a."""
    x = _matrices("eigh", a)
    return EighResult(*torch.linalg.eigh((x + x.mH) / 2 if symmetrize_input else x, UPLO or "L"))


def eigvalsh(a: ArrayLike, UPLO: str | None = "L") -> Tensor:  # noqa: N803
    """The eigenvalues of a Hermitian matrix, ascending."""
    return eigh(a, UPLO).eigenvalues


def eig(a: ArrayLike) -> tuple[Tensor, Tensor]:
    """The eigenvalues and eigenvectors, complex."""
    values, vectors = torch.linalg.eig(_matrices("eig", a))
    return values, vectors


def eigvals(a: ArrayLike) -> Tensor:
    """The eigenvalues, complex."""
    return torch.linalg.eigvals(_matrices("eigvals", a))


def svd(a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """The singular value decomposition (U, S, Vh), or S alone if not compute_uv; hermitian has no effect."""
    x = _matrices("svd", a, square=False)
    return SVDResult(*torch.linalg.svd(x, full_matrices)) if compute_uv else torch.linalg.svdvals(x)


def svdvals(x: ArrayLike, /) -> Tensor:
    """The singular values, descending."""
    return torch.linalg.svdvals(_matrices("svdvals", x, square=False))


def qr(a: ArrayLike, mode: str = "reduced") -> Any:
    """The decomposition (Q, R): mode "reduced" or "complete"; R alone for "r"."""
    result = QRResult(*torch.linalg.qr(_matrices("qr", a, square=False), mode))
    return result.R if mode == "r" else result


def matrix_power(a: ArrayLike, n: int) -> Tensor:
    """The n-th power, of the inverse if n is negative."""
    return torch.linalg.matrix_power(_matrices("matrix_power", a), n)


def matrix_rank(
    M: ArrayLike,  # noqa: N803
    rtol: float | None = None,
    hermitian: bool = False,
    *,
    tol: float | None = None,
) -> Tensor:
    """The number of singular values above rtol times the largest, by default max(shape) eps; int32.

    `tol` is an older name of rtol; hermitian has no effect.
    """
    x = _matrices("matrix_rank", M, square=False)
    s, rtol = torch.linalg.svdvals(x), tol if rtol is None else rtol
    rtol = max(x.shape[-2:]) * torch.finfo(x.dtype).eps if rtol is None else rtol
    return (s > s[..., :1] * rtol).sum(-1).to(torch.int32)


def cond(x: ArrayLike, p: Any = None) -> Tensor:
    """The condition number in a norm, by default the ratio of the largest and the least singular value."""
    return torch.linalg.cond(_matrices("cond", x, square=p not in (None, 2, -2)), p)


def trace(x: ArrayLike, /, *, offset: int = 0) -> Tensor:
    """The sum of the diagonals of matrices in the last two axes."""
    return torch.diagonal(as_tensor("trace", x), offset, -2, -1).sum(-1)


def tensorsolve(a: ArrayLike, b: ArrayLike, axes: Sequence[int] | None = None) -> Tensor:
    """The x with tensordot(a, x, x.ndim) = b."""
    x, y = floating("tensorsolve", a, b)
    return torch.linalg.tensorsolve(x, y, None if axes is None else tuple(axes))


def tensorinv(a: ArrayLike, ind: int = 2) -> Tensor:
    """The inverse of tensordot(a, ., a.ndim - ind)."""
    return torch.linalg.tensorinv(inexact(as_tensor("tensorinv", a)), ind)


def __dir__() -> list[str]:
    return __all__
