"""Random vectors and matrices."""

from typing import Literal

import torch
from torch import Tensor

from funcnet.random.arguments import (
    FLOATS,
    Key,
    Shape,
    as_sizes,
    check_dtype,
    check_key,
    check_positive,
    common_sizes,
    describe,
)
from funcnet.random.basic import normal

Method = Literal["cholesky", "eigh", "svd"]


def multivariate_normal(
    key: Key,
    mean: Tensor,
    cov: Tensor,
    shape: Shape | None = None,
    dtype: torch.dtype | None = None,
    method: Method = "cholesky",
) -> Tensor:
    """Draw normal vectors: mean + factor n, with factor factor^T = cov and n standard normal.

    Args:
        key: A key.
        mean: (*, n)
        cov: (*, n, n): positive definite for "cholesky", positive semidefinite for the other methods.
        shape: The leading axes of the result, to which those of mean and cov broadcast; by default their common ones.
        dtype: The dtype of the result; by default that of mean and cov.
        method: How to factor cov: "cholesky" is the fastest one; "eigh" and "svd" take singular matrices, too.
    Returns:
        (*shape, n)
    Raises:
        ValueError: The shapes do not fit, or method is another string.
    Example:
        >>> cov = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
        >>> fn.random.multivariate_normal(fn.random.key(0), torch.zeros(2), cov)
        tensor([1.6226, 2.5133])
    """
    if not isinstance(mean, Tensor) or not mean.ndim:
        raise TypeError(f"random.multivariate_normal: expected mean of shape (*, n), got {describe(mean)}.")
    size = mean.shape[-1]
    if not isinstance(cov, Tensor) or cov.shape[-2:] != (size, size):
        expected = f"expected cov of shape (*, {size}, {size}), as mean has {size} elements"
        raise ValueError(f"random.multivariate_normal: {expected}, got {describe(cov)}.")
    wide = torch.promote_types(mean.dtype, cov.dtype)
    leading = common_sizes("multivariate_normal", shape, {"mean": mean[..., 0], "cov": cov[..., 0, 0]})
    n = normal(key, (*leading, size), dtype or wide)
    return mean + (_factor(cov.to(wide), method) @ n.to(wide).unsqueeze(-1)).squeeze(-1).to(dtype or wide)


def orthogonal(key: Key, n: int, shape: Shape = (), dtype: torch.dtype = torch.float32, m: int | None = None) -> Tensor:
    """Draw orthogonal matrices, uniformly; with m != n, their columns or rows (the shorter side) are orthonormal.

    Returns:
        (*shape, n, m), with m = n by default.
    Source:
        Mezzadri (2007), How to generate random matrices from the classical compact groups,
        https://arxiv.org/abs/math-ph/0609050
    Example:
        >>> q = fn.random.orthogonal(fn.random.key(0), 3)
        >>> torch.allclose(q @ q.T, torch.eye(3), atol=1e-6)
        True
    """
    m = n if m is None else m
    check_positive("orthogonal", n=n, m=m)
    check_key("orthogonal", key)
    check_dtype("orthogonal", dtype, FLOATS)
    sizes = as_sizes("orthogonal", shape)
    q, r = torch.linalg.qr(normal(key, (*sizes, max(n, m), min(n, m)), dtype))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return q.mT if n < m else q


def _factor(cov: Tensor, method: str) -> Tensor:
    """Return a matrix whose product with its transpose is cov."""
    if method == "cholesky":
        return torch.linalg.cholesky(cov)
    if method == "eigh":
        values, vectors = torch.linalg.eigh(cov)
    elif method == "svd":
        vectors, values, _ = torch.linalg.svd(cov)
    else:
        expected = 'expected method to be "cholesky", "eigh" or "svd"'
        raise ValueError(f"random.multivariate_normal: {expected}, got {method!r}.")
    return vectors * values.clamp(min=0).sqrt().unsqueeze(-2)
