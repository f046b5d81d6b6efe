"""The spectrum of a symmetric matrix that is given only by its products: some eigenpairs, and the spectral density."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.curvature.checks import Matvec, check_numbers, flat_operator
from funcnet.random import Key
from funcnet.transforms import vmap
from funcnet.tree import Tree


class Eigenpairs(NamedTuple):
    """Eigenvalues and eigenvectors of a matrix, in the order that `which` selects."""

    values: Tensor  # (k,)
    vectors: Tree  # like the parameters, with a leading axis of k; each of norm 1
    residuals: Tensor  # (k,), |A u - value u|, estimated by the recursion


class SpectralDensity(NamedTuple):
    """The density of the eigenvalues of a matrix."""

    values: Tensor  # (points,), increasing
    density: Tensor  # (points,), fraction of the eigenvalues per unit; its integral is 1


class _Tridiagonal(NamedTuple):
    """A = Q' T Q on the span of the rows of Q."""

    basis: Tensor  # Q, (steps, numbers), orthonormal rows
    diagonal: Tensor  # (steps,)
    below: Tensor  # (steps,), the subdiagonal; the last entry belongs to the residual


_PICKS: dict[str, Callable[[Tensor], Tensor]] = {
    "largest": lambda values: values,
    "smallest": lambda values: -values,
    "magnitude": torch.abs,
}


def lanczos(
    matvec: Matvec, params: Tree, key: Key, k: int, *, steps: int | None = None, which: str = "largest"
) -> Eigenpairs:
    """Find eigenpairs at an end of the spectrum of a symmetric matrix by Lanczos' recursion.

    Every new direction is orthogonalised twice against all earlier ones, so that no eigenvalue is found more often than
    its multiplicity. With as many steps as parameters, the spectrum is complete.

    Args:
        matvec: v -> A v, from trees like params to trees like params, such as the result of `hessian_operator`.
        params: A tree with the structure, shapes and dtypes of v.
        key: The random key for the first direction.
        k: Number of pairs.
        steps: Number of products; more give smaller residuals. None: 2 k + 20. At most the number of parameters.
        which: "largest", "smallest", or "magnitude" for the largest absolute values.
    Returns:
        `Eigenpairs`, starting with the largest, the smallest, or the largest in magnitude.
    Raises:
        ValueError: A product is not finite or not like params; `which` is another string; k is below 1, or above the
            number of steps or parameters.
    Source:
        Lanczos (1950), An Iteration Method for the Solution of the Eigenvalue Problem,
        https://doi.org/10.6028/jres.045.026; full reorthogonalisation as in Golub, Van Loan (2013), section 10.3.
    Example:
        >>> a = torch.diag(torch.tensor([1.0, 2.0, 5.0]))
        >>> fn.curvature.lanczos(lambda v: a @ v, torch.zeros(3), fn.random.key(0), 2).values
        tensor([5.0000, 2.0000])
    """
    if which not in _PICKS:
        raise ValueError(f"lanczos: expected which to be one of {', '.join(_PICKS)}, got {which!r}.")
    multiply, vector, unravel = flat_operator("lanczos", matvec, params)
    most = min(vector.numel(), 2 * k + 20 if steps is None else steps)
    if not 1 <= k <= most:
        raise ValueError(
            f"lanczos: expected k between 1 and the number of steps, {most}, which is at most the number of "
            f"parameters, {vector.numel()}; got {k}."
        )
    found = _tridiagonalise("lanczos", multiply, vector, unravel, key, most)
    values, vectors = torch.linalg.eigh(_matrix(found))
    order = _PICKS[which](values).argsort(descending=True)[:k]
    residuals = (found.below[-1] * vectors[-1, order]).abs()
    floating = tree.partition(params, tree.is_inexact)[0]
    rows = vmap(tree.ravel(floating)[1])(vectors[:, order].T @ found.basis)
    return Eigenpairs(values[order], rows, residuals)


def spectral_density(
    matvec: Matvec,
    params: Tree,
    key: Key,
    *,
    steps: int = 64,
    samples: int = 4,
    points: int = 512,
    width: float | None = None,
) -> SpectralDensity:
    """Estimate the density of all eigenvalues of a symmetric matrix by stochastic Lanczos quadrature.

    Starting from a random unit vector, the eigenvalues of the tridiagonal matrix are the nodes, and the squared first
    entries of its eigenvectors the weights, of a quadrature that is exact for polynomials up to degree 2 steps - 1. The
    mean over the vectors is smoothed by a normal density.

    Args:
        matvec: v -> A v, from trees like params to trees like params, such as the result of `hessian_operator`.
        params: A tree with the structure, shapes and dtypes of v.
        key: The random key for the vectors.
        steps: Number of products per vector; at most the number of parameters.
        samples: Number of vectors.
        points: Number of equally spaced points at which the density is evaluated.
        width: Standard deviation of the normal density, in the unit of A. None: a hundredth of the range of the nodes.
    Returns:
        `SpectralDensity`, from four widths below the smallest node to four above the largest.
    Raises:
        ValueError: A product is not finite or not like params; steps or samples is below 1, or points below 2; width is
            not positive.
    Source:
        Ghorbani, Krishnan, Xiao (2019), An Investigation into Neural Net Optimization via Hessian Eigenvalue Density,
        section 2, https://arxiv.org/abs/1901.10159
    Example:
        >>> matrix = torch.diag(torch.tensor([1.0, 2.0, 2.0]))
        >>> density = fn.curvature.spectral_density(lambda v: matrix @ v, torch.zeros(3), fn.random.key(0), steps=2)
        >>> type(density).__name__
        'SpectralDensity'
    """
    if steps < 1 or samples < 1 or points < 2 or (width is not None and width <= 0):
        raise ValueError(
            "spectral_density: expected at least 1 step, 1 sample and 2 points, and a positive width, "
            f"got {steps}, {samples}, {points} and {width}."
        )
    multiply, vector, unravel = flat_operator("spectral_density", matvec, params)
    most = min(steps, vector.numel())
    parts = [
        torch.linalg.eigh(_matrix(_tridiagonalise("spectral_density", multiply, vector, unravel, each, most)))
        for each in random.split(key, samples)
    ]
    nodes = torch.cat([values for values, _ in parts])
    weights = torch.cat([vectors[0].square() for _, vectors in parts]) / samples
    low, high = nodes.min(), nodes.max()
    spread = _width(low, high) if width is None else vector.new_tensor(width)
    at = low - 4 * spread + (high - low + 8 * spread) * torch.linspace(0, 1, points, dtype=low.dtype, device=low.device)
    bumps = torch.exp(-0.5 * ((at[:, None] - nodes) / spread).square()) / (spread * math.sqrt(2 * math.pi))
    return SpectralDensity(at, bumps @ weights)


def _width(low: Tensor, high: Tensor) -> Tensor:
    """Return a hundredth of the range, or of the magnitude or of 1 if the range is only rounding error."""
    magnitude = torch.maximum(low.abs(), high.abs())
    floor = torch.where(magnitude > 0, magnitude, 1.0)
    return torch.where(high - low > 1e-6 * magnitude, high - low, floor) / 100


def _matrix(t: _Tridiagonal) -> Tensor:
    return torch.diag(t.diagonal) + torch.diag(t.below[:-1], 1) + torch.diag(t.below[:-1], -1)


def _tridiagonalise(
    operation: str,
    multiply: Callable[[Tensor], Tensor],
    like: Tensor,
    unravel: Callable[[Tensor], Tree],
    key: Key,
    n: int,
) -> _Tridiagonal:
    basis, diagonal, below = like.new_zeros(n, like.numel()), like.new_zeros(n), like.new_zeros(n)
    following = _direction(random.fold_in(key, 0), basis[:0])
    for i in range(n):
        basis[i] = following
        product = multiply(basis[i])
        check_numbers(operation, product, unravel, i + 1)
        diagonal[i] = basis[i] @ product
        rest = _orthogonal(product, basis)
        below[i] = torch.linalg.vector_norm(rest)
        size = torch.cat([diagonal, below]).abs().max()
        if below[i] > 100 * torch.finfo(like.dtype).eps * size:
            following = rest / below[i]
        else:  # the residual is only rounding error: the span is invariant, and a new direction starts another one
            below[i] = 0.0
            following = _direction(random.fold_in(key, i + 1), basis[: i + 1]) if i + 1 < n else rest
    return _Tridiagonal(basis, diagonal, below)


def _direction(key: Key, basis: Tensor) -> Tensor:
    """Draw a unit vector orthogonal to the basis."""
    rest = _orthogonal(random.normal(key, basis.shape[1:], basis.dtype).to(basis.device), basis)
    return rest / torch.linalg.vector_norm(rest)


def _orthogonal(v: Tensor, basis: Tensor) -> Tensor:
    """Subtract the projection onto the basis, twice to remove the rounding error of the first time."""
    for _ in range(2):
        v = v - basis.T @ (basis @ v)
    return v
