"""Orthogonal matrices near given ones, for arrays of which some axes are those of matrices."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import Params, Scalar, Updates
from funcnet.tree import Tree
from funcnet.tree.nodes import prefix_leaves

Coefficients = tuple[float, float, float]
Preconditioning = Literal["frobenius", "spectral", "aol", "schatten"]


@dataclass(frozen=True)
class MuonDimensionNumbers:
    """Which axes of a parameter are the rows and columns of matrices; the others are batches of matrices.

    Attributes:
        reduction_axis: The axes over which the parameter is multiplied with its input: the rows.
        output_axis: The axes of the output: the columns.
    """

    reduction_axis: int | Sequence[int] = 0
    output_axis: int | Sequence[int] = 1

    def axes(self, ndim: int) -> tuple[list[int], list[int]]:
        """Return the axes of rows and of columns of an array, from 0 to ndim - 1."""
        rows, columns = (
            [axis % ndim for axis in ([axes] if isinstance(axes, int) else axes)]
            for axes in (self.reduction_axis, self.output_axis)
        )
        if ndim < 2 or set(rows) & set(columns):
            raise ValueError(
                f"muon: expected disjoint axes of an array with two axes or more, got {self}, ndim={ndim}."
            )
        return rows, columns

    def matrices(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return the array with shape (batch, rows, columns), and the inverse of this change."""
        rows, columns = self.axes(x.ndim)
        batch = [axis for axis in range(x.ndim) if axis not in (*rows, *columns)]
        order = batch + rows + columns
        moved = x.permute(order)
        back = sorted(range(x.ndim), key=order.__getitem__)
        shape = [math.prod(x.shape[axis] for axis in axes) for axes in (batch, rows, columns)]
        return moved.reshape(shape), lambda y: y.reshape(moved.shape).permute(back)


DimensionNumbers = Tree | Callable[[Params], Tree]


def on_matrices(
    f: Callable[[Tensor, MuonDimensionNumbers], Tensor], numbers: DimensionNumbers | None, updates: Updates
) -> Updates:
    """Apply f to each array and its dimension numbers, by default those of matrices."""
    if callable(numbers):
        numbers = numbers(updates)
    specs = [MuonDimensionNumbers() if spec is None else spec for spec in prefix_leaves(numbers, updates)]
    leaves, structure = tree.flatten(updates)
    return tree.unflatten(structure, [f(x, spec) for x, spec in zip(leaves, specs, strict=True)])


def orthogonalize(
    x: Tensor, coefficients: Sequence[Coefficients], eps: Scalar = 1e-8, preconditioning: Preconditioning = "frobenius"
) -> Tensor:
    """Approximate u vᵀ of the singular value decomposition x = u s vᵀ by Newton-Schulz steps.

    x = x / (|x| + eps), then x = a x + (b (x xᵀ) + c (x xᵀ)²) x for each polynomial (a, b, c).

    Args:
        x: (*, m, n).
        coefficients: The polynomials; the standard one maps singular values into about [0.7, 1.2] in five steps.
        eps: Keeps the norm from 0.
        preconditioning: How x is scaled first: by its Frobenius or spectral norm, the row sums of |x xᵀ| ("aol"), or
            the root of the Frobenius norm of x xᵀ ("schatten").
    Returns:
        (*, m, n).
    Raises:
        ValueError: The preconditioning is none of these.
    Source:
        Boissin et al. (2025), Turbo-Muon, https://arxiv.org/abs/2512.04632, for "aol".
    Example:
        >>> fn.optim.orthogonalize(torch.diag(torch.tensor([4.0, 1.0])), [(1.5, -0.5, 0.0)] * 9)
        tensor([[1., 0.],
                [0., 1.]])
    """
    if x.shape[-2] > x.shape[-1]:
        return orthogonalize(x.mT, coefficients, eps, preconditioning).mT
    x = x * _scale(x, eps, preconditioning)
    for a, b, c in coefficients:
        gram = x @ x.mH
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def check_preconditioning(name: Preconditioning) -> None:
    if name not in get_args(Preconditioning):
        expected = ", ".join(map(repr, get_args(Preconditioning)))
        raise ValueError(f"muon: expected preconditioning to be one of {expected}, got {name!r}.")


def _scale(x: Tensor, eps: Scalar, preconditioning: Preconditioning) -> Tensor:
    check_preconditioning(preconditioning)
    if preconditioning == "frobenius":
        return 1 / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + eps)
    if preconditioning == "spectral":
        return 1 / (torch.linalg.matrix_norm(x, 2, keepdim=True) + eps)
    gram = x @ x.mH
    if preconditioning == "aol":
        return torch.rsqrt(gram.abs().sum(-1, keepdim=True).clamp(min=1e-8))
    return torch.rsqrt(torch.linalg.vector_norm(gram, dim=(-2, -1), keepdim=True).clamp(min=1e-8))
