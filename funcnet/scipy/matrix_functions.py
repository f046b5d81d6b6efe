"""Functions of square matrices."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact

__all__ = ["expm", "expm_frechet", "funm", "sqrtm"]


def expm(A: ArrayLike) -> Tensor:  # noqa: N803
    """The exponential of a matrix.

    Example:
        >>> fn.scipy.linalg.expm(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        tensor([[1., 1.],
                [0., 1.]])
    """
    return torch.linalg.matrix_exp(inexact(as_tensor("expm", A)))


def expm_frechet(
    A: ArrayLike,  # noqa: N803
    E: ArrayLike,  # noqa: N803
    *,
    method: str | None = None,
    compute_expm: bool = True,
) -> Any:
    """The exponential of a matrix A, and its derivative in the direction E; the latter alone unless compute_expm."""
    x, direction = floating("expm_frechet", A, E)
    n = x.shape[-1]
    blocks = torch.cat([torch.cat([x, direction], -1), torch.cat([torch.zeros_like(x), x], -1)], -2)
    both = torch.linalg.matrix_exp(blocks)
    derivative = both[..., :n, n:]
    return (both[..., :n, :n], derivative) if compute_expm else derivative


def funm(A: ArrayLike, func: Callable[[Tensor], Tensor], disp: bool = True) -> Tensor:  # noqa: N803
    """A function of a square matrix, by that of its eigenvalues.

    Args:
        A: A matrix with as many eigenvectors as rows.
        func: A function of a vector of complex numbers.
        disp: Must be True: there is no estimate of the error.
    Returns:
        A complex matrix.
    Example:
        >>> fn.scipy.linalg.funm(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.log).real
        tensor([[0.5493, 0.5493],
                [0.5493, 0.5493]])
    """
    if not disp:
        raise NotImplementedError("funm: expected disp=True, got disp=False; there is no estimate of the error.")
    x = inexact(as_tensor("funm", A))
    # twice the digits, as eigenvectors may be almost equal; a real matrix stays real, so that its real eigenvalues do
    values, vectors = torch.linalg.eig(x.to(torch.complex128 if x.is_complex() else torch.float64))
    result = torch.linalg.solve(vectors, vectors * func(values)[..., None, :], left=False)
    return result.to(x.dtype.to_complex())


def sqrtm(A: ArrayLike, blocksize: int = 1) -> Tensor:  # noqa: N803
    """The principal square root of a matrix that has as many eigenvectors as rows, a complex matrix.

    Unlike that of JAX, it is differentiable, if the eigenvalues differ. A real matrix without negative eigenvalues has
    a real root: take its real part.

    Example:
        >>> fn.scipy.linalg.sqrtm(torch.tensor([[4.0, 1.0], [0.0, 9.0]])).real
        tensor([[2.0000, 0.2000],
                [0.0000, 3.0000]])
    """
    return funm(A, torch.sqrt)
