"""Triangular and diagonal matrices, and the indices of their elements."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_like, as_tensor
from funcnet.numpy.unsigned import in_wider

__all__ = [
    "diag", "diag_indices", "diag_indices_from", "diagflat", "diagonal", "eye", "fill_diagonal", "identity",
    "mask_indices", "tri", "tril", "tril_indices", "tril_indices_from", "triu", "triu_indices", "triu_indices_from",
    "vander",
]  # fmt: skip


def eye(N: int, M: int | None = None, k: int = 0, dtype: DType | None = None) -> Tensor:  # noqa: N803
    """A matrix of N rows and M columns, by default N, with ones on its k-th diagonal."""
    columns = N if M is None else M
    kind = torch.float32 if dtype is None else as_dtype("eye", dtype)
    return (torch.arange(columns) - torch.arange(N)[:, None] == k).to(kind)


def identity(n: int, dtype: DType | None = None) -> Tensor:
    """The identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: DType | None = None) -> Tensor:  # noqa: N803
    """Ones on and below the k-th diagonal, zeros above."""
    columns = N if M is None else M
    kind = torch.float32 if dtype is None else as_dtype("tri", dtype)
    return (torch.arange(columns) - torch.arange(N)[:, None] <= k).to(kind)


def tril(m: ArrayLike, k: int = 0) -> Tensor:
    """Matrices with zeros above the k-th diagonal."""
    return in_wider(torch.tril)(as_tensor("tril", m), k)


def triu(m: ArrayLike, k: int = 0) -> Tensor:
    """Matrices with zeros below the k-th diagonal."""
    return in_wider(torch.triu)(as_tensor("triu", m), k)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and columns of the elements on and below the k-th diagonal, int32."""
    return _pairs((row, column) for row in range(n) for column in range(n if m is None else m) if column - row <= k)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and columns of the elements on and above the k-th diagonal, int32."""
    return _pairs((row, column) for row in range(n) for column in range(n if m is None else m) if column - row >= k)


def _pairs(places: Any) -> tuple[Tensor, Tensor]:
    rows, columns = torch.tensor(list(places), dtype=torch.int32).reshape(-1, 2).unbind(1)
    return rows, columns


def mask_indices(n: int, mask_func: Callable[..., Tensor], k: int = 0) -> tuple[Tensor, Tensor]:
    """The rows and columns where mask_func, such as `tril`, leaves a matrix of ones not zero, int32."""
    rows, columns = torch.nonzero(mask_func(torch.ones(n, n), k), as_tuple=True)
    return rows.to(torch.int32), columns.to(torch.int32)


def diag_indices(n: int, ndim: int = 2) -> tuple[Tensor, ...]:
    """The indices of the main diagonal of an array of ndim axes of length n, int32."""
    return (torch.arange(n, dtype=torch.int32),) * ndim


def diag(v: ArrayLike, k: int = 0) -> Tensor:
    """A matrix with the vector v on its k-th diagonal; or the k-th diagonal of a matrix v."""
    x = as_tensor("diag", v)
    if x.ndim not in (1, 2):
        raise ValueError(f"diag: expected a vector or a matrix, got shape {tuple(x.shape)}.")
    return torch.diag_embed(x, k) if x.ndim == 1 else torch.diagonal(x, k)


def diagflat(v: ArrayLike, k: int = 0) -> Tensor:
    """A matrix with the flattened array on its k-th diagonal."""
    return torch.diag_embed(as_tensor("diagflat", v).reshape(-1), k)


def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonals of the matrices in two axes, along a new last axis."""
    return torch.diagonal(as_tensor("diagonal", a), offset, axis1, axis2)


def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803
    """The powers of x in columns, the highest first, or last if increasing."""
    base = as_tensor("vander", x)
    powers = torch.arange(base.shape[0] if N is None else N, device=base.device)
    dtype = torch.int32 if base.dtype == torch.bool else base.dtype
    return base[:, None].pow(powers if increasing else powers.flip(0)).to(dtype)


def tril_indices_from(arr: ArrayLike, k: int = 0) -> tuple[Tensor, Tensor]:
    """The rows and columns of the elements of a matrix on and below the k-th diagonal, int32."""
    rows, columns = as_tensor("tril_indices_from", arr).shape
    return tril_indices(rows, k, columns)


def triu_indices_from(arr: ArrayLike, k: int = 0) -> tuple[Tensor, Tensor]:
    """The rows and columns of the elements of a matrix on and above the k-th diagonal, int32."""
    rows, columns = as_tensor("triu_indices_from", arr).shape
    return triu_indices(rows, k, columns)


def diag_indices_from(arr: ArrayLike) -> tuple[Tensor, ...]:
    """The indices of the main diagonal of an array whose axes have one length, int32."""
    x = as_tensor("diag_indices_from", arr)
    return diag_indices(x.shape[0], x.ndim)


def fill_diagonal(a: ArrayLike, val: ArrayLike, wrap: bool = False, *, inplace: bool = False) -> Tensor:
    """The matrix with another main diagonal, a number or a vector. Nothing is written in place: pass inplace=False.

    Raises:
        ValueError: inplace or wrap is true, or a is not a matrix.
    """
    x = as_tensor("fill_diagonal", a)
    if inplace or wrap or x.ndim != 2:
        raise ValueError(f"fill_diagonal: expected a matrix, inplace=False and wrap=False, got shape {tuple(x.shape)}.")
    values = as_like("fill_diagonal", val, x).expand(min(x.shape))
    return torch.diagonal_scatter(x, values)
