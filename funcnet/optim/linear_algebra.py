"""Iterations of linear algebra that optimizers use."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.control_flow import scan, while_loop
from funcnet.optim.base import Scalar
from funcnet.tree import Tree, describe

__all__ = ["matrix_inverse_pth_root", "nnls", "power_iteration"]

MatrixOrProduct = Tensor | Callable[[Tree], Tree]


class _Power(NamedTuple):
    """The state of a power iteration."""

    vector: Tree  # of norm 1
    product: Tree  # with the matrix
    value: Tensor  # <vector, product>, an estimate of the eigenvalue
    steps: Tensor


class _Root(NamedTuple):
    """The state of Newton's iteration for a root of a matrix."""

    power: Tensor  # matrix root^p, which becomes the identity
    root: Tensor
    before: Tensor  # the root before the last step
    error: Tensor
    improves: Tensor  # 0-d bool: whether the last step did not increase the error much
    steps: Tensor


def power_iteration(
    matrix: MatrixOrProduct,
    *,
    v0: Tree | None = None,
    num_iters: int = 100,
    error_tolerance: float = 1e-6,
    precision: Any = None,
    key: random.Key | None = None,
) -> tuple[Tensor, Tree]:
    """Compute the eigenvalue of largest absolute value and its eigenvector: v = A v / |A v|, until A v is l v.

    Args:
        matrix: A of shape (n, n), or a function v -> A v of trees of tensors.
        v0: The first vector, of shape (n,), or a tree that the function takes. None: random, for a matrix.
        num_iters: The largest number of iterations.
        error_tolerance: The iteration ends when |A v - l v| < error_tolerance |l|.
        precision: Accepted as in Optax; products are computed in the dtype of the matrix.
        key: The key of the random vector. None: key(0).
    Returns:
        The eigenvalue l, 0-d, and the eigenvector, of norm 1.
    Raises:
        ValueError: matrix is neither square nor a function, or it is a function and v0 is missing.
    Example:
        >>> value, vector = fn.optim.power_iteration(torch.diag(torch.tensor([1.0, 3.0])))
        >>> value
        tensor(3.)
    """
    if not callable(matrix):
        _check_square("power_iteration", matrix)
        v0 = _start(matrix, key) if v0 is None else v0
    elif v0 is None:
        raise ValueError("power_iteration: expected v0, a first vector, for a matrix that is given as a function.")
    product = matrix if callable(matrix) else partial(torch.mv, matrix)
    vector = _normalized(v0)
    first = product(vector)
    zero = torch.zeros_like(tree.dot(vector, first))

    def goes_on(state: _Power) -> Tensor:
        residual = tree.norm(tree.map(lambda z, v: z - state.value * v, state.product, state.vector))
        return ~((residual / state.value).abs() < error_tolerance) & (state.steps < num_iters)

    def step(state: _Power) -> _Power:
        vector = _normalized(state.product)
        next_product = product(vector)
        return _Power(vector, next_product, tree.dot(vector, next_product), state.steps + 1)

    end = while_loop(goes_on, step, _Power(vector, first, zero, torch.zeros_like(zero, dtype=torch.int64)))
    return end.value, _normalized(end.product)


def matrix_inverse_pth_root(
    matrix: Tensor,
    p: int,
    num_iters: int = 100,
    ridge_epsilon: float = 1e-6,
    error_tolerance: float = 1e-6,
    precision: Any = None,
) -> tuple[Tensor, Tensor]:
    """Compute A^(-1/p) of a symmetric positive semi-definite matrix A by Newton's coupled iteration.

    Args:
        matrix: A, of shape (n, n). The dtype is also that of the computation (Optax: float32).
        p: An integer of at least 1.
        num_iters: The largest number of iterations.
        ridge_epsilon: The fraction of the largest eigenvalue that is added to the diagonal.
        error_tolerance: The iteration ends when no entry of A root^p differs from the identity by more.
        precision: Accepted as in Optax; products are computed in the dtype of the matrix.
    Returns:
        The root, and this largest difference.
    Raises:
        ValueError: matrix is not square, or p is below 1.
    Source:
        Higham (2008), Functions of Matrices, equation 7.18
    Example:
        >>> fn.optim.matrix_inverse_pth_root(torch.diag(torch.tensor([4.0, 1.0])), 2, ridge_epsilon=0.0)[0]
        tensor([[0.5000, 0.0000],
                [0.0000, 1.0000]])
    """
    _check_square("matrix_inverse_pth_root", matrix)
    if p < 1:
        raise ValueError(f"matrix_inverse_pth_root: expected p of at least 1, got {p}.")
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    largest = power_iteration(matrix)[0].clamp(min=1e-16)
    damped = matrix + ridge_epsilon * largest * identity
    z = (1 + p) / (2 * torch.linalg.vector_norm(damped))

    def goes_on(state: _Root) -> Tensor:
        return (state.steps < num_iters) & (state.error > error_tolerance) & state.improves

    def step(state: _Root) -> _Root:
        factor = ((1 + p) * identity - state.power) / p
        power = torch.linalg.matrix_power(factor, p) @ state.power
        error = (power - identity).abs().max()
        improves = (error < 1.2 * state.error) | (error > 0.5)  # it may grow first; later growth is that of rounding
        return _Root(power, state.root @ factor, state.root, error, improves, state.steps + 1)

    root = identity * z ** (1 / p)
    error = (damped * z - identity).abs().max()
    start = _Root(damped * z, root, root, error, torch.ones_like(error, dtype=torch.bool), torch.zeros_like(error))
    end = while_loop(goes_on, step, start)
    return torch.where(end.improves, end.root, end.before), (end.power - identity).abs().max()


def nnls(
    A: Tensor,  # noqa: N803  names of Optax
    b: Tensor,
    iters: int,
    unroll: int | bool = 1,
    L: Scalar | None = None,  # noqa: N803
) -> Tensor:
    """Minimise |A x - b| over x >= 0 by the fast projected gradient method.

    Args:
        A: Shape (m, n).
        b: Shape (m,), or (m, k) for k problems.
        iters: The number of iterations.
        unroll: Changes nothing.
        L: An upper bound of the largest eigenvalue of A^T A. None: the smaller of its Frobenius norm and its largest
            sum of absolute values in a column.
    Returns:
        x, of shape (n,) or (n, k).
    Raises:
        ValueError: The shapes do not fit together.
    Source:
        Polyak (2015), Projected gradient method for non-negative least square,
        https://www.ams.org/books/conm/636/; Nesterov's momentum is that of Beck, Teboulle (2009).
    Example:
        >>> fn.optim.nnls(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([5.0, 6.0]), 1000)
        tensor([0.0000, 1.7000])
    """
    if A.ndim != 2 or b.ndim not in (1, 2) or len(A) != len(b):
        raise ValueError(
            f"nnls: expected A (m, n) and b (m,) or (m, k), got shapes {tuple(A.shape)} and {tuple(b.shape)}."
        )
    square, product = A.mT @ A, A.mT @ b
    bound = _eigenvalue_bound(square) if L is None else torch.as_tensor(L, dtype=A.dtype, device=A.device)
    bound = torch.where(bound == 0, 1, bound)

    def step(carry: tuple[Tensor, Tensor, Tensor], _: None) -> tuple[tuple[Tensor, Tensor, Tensor], None]:
        x, ahead, c = carry
        next_c = (1 + (1 + 4 * c.square()).sqrt()) / 2
        next_x = (ahead - (square @ ahead - product) / bound).clamp(min=0)
        return (next_x, next_x + (c - 1) / next_c * (next_x - x), next_c), None

    zeros = torch.zeros_like(product)
    return scan(step, (zeros, zeros, torch.zeros_like(bound)), length=iters)[0][0]


def _eigenvalue_bound(matrix: Tensor) -> Tensor:
    if not matrix.numel():
        return matrix.new_zeros(())
    return torch.minimum(torch.linalg.vector_norm(matrix), matrix.abs().sum(0).max())


def _start(matrix: Tensor, key: random.Key | None) -> Tensor:
    key = random.key(0) if key is None else key
    return random.uniform(key, matrix.shape[-1:], matrix.dtype, minval=-1.0, maxval=1.0)


def _normalized(vector: Tree) -> Tree:
    return tree.scale(1 / tree.norm(vector), vector)


def _check_square(operation: str, matrix: Tensor) -> None:
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{operation}: expected a square matrix, got {describe(matrix)}.")
