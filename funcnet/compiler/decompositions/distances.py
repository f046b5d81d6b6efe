"""Distances between points and their derivatives, and products of three tensors, by operations that fuse into loops."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def _between(x: Tensor, y: Tensor, p: float, mode: int | None) -> Any:
    """Return the distances between the points of x and those of y: cdist without a matrix product."""
    if not _is_usual(x, y) or not p >= 0:
        return NotImplemented
    difference = x[..., :, None, :] - y[..., None, :, :]
    if p == math.inf:  # in torch's kernel, unlike that of pdist, NaN is not the largest
        return torch.where(difference.isnan(), 0, difference.abs()).amax(-1)
    return _norm(difference, p)


def _between_backward(grad: Tensor, x: Tensor, y: Tensor, p: float, distances: Tensor) -> Any:
    """Return the cotangent of x."""
    if not _is_usual(x, y):
        return NotImplemented
    return _pulled(x[..., :, None, :] - y[..., None, :, :], grad, distances, p).sum(-2)


def _among(x: Tensor, p: float = 2.0) -> Any:
    """Return the distances of all pairs of points of x."""
    if not _is_usual(x, x) or len(x) < 2:
        return NotImplemented
    rows, columns = _pairs(x)
    return _norm(x[rows] - x[columns], p)


def _among_backward(grad: Tensor, x: Tensor, p: float, distances: Tensor) -> Any:
    if not _is_usual(x, x) or len(x) < 2:
        return NotImplemented
    rows, columns = _pairs(x)
    pulled = _pulled(x[rows] - x[columns], grad, distances, p)
    return torch.zeros_like(x).index_add(0, rows, pulled).index_add(0, columns, -pulled)


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    n = len(x)
    starts = torch.arange(n, device=x.device)
    ends = (starts + 1) * (2 * n - 2 - starts) // 2  # of the pairs whose first point comes before the next one
    places = torch.arange(n * (n - 1) // 2, device=x.device)
    rows = torch.searchsorted(ends, places, right=True)
    return rows, places - ends[rows] + n


def _norm(difference: Tensor, p: float) -> Tensor:
    if p == 0:
        return torch.where(difference.isnan(), difference, (difference != 0).to(difference.dtype)).sum(-1)
    return torch.linalg.vector_norm(difference, p, -1)


def _pulled(difference: Tensor, grad: Tensor, distances: Tensor, p: float) -> Tensor:
    """Return the cotangent of differences; it is 0 where torch's is, at a distance of 0."""
    grad, distances = grad[..., None], distances[..., None]
    sign = torch.where(difference.isnan(), difference, difference.sign())
    if p == 0:
        return torch.zeros_like(difference)
    if p == 1:
        return grad * sign
    if p == math.inf:
        lack = difference.abs() - distances
        return torch.where(lack == 0, grad * sign, torch.where(lack.isnan(), lack, 0))
    if p == 2:
        return torch.where(distances == 0, 0, grad * difference / distances)
    is_zero = (distances == 0) | ((difference == 0) if p < 1 else False)
    size = torch.where(is_zero, 1, difference.abs())
    return torch.where(is_zero, 0, sign * size ** (p - 1) * grad / distances ** (p - 1))


def _trilinear(
    x: Tensor,
    y: Tensor,
    z: Tensor,
    of_x: Sequence[int],
    of_y: Sequence[int],
    of_z: Sequence[int],
    sums: Sequence[int],
    unroll_dim: int = 1,
) -> Any:
    """Multiply three tensors with new axes of size 1, and sum over axes, by two products of matrices."""
    letters = "abcdefgh"[: x.ndim + len(of_x)]
    first, second, third = (
        "".join(letter for axis, letter in enumerate(letters) if axis not in axes) for axes in (of_x, of_y, of_z)
    )
    result = "".join(letter for axis, letter in enumerate(letters) if axis not in sums)
    both = "".join(letter for letter in letters if letter in first + second and letter in third + result)
    if not set(result) <= set(both + third) or not x.is_floating_point():
        return NotImplemented
    return torch.einsum(f"{both},{third}->{result}", torch.einsum(f"{first},{second}->{both}", x, y), z)


def _is_usual(x: Tensor, y: Tensor) -> bool:
    return x.dtype == y.dtype and x.dtype in (torch.float32, torch.float64) and x.numel() * y.numel() > 0


RULES: dict[Any, Callable[..., Any]] = {
    aten._cdist_forward.default: _between,
    aten._cdist_backward.default: _between_backward,
    aten._pdist_forward.default: _among,
    aten._pdist_backward.default: _among_backward,
    aten._trilinear.default: _trilinear,
}
