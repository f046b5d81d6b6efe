"""Linear algebra: jax.scipy.linalg, the functions that jax.numpy.linalg lacks or has with other arguments."""

from typing import Any, NoReturn

import torch
from torch import Tensor

from funcnet.absent_names import absent
from funcnet.numpy import linalg
from funcnet.numpy.linalg import det, inv
from funcnet.numpy.promotion import ArrayLike, as_tensor, conjugated, floating, inexact, promote
from funcnet.scipy import matrix_functions, special_matrices
from funcnet.scipy.matrix_functions import *
from funcnet.scipy.special_matrices import *

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "det", "eigh", "eigh_tridiagonal", "inv", "lu", "lu_factor",
    "lu_solve", "polar", "qr", "solve", "solve_sylvester", "solve_triangular", "svd",
]  # fmt: skip
__all__ += [*matrix_functions.__all__, *special_matrices.__all__]


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


def eigh(a: ArrayLike, b: ArrayLike | None = None, lower: bool = True, eigvals_only: bool = False) -> Any:
    """The eigenvalues of a Hermitian matrix, ascending, and the eigenvectors unless eigvals_only; b must be None.

    Example:
        >>> fn.scipy.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), eigvals_only=True)
        tensor([1., 2.])
    """
    if b is not None:
        raise NotImplementedError("eigh: expected b=None, got a matrix. Multiply by its Cholesky factor's inverse.")
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


def lu(a: ArrayLike, permute_l: bool = False) -> Any:
    """The decomposition a = P L U with a permutation, a lower and an upper triangular matrix; (P L, U) if permute_l.

    Example:
        >>> p, l, u = fn.scipy.linalg.lu(torch.tensor([[1.0, 2.0], [2.0, 6.0]]))
        >>> p @ l @ u
        tensor([[1., 2.],
                [2., 6.]])
    """
    p, lower, upper = torch.linalg.lu(inexact(as_tensor("lu", a)))
    return (p @ lower, upper) if permute_l else (p, lower, upper)


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


def block_diag(*arrs: ArrayLike) -> Tensor:
    """A matrix with these on its diagonal; a vector is a row.

    Example:
        >>> fn.scipy.linalg.block_diag(torch.ones(1, 1), torch.tensor([[2.0, 3.0]]))
        tensor([[1., 0., 0.],
                [0., 2., 3.]])
    """
    return torch.block_diag(*promote("block_diag", *arrs))


def polar(a: ArrayLike, side: str = "right", **options: Any) -> tuple[Tensor, Tensor]:
    """The decomposition a = u p, or a = p u for side "left", with u of orthonormal columns or rows, p positive.

    Args:
        a: A matrix.
        side: Where p stands.
        **options: Those of JAX's iteration, without effect: the decomposition is that of the singular values.
    Raises:
        ValueError: The side is unknown.
    """
    if side not in ("right", "left"):
        raise ValueError(f"polar: expected side to be 'right' or 'left', got {side!r}.")
    left, values, right = torch.linalg.svd(inexact(as_tensor("polar", a)), full_matrices=False)
    basis = right.mH if side == "right" else left
    return left @ right, (basis * values[..., None, :].to(basis.dtype)) @ basis.mH


def solve_sylvester(A: ArrayLike, B: ArrayLike, C: ArrayLike, *, method: str = "schur", tol: float = 1e-8) -> Tensor:  # noqa: N803
    """The X with A X + X B = C, for matrices A of size n and B of size m, as a system of n m unknowns.

    method and tol are accepted and have no effect.
    """
    a, b, c = floating("solve_sylvester", A, B, C)
    n, m = c.shape[-2:]
    eyes = (torch.eye(size, dtype=c.dtype, device=c.device) for size in (m, n))
    left, right = next(eyes), next(eyes)
    system = torch.kron(a, left) + torch.kron(right, b.mT.contiguous())
    return torch.linalg.solve(system, c.reshape(-1)).reshape(n, m)


def eigh_tridiagonal(
    d: ArrayLike,
    e: ArrayLike,
    *,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: tuple[int, int] | None = None,
    tol: float | None = None,
) -> Any:
    """The eigenvalues, ascending, of a symmetric matrix with diagonal d and e next to it, and the eigenvectors.

    Args:
        d: The diagonal, (n,).
        e: The elements above it, (n - 1,); below it are their conjugates.
        eigvals_only: Whether to return the eigenvalues alone.
        select: "a" for all eigenvalues; "i" for those from the first to the last place of select_range.
        select_range: Two places from 0, both included.
        tol: Accepted; it has no effect.
    Raises:
        ValueError: select is neither "a" nor "i".
    """
    diagonal, above = floating("eigh_tridiagonal", d, e)
    if select not in ("a", "i"):
        raise ValueError(f"eigh_tridiagonal: expected select to be 'a' or 'i', got {select!r}.")
    matrix = torch.diag(diagonal) + torch.diag(above, 1) + torch.diag(conjugated(above), -1)
    first, last = (0, len(diagonal) - 1) if select == "a" or select_range is None else select_range
    if eigvals_only:
        return torch.linalg.eigvalsh(matrix)[first : last + 1]
    values, vectors = torch.linalg.eigh(matrix)
    return values[first : last + 1], vectors[:, first : last + 1]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
