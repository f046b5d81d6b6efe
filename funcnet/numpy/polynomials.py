"""Polynomials, their coefficients from the highest power down, and windows of signals."""

import math

import torch
from torch import Tensor

from funcnet.numpy.joining import trim_zeros
from funcnet.numpy.linalg import eigvals, lstsq
from funcnet.numpy.matrices import vander
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, floating, inexact, promote
from funcnet.numpy.statistics import convolve

__all__ = [
    "bartlett", "blackman", "hamming", "hanning", "kaiser", "poly", "polyadd", "polyder", "polydiv", "polyfit",
    "polyint", "polymul", "polysub", "polyval", "roots",
]  # fmt: skip


def polyval(p: ArrayLike, x: ArrayLike, *, unroll: int = 16) -> Tensor:
    """The value of a polynomial at x, by Horner's rule; unroll, JAX's hint for its compiler, has no effect."""
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


def polymul(a1: ArrayLike, a2: ArrayLike, *, trim_leading_zeros: bool = False) -> Tensor:
    """The product of two polynomials; trim_leading_zeros needs their values and does not work inside `jit`."""
    if trim_leading_zeros:
        a1, a2 = (trim_zeros(a, "f") for a in (a1, a2))
    return convolve(a1, a2)


def polyadd(a1: ArrayLike, a2: ArrayLike) -> Tensor:
    """The sum of two polynomials."""
    x, y = promote("polyadd", a1, a2)
    length = max(len(x), len(y))
    return _padded(x, length) + _padded(y, length)


def polysub(a1: ArrayLike, a2: ArrayLike) -> Tensor:
    """The difference of two polynomials."""
    x, y = promote("polysub", a1, a2)
    return polyadd(x, -y)


def polydiv(u: ArrayLike, v: ArrayLike) -> tuple[Tensor, Tensor]:
    """The quotient and the remainder of two polynomials; the latter has the length of u, with leading zeros."""
    rest, divisor = floating("polydiv", u, v)
    steps = len(rest) - len(divisor) + 1
    quotient = []
    for k in range(steps):
        quotient.append(rest[k] / divisor[0])
        rest = torch.cat([rest[:k], rest[k : k + len(divisor)] - quotient[-1] * divisor, rest[k + len(divisor) :]])
    return torch.stack(quotient) if quotient else torch.zeros_like(rest[:1]), rest


def polyint(p: ArrayLike, m: int = 1, k: ArrayLike | None = None) -> Tensor:
    """The m-th antiderivative of a polynomial.

    Args:
        p: The coefficients.
        m: How often to integrate.
        k: The constants of integration, the first integral's first, or one number for all. None: 0.
    """
    (p,) = floating("polyint", p)
    constants = p.new_zeros(m) if k is None else as_like("polyint", k, p).reshape(-1).expand(m)
    for constant in constants:
        p = torch.cat([p / torch.arange(len(p), 0, -1, device=p.device).to(p.dtype), constant[None]])
    return p


def poly(seq_of_zeros: ArrayLike) -> Tensor:
    """The polynomial with leading coefficient 1 and these zeros; of a matrix, its characteristic polynomial."""
    (zeros,) = floating("poly", seq_of_zeros)
    if zeros.ndim == 2:
        zeros = eigvals(zeros)
    result = torch.ones_like(zeros[:1]) if len(zeros) else zeros.new_ones(1)
    for zero in zeros:
        result = torch.cat([result, result.new_zeros(1)]) - torch.cat([result.new_zeros(1), zero * result])
    return result


def roots(p: ArrayLike, *, strip_zeros: bool = True) -> Tensor:
    """The zeros of a polynomial, complex.

    Args:
        p: The coefficients.
        strip_zeros: Whether to leave out leading zeros and to split off trailing ones first. `jit` and `vmap` need
            False; then a leading zero gives NaN.
    """
    (p,) = floating("roots", p)
    trailing = 0
    if strip_zeros:
        places = p.nonzero().reshape(-1).tolist()
        first, last = (places[0], places[-1]) if places else (0, -1)
        p, trailing = p[first : last + 1], len(p) - 1 - last if places else 0
    dtype = p.dtype.to_complex()
    if len(p) < 2:
        return torch.zeros(trailing, dtype=dtype, device=p.device)
    companion = torch.cat([(-p[1:] / p[0])[None], torch.eye(len(p) - 2, len(p) - 1, dtype=p.dtype, device=p.device)])
    return torch.cat([eigvals(companion), torch.zeros(trailing, dtype=dtype, device=p.device)])


def _padded(p: Tensor, length: int) -> Tensor:
    return torch.cat([p.new_zeros(length - len(p)), p])


def kaiser(M: int, beta: ArrayLike) -> Tensor:  # noqa: N803
    """A window of M points by the Bessel function i0; the larger beta, the lower its sides."""
    sharpness = inexact(as_tensor("kaiser", beta))
    if M == 1:
        return torch.ones_like(sharpness).reshape(1)
    half = (M - 1) / 2
    place = (torch.arange(M, dtype=sharpness.dtype, device=sharpness.device) - half) / half
    return torch.special.i0(sharpness * (1 - place.square()).clamp(min=0).sqrt()) / torch.special.i0(sharpness)


def hanning(M: int) -> Tensor:  # noqa: N803
    """A raised cosine window of M points, 0 at both ends."""
    return _window(M, (0.5, -0.5))


def hamming(M: int) -> Tensor:  # noqa: N803
    """A raised cosine window of M points, 0.08 at both ends."""
    return _window(M, (0.54, -0.46))


def blackman(M: int) -> Tensor:  # noqa: N803
    """The Blackman window of M points."""
    return _window(M, (0.42, -0.5, 0.08))


def bartlett(M: int) -> Tensor:  # noqa: N803
    """The triangular window of M points, 0 at both ends."""
    return 1 - torch.abs(2 * torch.arange(M).to(torch.float32) - (M - 1)) / max(M - 1, 1)


def _window(count: int, coefficients: tuple[float, ...]) -> Tensor:
    """Return the sum of coefficients times cosines of k periods over the points."""
    if count == 1:
        return torch.ones(1, dtype=torch.float32)
    phase = 2 * math.pi * torch.arange(count).to(torch.float32) / (count - 1)
    terms = [c * torch.cos(k * phase) for k, c in enumerate(coefficients)]
    return torch.stack(terms).sum(0)
