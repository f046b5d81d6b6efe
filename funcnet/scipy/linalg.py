"""Linear algebra: jax.scipy.linalg, the functions that jax.numpy.linalg lacks or has with other arguments."""

from typing import Any

import torch
from torch import Tensor

from funcnet.numpy import linalg
from funcnet.numpy.linalg import det, inv
from funcnet.numpy.promotion import ArrayLike, as_tensor, conjugated, floating, inexact, promote

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "det", "eigh", "expm", "inv", "lu", "lu_factor", "lu_solve",
    "qr", "solve", "solve_triangular", "svd", "toeplitz",
]  # fmt: skip


def cholesky(a: ArrayLike, lower: bool = False) -> Tensor:
    """The triangular factor of a positive definite matrix: upper by default, a = U^H U; lower, a = L L^H.

    Example:
        >>> fn.scipy.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 2.0]]))
        tensor([[2., 1.],
                [0., 1.]])
    """
    return linalg.cholesky(a, upper=not lower)


def cho_factor(a: ArrayLike, lower: bool = False) -> tuple[Tensor, bool]:
    """The factor for `cho_solve`, and whether it is lower triangular.

    Example:
        >>> fn.scipy.linalg.cho_factor(torch.tensor([[4.0, 2.0], [2.0, 2.0]]), lower=True)
        (tensor([[2., 0.],
                [1., 1.]]), True)
    """
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[ArrayLike, bool], b: ArrayLike) -> Tensor:
    """The x with a @ x = b, from the factor of a.

    Example:
        >>> factor = fn.scipy.linalg.cho_factor(torch.tensor([[4.0, 2.0], [2.0, 2.0]]))
        >>> fn.scipy.linalg.cho_solve(factor, torch.tensor([6.0, 4.0]))
        tensor([1., 1.])
    """
    factor, lower = c_and_lower
    x, y = floating("cho_solve", factor, b)
    columns = y[..., None] if y.ndim == 1 else y
    solution = torch.cholesky_solve(columns, x, upper=not lower)
    return solution[..., 0] if y.ndim == 1 else solution


def solve_triangular(
    a: ArrayLike, b: ArrayLike, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Tensor:
    """The x with a @ x = b for a triangular matrix; trans 1 or "T": for its transpose, 2 or "C": the conjugate one.

    Example:
        >>> fn.scipy.linalg.solve_triangular(torch.tensor([[2.0, 2.0], [0.0, 1.0]]), torch.tensor([4.0, 1.0]))
        tensor([1., 1.])
    """
    x, y = floating("solve_triangular", a, b)
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f"solve_triangular: expected trans to be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}.")
    flipped = trans not in (0, "N")
    matrix = x if not flipped else x.mH if trans in (2, "C") else x.mT
    columns = y[..., None] if y.ndim == 1 else y
    solution = torch.linalg.solve_triangular(matrix, columns, upper=lower == flipped, unitriangular=unit_diagonal)
    return solution[..., 0] if y.ndim == 1 else solution


def solve(a: ArrayLike, b: ArrayLike, lower: bool = False, assume_a: str = "gen") -> Tensor:
    """The x with a @ x = b; assume_a "pos" uses the Cholesky factor of a positive definite matrix.

    Example:
        >>> fn.scipy.linalg.solve(torch.tensor([[4.0, 2.0], [2.0, 2.0]]), torch.tensor([6.0, 4.0]))
        tensor([1., 1.])
    """
    return cho_solve(cho_factor(a, lower=True), b) if assume_a == "pos" else linalg.solve(a, b)


def eigh(a: ArrayLike, lower: bool = True, eigvals_only: bool = False) -> Any:
    """The eigenvalues of a Hermitian matrix, ascending, and the eigenvectors unless eigvals_only.

    Example:
        >>> fn.scipy.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), eigvals_only=True)
        tensor([1., 2.])
    """
    values, vectors = linalg.eigh(a, "L" if lower else "U")
    return values if eigvals_only else (values, vectors)


def svd(a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition (U, S, Vh), or S alone if not compute_uv.

    Example:
        >>> fn.scipy.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False)
        tensor([4., 3.])
    """
    result = linalg.svd(a, full_matrices, compute_uv)
    return tuple(result) if compute_uv else result


def qr(a: ArrayLike, mode: str = "full") -> Any:
    """The decomposition (Q, R): mode "full" or "economic"; (R,) alone for "r".

    Example:
        >>> q, r = fn.scipy.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
        >>> torch.allclose(q @ r, torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
        True
    """
    names = {"full": "complete", "economic": "reduced", "r": "r"}
    if mode not in names:
        raise ValueError(f"qr: expected mode to be 'full', 'economic' or 'r', got {mode!r}.")
    result = linalg.qr(a, names[mode])
    return (result,) if mode == "r" else tuple(result)


def lu(a: ArrayLike) -> tuple[Tensor, Tensor, Tensor]:
    """The decomposition a = P L U with a permutation, a lower and an upper triangular matrix.

    Example:
        >>> p, l, u = fn.scipy.linalg.lu(torch.tensor([[1.0, 2.0], [2.0, 6.0]]))
        >>> p @ l @ u
        tensor([[1., 2.],
                [2., 6.]])
    """
    p, lower, upper = torch.linalg.lu(inexact(as_tensor("lu", a)))
    return p, lower, upper


def lu_factor(a: ArrayLike) -> tuple[Tensor, Tensor]:
    """The factors in one matrix, and the rows swapped by each step, int32 from 0.

    Example:
        >>> fn.scipy.linalg.lu_factor(torch.tensor([[1.0, 2.0], [2.0, 6.0]]))
        (tensor([[ 2.0000,  6.0000],
                [ 0.5000, -1.0000]]), tensor([1, 1], dtype=torch.int32))
    """
    factors, pivots = torch.linalg.lu_factor(inexact(as_tensor("lu_factor", a)))
    return factors, (pivots - 1).to(torch.int32)


def lu_solve(lu_and_piv: tuple[ArrayLike, ArrayLike], b: ArrayLike, trans: int = 0) -> Tensor:
    """The x with a @ x = b from `lu_factor`; trans 1: for the transpose, 2: the conjugate transpose.

    Example:
        >>> factors = fn.scipy.linalg.lu_factor(torch.tensor([[1.0, 2.0], [2.0, 6.0]]))
        >>> fn.scipy.linalg.lu_solve(factors, torch.tensor([3.0, 8.0]))
        tensor([1., 1.])
    """
    factors, y = floating("lu_solve", lu_and_piv[0], b)
    pivots = as_tensor("lu_solve", lu_and_piv[1]).to(torch.int32) + 1
    columns = y[..., None] if y.ndim == 1 else y
    if trans:
        columns = columns.conj() if trans == 1 else columns
        solution = torch.linalg.lu_solve(factors, pivots, columns, adjoint=True)
        solution = solution.conj() if trans == 1 else solution
    else:
        solution = torch.linalg.lu_solve(factors, pivots, columns)
    return solution[..., 0] if y.ndim == 1 else solution


def expm(A: ArrayLike) -> Tensor:  # noqa: N803
    """The exponential of a matrix.

    Example:
        >>> fn.scipy.linalg.expm(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        tensor([[1., 1.],
                [0., 1.]])
    """
    return torch.linalg.matrix_exp(inexact(as_tensor("expm", A)))


def block_diag(*arrs: ArrayLike) -> Tensor:
    """A matrix with these on its diagonal; a vector is a row.

    Example:
        >>> fn.scipy.linalg.block_diag(torch.ones(1, 1), torch.tensor([[2.0, 3.0]]))
        tensor([[1., 0., 0.],
                [0., 2., 3.]])
    """
    return torch.block_diag(*promote("block_diag", *arrs))


def toeplitz(c: ArrayLike, r: ArrayLike | None = None) -> Tensor:
    """A matrix with constant diagonals: first column c, first row r, by default the conjugate of c.

    Example:
        >>> fn.scipy.linalg.toeplitz(torch.tensor([1, 2, 3]))
        tensor([[1, 2, 3],
                [2, 1, 2],
                [3, 2, 1]])
    """
    column = as_tensor("toeplitz", c).reshape(-1)
    column, row = promote("toeplitz", column, conjugated(column) if r is None else r)
    offsets = torch.arange(len(column), device=row.device)[:, None] - torch.arange(row.numel(), device=row.device)
    return torch.where(offsets >= 0, column[offsets.clamp(min=0)], row.reshape(-1)[(-offsets).clamp(min=0)])


def __dir__() -> list[str]:
    return __all__
