"""Krylov methods for linear systems: jax.scipy.sparse.linalg. Their solutions differentiate implicitly.

`fn.curvature.cg` solves such systems with damping, and tells whether it has converged.

Example:
    >>> a, b = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([3.0, 4.0])
    >>> fn.scipy.sparse.linalg.cg(lambda v: a @ v, b)[0]
    tensor([1.0000, 1.0000])
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.numpy.promotion import ArrayLike, as_tensor, inexact
from funcnet.scipy.sparse.krylov import conjugate_gradients, minimal_residuals, stabilized_gradients
from funcnet.transforms import custom_linear_solve, stop_gradient
from funcnet.tree import Tree

__all__ = ["bicgstab", "cg", "gmres"]

Operator = ArrayLike | Callable[[Tree], Tree]
Method = Callable[..., Tensor]


def cg(
    A: Operator,  # noqa: N803
    b: Tree,
    x0: Tree | None = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Operator | None = None,  # noqa: N803
) -> tuple[Tree, None]:
    """Solve A x = b by conjugate gradients, for a Hermitian positive definite A.

    Args:
        A: A matrix, or a linear function from trees like b to trees like b.
        b: A tree of tensors.
        x0: The first x. None: zeros.
        tol, atol: The iteration ends when |b - A x| <= max(tol |b|, atol).
        maxiter: The largest number of iterations. None: 10 times the size of b.
        M: The preconditioner, an approximate inverse of A, as A is given. None: the identity.
    Returns:
        x, and None. Derivatives solve a system with the same method; x0 and M have none.
    Raises:
        ValueError: A is not a square matrix of the size of b, or x0 or the result of A or M is not like b.
    Source:
        Hestenes, Stiefel (1952), Methods of Conjugate Gradients for Solving Linear Systems,
        https://doi.org/10.6028/jres.049.044
    Example:
        >>> x, _ = fn.scipy.sparse.linalg.cg(lambda x: torch.tensor([2.0, 4.0]) * x, torch.tensor([2.0, 2.0]))
        >>> x
        tensor([1.0000, 0.5000])
    """
    limits = {"tol": tol, "atol": atol, "maxiter": maxiter}
    return _solve("cg", A, b, x0, M, partial(conjugate_gradients, plain=M is None), limits, symmetric=True)


def bicgstab(
    A: Operator,  # noqa: N803
    b: Tree,
    x0: Tree | None = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Operator | None = None,  # noqa: N803
) -> tuple[Tree, None]:
    """Solve A x = b by stabilised bi-conjugate gradients, for any A; arguments and result as in `cg`.

    Source:
        van der Vorst (1992), Bi-CGSTAB: A fast and smoothly converging variant of Bi-CG,
        https://doi.org/10.1137/0913035
    Example:
        >>> x, _ = fn.scipy.sparse.linalg.bicgstab(lambda x: torch.tensor([2.0, 4.0]) * x, torch.tensor([2.0, 2.0]))
        >>> x
        tensor([1.0000, 0.5000])
    """
    limits = {"tol": tol, "atol": atol, "maxiter": maxiter}
    return _solve("bicgstab", A, b, x0, M, stabilized_gradients, limits, symmetric=False)


def gmres(
    A: Operator,  # noqa: N803
    b: Tree,
    x0: Tree | None = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Operator | None = None,  # noqa: N803
    solve_method: str = "batched",
) -> tuple[Tree, None]:
    """Solve A x = b by generalised minimal residuals, for any A; arguments and result as in `cg`.

    Args:
        A: A matrix, or a linear function from trees like b to trees like b.
        b: A tree of tensors.
        x0: The first x. None: zeros.
        tol, atol: The iteration ends when |b - A x| <= max(tol |b|, atol).
        M: The preconditioner, an approximate inverse of A. None: the identity.
        restart: The number of products after which the iteration starts again, from the x that it has found.
        maxiter: The largest number of starts; a start that does not improve x is the last one.
        solve_method: "batched" or "incremental"; both are the same here.
    Source:
        Saad, Schultz (1986), GMRES: A generalized minimal residual algorithm, https://doi.org/10.1137/0907058
    Example:
        >>> x, _ = fn.scipy.sparse.linalg.gmres(lambda x: torch.tensor([2.0, 4.0]) * x, torch.tensor([2.0, 2.0]))
        >>> x
        tensor([1.0000, 0.5000])
    """
    if solve_method not in ("batched", "incremental"):
        raise ValueError(f"gmres: expected solve_method to be 'batched' or 'incremental', got {solve_method!r}.")
    limits = {"tol": tol, "atol": atol, "maxiter": maxiter}
    return _solve("gmres", A, b, x0, M, partial(minimal_residuals, restart=restart), limits, symmetric=False)


def _solve(
    name: str,
    matrix: Operator,
    b: Tree,
    x0: Tree | None,
    preconditioner: Operator | None,
    method: Method,
    limits: dict[str, Any],
    *,
    symmetric: bool,
) -> tuple[Tree, None]:
    b = tree.map(lambda v: inexact(as_tensor(name, v)), b)
    if not callable(matrix):
        matrix = inexact(as_tensor(name, matrix))
        b = tree.map(lambda v: v.to(torch.promote_types(v.dtype, matrix.dtype)), b)
    start = tree.zeros_like(b) if x0 is None else tree.map(lambda v, w: as_tensor(name, w).to(v.dtype), b, x0)
    if tree.map(lambda v: v.shape, start) != tree.map(lambda v: v.shape, b):
        raise ValueError(f"{name}: expected x0 to be like b, got {tree.describe(x0)} and {tree.describe(b)}.")
    operator = _operator(name, matrix, b)
    inverse = stop_gradient if preconditioner is None else _operator(name, preconditioner, b)

    def solve(first: Tree, matvec: Callable[[Tree], Tree], b: Tree) -> Tree:
        vector, unravel = tree.ravel(b)
        product, improve = (partial(_on_vectors, name, f, unravel) for f in (matvec, inverse))
        maxiter = 10 * len(vector) if limits["maxiter"] is None else limits["maxiter"]
        options = {"tol": limits["tol"], "atol": limits["atol"], "maxiter": maxiter}
        return unravel(method(product, vector, tree.ravel(first)[0], improve, **options))

    zeros = tree.zeros_like(b)
    forwards, backwards = partial(solve, stop_gradient(start)), None if symmetric else partial(solve, zeros)
    return custom_linear_solve(operator, b, forwards, backwards, symmetric=symmetric), None


def _operator(name: str, matrix: Operator, b: Tree) -> Callable[[Tree], Tree]:
    if callable(matrix):
        return matrix
    values = inexact(as_tensor(name, matrix))
    size = len(b) if isinstance(b, Tensor) and b.ndim == 1 else None
    if values.shape != (size, size):
        raise ValueError(
            f"{name}: expected a function, or a square matrix of the size of the vector b, got a matrix of shape "
            f"{tuple(values.shape)} and {tree.describe(b)}."
        )
    return lambda v: values.to(v.dtype) @ v


def _on_vectors(name: str, f: Callable[[Tree], Tree], unravel: Callable[[Tensor], Tree], vector: Tensor) -> Tensor:
    image, _ = tree.ravel(f(unravel(vector)))
    if image.shape != vector.shape or image.dtype != vector.dtype:
        raise ValueError(
            f"{name}: expected A and M to return trees like b, of {vector.numel()} {vector.dtype} numbers, got "
            f"{image.numel()} {image.dtype} numbers."
        )
    return image


def __dir__() -> list[str]:
    return __all__
