"""Polynomials, their coefficients from the highest power down, and windows of signals."""

import math

import torch
from torch import Tensor

from funcnet.numpy.linalg import lstsq
from funcnet.numpy.matrices import vander
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, floating, promote
from funcnet.numpy.statistics import convolve

__all__ = ["blackman", "hamming", "hanning", "polyder", "polyfit", "polymul", "polyval"]


def polyval(p: ArrayLike, x: ArrayLike) -> Tensor:
    """The value of a polynomial at x, by Horner's rule."""
    p, x = promote("polyval", p, x)
    result = torch.zeros_like(x)
    for coefficient in p:
        result = result * x + coefficient
    return result


def polyfit(x: ArrayLike, y: ArrayLike, deg: int, rcond: float | None = None, w: ArrayLike | None = None) -> Tensor:
    """The polynomial of a degree next to the points (x, y) in the least squares sense, with weights w if given.

    Args:
        x: A vector.
        y: A vector, or a matrix whose columns are fitted separately.
        deg: The degree.
        rcond: Singular values below rcond times the largest are left out, by default len(x) eps.
        w: Weights of the differences, before they are squared.
    """
    x, y = floating("polyfit", x, y)
    rcond = len(x) * torch.finfo(x.dtype).eps if rcond is None else rcond
    powers, values = vander(x, deg + 1), y if y.ndim == 2 else y[:, None]
    if w is not None:
        weights = as_like("polyfit", w, x)[:, None]
        powers, values = powers * weights, values * weights
    scale = torch.sqrt(torch.square(powers).sum(0))
    found = lstsq(powers / scale, values, rcond)[0] / scale[:, None]
    return found if y.ndim == 2 else found[:, 0]


def polyder(p: ArrayLike, m: int = 1) -> Tensor:
    """The m-th derivative of a polynomial."""
    p = as_tensor("polyder", p)
    for _ in range(m):
        p = p[:-1] * torch.arange(len(p) - 1, 0, -1, device=p.device).to(p.dtype)
    return p


def polymul(a1: ArrayLike, a2: ArrayLike) -> Tensor:
    """The product of two polynomials."""
    return convolve(a1, a2)


def hanning(M: int) -> Tensor:  # noqa: N803
    """A raised cosine window of M points, 0 at both ends."""
    return _window(M, (0.5, -0.5))


def hamming(M: int) -> Tensor:  # noqa: N803
    """A raised cosine window of M points, 0.08 at both ends."""
    return _window(M, (0.54, -0.46))


def blackman(M: int) -> Tensor:  # noqa: N803
    """The Blackman window of M points."""
    return _window(M, (0.42, -0.5, 0.08))


def _window(count: int, coefficients: tuple[float, ...]) -> Tensor:
    """Return the sum of coefficients times cosines of k periods over the points."""
    if count == 1:
        return torch.ones(1, dtype=torch.float32)
    phase = 2 * math.pi * torch.arange(count).to(torch.float32) / (count - 1)
    terms = [c * torch.cos(k * phase) for k, c in enumerate(coefficients)]
    return torch.stack(terms).sum(0)
