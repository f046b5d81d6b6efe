"""Linear algebra: jax.scipy.linalg, the functions that jax.numpy.linalg lacks or has with other arguments.

overwrite_a, overwrite_b, check_finite, debug, turbo, lwork and lapack_driver are accepted and have no effect.
"""

from typing import Any, NoReturn

import torch
from torch import Tensor

from funcnet.absent_names import absent
from funcnet.numpy import linalg
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.scipy import matrix_functions, special_matrices
from funcnet.scipy.matrix_functions import *
from funcnet.scipy.special_matrices import *

__all__ = [
    "cho_factor", "cho_solve", "cholesky", "det", "eigh", "inv", "lu", "lu_factor",
    "lu_solve", "qr", "solve", "solve_triangular", "svd",
]  # fmt: skip
__all__ += [*matrix_functions.__all__, *special_matrices.__all__]


def cholesky(a: ArrayLike, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Tensor:
    """The triangular factor of a positive definite matrix: upper by default, a = U^H U; lower, a = L L^H.

    Example:
        >>> fn.scipy.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 2.0]]))
        tensor([[2., 1.],
                [0., 1.]])
    """
    return linalg.cholesky(a, upper=not lower)


def cho_factor(
    a: ArrayLike, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Tensor, bool]:
    """The factor for `cho_solve`, and whether it is lower triangular.

    Example:
        >>> fn.scipy.linalg.cho_factor(torch.tensor([[4.0, 2.0], [2.0, 2.0]]), lower=True)
        (tensor([[2., 0.],
                [1., 1.]]), True)
    """
    return cholesky(a, lower), lower


def cho_solve(
    c_and_lower: tuple[ArrayLike, bool], b: ArrayLike, overwrite_b: bool = False, check_finite: bool = True
) -> Tensor:
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
    a: ArrayLike,
    b: ArrayLike,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: object = None,
    check_finite: bool = True,
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


def solve(
    a: ArrayLike,
    b: ArrayLike,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Tensor:
    """The x with a @ x = b; assume_a "pos" uses the Cholesky factor of a positive definite matrix.

    Example:
        >>> fn.scipy.linalg.solve(torch.tensor([[4.0, 2.0], [2.0, 2.0]]), torch.tensor([6.0, 4.0]))
        tensor([1., 1.])
    """
    return cho_solve(cho_factor(a, lower=True), b) if assume_a == "pos" else linalg.solve(a, b)


def eigh(
    a: ArrayLike,
    b: ArrayLike | None = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """The eigenvalues of a Hermitian matrix, ascending, and the eigenvectors unless eigvals_only; b must be None.

    Example:
        >>> fn.scipy.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), eigvals_only=True)
        tensor([1., 2.])
    """
    if b is not None:
        raise NotImplementedError("eigh: expected b=None, got a matrix. Multiply by its Cholesky factor's inverse.")
    if eigvals is not None or type != 1:
        raise NotImplementedError(f"eigh: expected eigvals=None and type=1, got {eigvals!r} and {type!r}.")
    values, vectors = linalg.eigh(a, "L" if lower else "U")
    return values if eigvals_only else (values, vectors)


def svd(
    a: ArrayLike,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """The singular value decomposition (U, S, Vh), or S alone if not compute_uv.

    Example:
        >>> fn.scipy.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False)
        tensor([4., 3.])
    """
    result = linalg.svd(a, full_matrices, compute_uv)
    return tuple(result) if compute_uv else result


def qr(
    a: ArrayLike,
    overwrite_a: bool = False,
    lwork: object = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """The decomposition (Q, R): mode "full" or "economic"; (R,) alone for "r".

    Example:
        >>> q, r = fn.scipy.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
        >>> torch.allclose(q @ r, torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
        True
    """
    names = {"full": "complete", "economic": "reduced", "r": "r"}
    if pivoting:
        raise NotImplementedError("qr: expected pivoting=False; torch has no factors with exchanged columns.")
    if mode not in names:
        raise ValueError(f"qr: expected mode to be 'full', 'economic' or 'r', got {mode!r}.")
    result = linalg.qr(a, names[mode])
    return (result,) if mode == "r" else tuple(result)


def lu(a: ArrayLike, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The decomposition a = P L U with a permutation, a lower and an upper triangular matrix; (P L, U) if permute_l.

    Example:
        >>> p, l, u = fn.scipy.linalg.lu(torch.tensor([[1.0, 2.0], [2.0, 6.0]]))
        >>> p @ l @ u
        tensor([[1., 2.],
                [2., 6.]])
    """
    p, lower, upper = torch.linalg.lu(inexact(as_tensor("lu", a)))
    return (p @ lower, upper) if permute_l else (p, lower, upper)


def lu_factor(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Tensor, Tensor]:
    """The factors in one matrix, and the rows swapped by each step, int32 from 0.

    Example:
        >>> fn.scipy.linalg.lu_factor(torch.tensor([[1.0, 2.0], [2.0, 6.0]]))
        (tensor([[ 2.0000,  6.0000],
                [ 0.5000, -1.0000]]), tensor([1, 1], dtype=torch.int32))
    """
    factors, pivots = torch.linalg.lu_factor(inexact(as_tensor("lu_factor", a)))
    return factors, (pivots - 1).to(torch.int32)


def lu_solve(
    lu_and_piv: tuple[ArrayLike, ArrayLike],
    b: ArrayLike,
    trans: int = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Tensor:
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


def det(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Tensor:
    """The determinant.

    Example:
        >>> fn.scipy.linalg.det(torch.tensor([[1.0, 2.0], [2.0, 6.0]]))
        tensor(2.)
    """
    return linalg.det(a)


def inv(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Tensor:
    """The inverse.

    Example:
        >>> fn.scipy.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    return linalg.inv(a)


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
