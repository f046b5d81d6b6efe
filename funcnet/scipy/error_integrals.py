"""Relatives of the error function: Faddeeva's, Dawson's, Fresnel's, sine and cosine integrals, and Owen's T."""

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.transforms import custom_jvp

_TERMS = 40  # of Weideman's sum: errors of 1e-14
_EULER = 0.5772156649015329
_DEPTH = 64  # of the continued fraction of the exponential integral at distances of 4 and more from 0


def wofz(z: ArrayLike) -> Tensor:
    """The Faddeeva function exp(-z^2) erfc(-i z) of complex numbers.

    Source:
        Weideman (1994), Computation of the complex error function, https://doi.org/10.1137/0731077
    Example:
        >>> fn.scipy.special.wofz(torch.tensor([0j, 1 + 1j]))
        tensor([1.0000+0.0000j, 0.3047+0.2082j])
    """
    z = inexact(as_tensor("wofz", z))
    return _faddeeva(z.to(torch.complex128)).to(torch.promote_types(z.dtype, torch.complex64))


def dawsn(x: ArrayLike) -> Tensor:
    """Dawson's integral: exp(-x^2) times the integral of exp(t^2) from 0 to x.

    Example:
        >>> fn.scipy.special.dawsn(torch.tensor([0.5, 2.0]))
        tensor([0.4244, 0.3013])
    """
    x = inexact(as_tensor("dawsn", x))
    return _dawson(x.double()).to(x.dtype)


def fresnel(x: ArrayLike) -> tuple[Tensor, Tensor]:
    """The Fresnel integrals: those of sin(pi t^2 / 2) and cos(pi t^2 / 2) from 0 to x.

    Example:
        >>> fn.scipy.special.fresnel(torch.tensor([0.5, 2.0]))
        (tensor([0.0647, 0.3434]), tensor([0.4923, 0.4883]))
    """
    x = inexact(as_tensor("fresnel", x))
    return _sine_of_square(x.double()).to(x.dtype), _cosine_of_square(x.double()).to(x.dtype)


def sici(x: ArrayLike) -> tuple[Tensor, Tensor]:
    """The sine integral, of sin(t) / t from 0 to x, and the cosine integral, of cos(t) / t from infinity to abs(x).

    Example:
        >>> fn.scipy.special.sici(torch.tensor([0.5, 5.0]))
        (tensor([0.4931, 1.5499]), tensor([-0.1778, -0.1900]))
    """
    x = inexact(as_tensor("sici", x))
    return _sine_integral(x.double()).to(x.dtype), _cosine_integral(x.double()).to(x.dtype)


def owens_t(h: ArrayLike, a: ArrayLike) -> Tensor:
    """Owen's T function: the integral of exp(-h^2 (1 + t^2) / 2) / (2 pi (1 + t^2)) for t from 0 to a.

    Source:
        Owen (1956), Tables for computing bivariate normal probabilities, https://doi.org/10.1214/aoms/1177728074
    Example:
        >>> fn.scipy.special.owens_t(torch.tensor([0.0, 1.0]), 1.0)
        tensor([0.1250, 0.0667])
    """
    h, a = torch.broadcast_tensors(*floating("owens_t", h, a))
    result: Tensor = _owen(h.double(), a.double())
    return result.to(h.dtype)


@cache
def _weideman() -> tuple[float, tuple[float, ...]]:
    """Return the scale, and the Fourier coefficients of exp(-t^2) (scale^2 + t^2) for t = scale tan(angle / 2)."""
    scale, half = math.sqrt(_TERMS / math.sqrt(2)), 2 * _TERMS
    angles = [k * math.pi / half for k in range(1 - half, half)]
    squares = [(scale * math.tan(angle / 2)) ** 2 for angle in angles]
    values = [math.exp(-t) * (scale**2 + t) for t in squares]
    return scale, tuple(
        math.fsum(value * math.cos(n * angle) for value, angle in zip(values, angles, strict=True)) / (2 * half)
        for n in range(1, _TERMS + 1)
    )


def _faddeeva(z: Tensor) -> Tensor:
    """Mirror the lower half-plane: w(z) = 2 exp(-z^2) - w(-z)."""
    below = z.imag < 0
    upper = _upper(torch.where(below, -z, z))
    on_axis = torch.complex(torch.exp(-torch.square(z.real)), upper.imag)
    upper = torch.where(z.imag == 0, on_axis, upper)  # exact where it is small
    return torch.where(below, 2 * torch.exp(-torch.square(torch.where(below, z, 0))) - upper, upper)


def _upper(z: Tensor) -> Tensor:
    scale, coefficients = _weideman()
    denominator = scale - 1j * z
    total = _polynomial((scale + 1j * z) / denominator, coefficients)
    return (2 * total / denominator + 1 / math.sqrt(math.pi)) / denominator


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _series(x: Tensor, term: Callable[[int], float], count: int = 24) -> Tensor:
    """Sum (-x)^k / term(k)."""
    return _polynomial(-x, [1 / term(k) for k in range(count)])


def _complex(x: Tensor) -> Tensor:
    return torch.complex(x, torch.zeros_like(x))


@custom_jvp
def _dawson(x: Tensor) -> Tensor:
    near = x.abs() < 1
    small = torch.where(near, x, 0)
    series = small * _series(2 * torch.square(small), lambda k: math.prod(range(1, 2 * k + 2, 2)))
    infinite = torch.isinf(x)
    far = math.sqrt(math.pi) / 2 * _upper(_complex(torch.where(infinite, 1, x))).imag
    return torch.where(near, series, torch.where(infinite, 1 / x, far))


_dawson.defjvps(lambda tangent, value, x: tangent * (1 - 2 * x * value))


def _beyond(x: Tensor) -> Tensor:
    """Return C(x) + i S(x) = (1 + i) / 2 erf((1 - i) sqrt(pi) / 2 x) for x > 0 that are not small."""
    huge = x > 1e150  # the square of which is infinite
    y = torch.where(huge, 1, x)
    rest = _upper((0.5 + 0.5j) * math.sqrt(math.pi) * y)
    wave = torch.exp(0.5j * math.pi * torch.remainder(torch.square(y), 4))
    return (0.5 + 0.5j) * (1 - torch.where(huge, 0, wave * rest))


def _fresnel(x: Tensor, part: Callable[[Tensor], Tensor], order: int) -> Tensor:
    """Sum the series with terms x^(4 k + 2 order + 1) for small x, and take a part of C + i S for others."""
    near = x.abs() < 1.6
    u = math.pi / 2 * torch.square(torch.where(near, x, 0))
    series = u**order * _series(torch.square(u), lambda k: math.factorial(2 * k + order) * (4 * k + 2 * order + 1))
    return torch.where(near, x * series, x.sign() * part(_beyond(torch.where(near, 2, x.abs()))))


@custom_jvp
def _sine_of_square(x: Tensor) -> Tensor:
    return _fresnel(x, torch.imag, 1)


@custom_jvp
def _cosine_of_square(x: Tensor) -> Tensor:
    return _fresnel(x, torch.real, 0)


_sine_of_square.defjvps(lambda tangent, _, x: tangent * torch.sin(math.pi / 2 * torch.square(x)))
_cosine_of_square.defjvps(lambda tangent, _, x: tangent * torch.cos(math.pi / 2 * torch.square(x)))


def _exponential(x: Tensor) -> Tensor:
    """Return the exponential integral E1(i x) of x >= 4, by its continued fraction."""
    z = torch.complex(torch.zeros_like(x), x)
    total = z + (2 * _DEPTH + 1)
    for k in range(_DEPTH, 0, -1):
        total = z + (2 * k - 1) - k * k / total
    return torch.complex(torch.cos(x), -torch.sin(x)) / total


@custom_jvp
def _sine_integral(x: Tensor) -> Tensor:
    size = x.abs()
    near = size < 4
    series = x * _series(torch.square(torch.where(near, x, 0)), lambda k: (2 * k + 1) * math.factorial(2 * k + 1))
    infinite = torch.isinf(x)
    far = _exponential(torch.where(near | infinite, 4, size)).imag
    far = x.sign() * (math.pi / 2 + torch.where(infinite, 0, far))
    return torch.where(near, series, far)


@custom_jvp
def _cosine_integral(x: Tensor) -> Tensor:
    size = x.abs()
    near, infinite = size < 4, torch.isinf(x)
    square = torch.square(torch.where(near, x, 0))
    series = -square * _series(square, lambda k: (2 * k + 2) * math.factorial(2 * k + 2))
    far = -_exponential(torch.where(near | infinite, 4, size)).real
    return torch.where(near, _EULER + torch.log(size) + series, torch.where(infinite, 0, far))


_sine_integral.defjvps(lambda tangent, _, x: tangent * torch.sinc(x / math.pi))
_cosine_integral.defjvps(lambda tangent, _, x: tangent * torch.cos(x) / x)


@cache
def _nodes(count: int) -> tuple[list[float], list[float]]:
    """Return the points and weights of Gauss's quadrature on [0, 1]: roots of a Legendre polynomial, by Newton."""
    points, weights = [], []
    for i in range(count):
        x = math.cos(math.pi * (i + 0.75) / (count + 0.5))
        for _ in range(8):
            before, value = 1.0, x
            for k in range(2, count + 1):
                before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
            slope = count * (x * value - before) / (x * x - 1)
            x -= value / slope
        points.append((1 + x) / 2)
        weights.append(1 / ((1 - x * x) * slope**2))
    return points, weights


@custom_jvp
def _owen(h: Tensor, a: Tensor) -> Tensor:
    """Map a > 1 to 1 / a by T(h, a) + T(a h, 1 / a) = (Q(h) + Q(a h)) / 2 - Q(h) Q(a h), with Q(x) = ndtr(-x)."""
    size, slope = h.abs(), a.abs()
    steep = slope > 1
    scaled = torch.where(h == 0, 0, size * slope)
    inner = _quadrature(torch.where(steep, scaled, size), torch.where(steep, 1 / slope, slope))
    p, q = (torch.erfc(x * math.sqrt(0.5)) / 2 for x in (size, scaled))
    return a.sign() * torch.where(steep, (p + q) / 2 - p * q - inner, inner)


def _quadrature(h: Tensor, a: Tensor) -> Tensor:
    """Integrate for a in [0, 1], as far as the integrand is not negligible."""
    end = torch.minimum(a, 8.5 / h)
    total = torch.zeros_like(h)
    for point, weight in zip(*_nodes(32), strict=True):
        square = 1 + torch.square(end * point)
        total = total + weight * torch.exp(-0.5 * torch.square(h) * square) / square
    return end * total / (2 * math.pi)


def _owen_by_h(tangent: Tensor, _: Tensor, h: Tensor, a: Tensor) -> Tensor:
    return -tangent * torch.exp(-torch.square(h) / 2) * torch.erf(a * h / math.sqrt(2)) / (2 * math.sqrt(2 * math.pi))


def _owen_by_a(tangent: Tensor, _: Tensor, h: Tensor, a: Tensor) -> Tensor:
    square = 1 + torch.square(a)
    return tangent * torch.exp(-torch.square(h) * square / 2) / (2 * math.pi * square)


_owen.defjvps(_owen_by_h, _owen_by_a)
