"""Factorisations and triangular systems: jax.lax.linalg, whose arguments differ from those of jax.numpy.linalg."""

from typing import NoReturn

import torch
from torch import Tensor

from funcnet.absent_names import absent
from funcnet.control_flow import scan
from funcnet.numpy import linalg
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact

__all__ = [
    "cholesky", "eigh", "householder_product", "lu", "lu_pivots_to_permutation", "qr", "svd", "symmetric_product",
    "triangular_solve", "tridiagonal_solve",
]  # fmt: skip

Pair = tuple[Tensor, Tensor]


def cholesky(x: ArrayLike, *, symmetrize_input: bool = True) -> Tensor:
    """The lower triangular factor of a positive definite matrix, x = L L^H.

    Example:
        >>> fn.lax.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 2.0]]))
        tensor([[2., 0.],
                [1., 1.]])
    """
    return linalg.cholesky(x, symmetrize_input=symmetrize_input)


def eigh(
    x: ArrayLike, *, lower: bool = True, symmetrize_input: bool = True, sort_eigenvalues: bool = True
) -> tuple[Tensor, Tensor]:
    """The eigenvectors of a Hermitian matrix, and then its eigenvalues, ascending."""
    values, vectors = linalg.eigh(x, "L" if lower else "U", symmetrize_input=symmetrize_input)
    return vectors, values


def qr(x: ArrayLike, *, full_matrices: bool = True) -> tuple[Tensor, Tensor]:
    """The decomposition x = Q R."""
    q, r = linalg.qr(x, "complete" if full_matrices else "reduced")
    return q, r


def svd(x: ArrayLike, *, full_matrices: bool = True, compute_uv: bool = True) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """The singular value decomposition (U, S, Vh), or S alone if not compute_uv.

    Example:
        >>> fn.lax.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False)
        tensor([4., 3.])
    """
    result = linalg.svd(x, full_matrices, compute_uv)
    return tuple(result) if compute_uv else result


def lu(x: ArrayLike) -> tuple[Tensor, Tensor, Tensor]:
    """The factors in one matrix, the rows swapped by each step, and the permutation of the rows; int32 from 0."""
    matrix = inexact(as_tensor("lu", x))
    factors, pivots = torch.linalg.lu_factor(matrix)
    pivots = (pivots - 1).to(torch.int32)
    return factors, pivots, lu_pivots_to_permutation(pivots, matrix.shape[-2])


def lu_pivots_to_permutation(pivots: ArrayLike, permutation_size: int) -> Tensor:
    """The order of the rows after the swaps of each step, int32.

    Example:
        >>> fn.lax.linalg.lu_pivots_to_permutation(torch.tensor([2, 1, 2]), 3)
        tensor([2, 1, 0], dtype=torch.int32)
    """
    swaps = as_tensor("lu_pivots_to_permutation", pivots)
    places = torch.arange(permutation_size, device=swaps.device)
    order = places.to(torch.int32).expand(*swaps.shape[:-1], permutation_size)
    for step in range(swaps.shape[-1]):
        other = swaps[..., step : step + 1]
        here, there = order[..., step : step + 1], order.gather(-1, other.long())
        order = torch.where(places == step, there, torch.where(places == other, here, order))
    return order


def triangular_solve(
    a: ArrayLike,
    b: ArrayLike,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Tensor:
    """The x with op(a) @ x = b if left_side, else x @ op(a) = b, for a triangular a; b may be a vector.

    Example:
        >>> a, b = torch.tensor([[2.0, 0.0], [2.0, 1.0]]), torch.tensor([[4.0], [5.0]])
        >>> fn.lax.linalg.triangular_solve(a, b, left_side=True, lower=True)
        tensor([[2.],
                [1.]])
    """
    matrix, y = floating("triangular_solve", a, b)
    if y.ndim == matrix.ndim - 1:
        axis = -1 if left_side else -2
        options = {"lower": lower, "transpose_a": transpose_a, "conjugate_a": conjugate_a}
        return triangular_solve(
            matrix, y.unsqueeze(axis), left_side=left_side, unit_diagonal=unit_diagonal, **options
        ).squeeze(axis)
    matrix = matrix.conj() if conjugate_a else matrix
    matrix, upper = (matrix.mT, lower) if transpose_a else (matrix, not lower)
    return torch.linalg.solve_triangular(matrix, y, upper=upper, left=left_side, unitriangular=unit_diagonal)


def tridiagonal_solve(dl: ArrayLike, d: ArrayLike, du: ArrayLike, b: ArrayLike) -> Tensor:
    """The x with A x = b for a tridiagonal matrix A, without pivoting.

    Args:
        dl: The diagonal below the main one, shape (..., n); its first entry is not used.
        d: The main diagonal.
        du: The diagonal above it; its last entry is not used.
        b: Shape (..., n, k).
    Example:
        >>> ones = torch.ones(3)
        >>> fn.lax.linalg.tridiagonal_solve(ones, 2 * ones, ones, torch.tensor([[3.0], [4.0], [3.0]]))
        tensor([[1.0000],
                [1.0000],
                [1.0000]])
    """
    below, main, above, y = floating("tridiagonal_solve", dl, d, du, b)
    first = (torch.zeros_like(main[..., 0]), torch.zeros_like(y[..., 0, :]))

    def eliminate(
        carry: tuple[Tensor, Tensor], row: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        low, middle, high, right = row
        pivot = middle - low * carry[0]
        reduced = high / pivot, (right - low[..., None] * carry[1]) / pivot[..., None]
        return reduced, reduced

    def substitute(x: Tensor, row: Pair) -> tuple[Tensor, Tensor]:
        x = row[1] - row[0][..., None] * x
        return x, x

    rows = (*(diagonal.movedim(-1, 0) for diagonal in (below, main, above)), y.movedim(-2, 0))
    _, reduced = scan(eliminate, first, rows)
    _, x = scan(substitute, torch.zeros_like(first[1]), reduced, reverse=True)
    return x.movedim(0, -2)


def householder_product(a: ArrayLike, taus: ArrayLike) -> Tensor:
    """The first columns of the product of Householder reflections, which LAPACK's factors of a QR hold."""
    return torch.linalg.householder_product(*floating("householder_product", a, taus))


def symmetric_product(
    a_matrix: ArrayLike, c_matrix: ArrayLike, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Tensor:
    """alpha a @ a^T + beta c; it is symmetric where c is.

    Example:
        >>> fn.lax.linalg.symmetric_product(torch.tensor([[1.0], [2.0]]), torch.eye(2), beta=1.0)
        tensor([[2., 2.],
                [2., 5.]])
    """
    a, c = floating("symmetric_product", a_matrix, c_matrix)
    return alpha * (a @ a.mT) + beta * c


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
