"""Bessel functions, spherical harmonics and Bernoulli numbers, by recurrences."""

import math
from fractions import Fraction

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact


def bernoulli(n: int) -> Tensor:
    """The Bernoulli numbers B_0 to B_n, with B_1 = -1/2.

    Example:
        >>> fn.scipy.special.bernoulli(4)
        tensor([ 1.0000, -0.5000,  0.1667,  0.0000, -0.0333])
    """
    if n < 0:
        raise ValueError(f"bernoulli: expected n to be at least 0, got {n}.")
    numbers: list[Fraction] = []
    for m in range(n + 1):
        rest = sum((math.comb(m + 1, k) * number for k, number in enumerate(numbers)), Fraction(0))
        numbers.append(Fraction(1) if m == 0 else -rest / (m + 1))
    return torch.tensor([float(number) for number in numbers], dtype=torch.float64).float()


def bessel_jn(z: ArrayLike, *, v: int, n_iter: int = 50) -> Tensor:
    """The Bessel functions of the first kind of the orders 0, 1, ..., v of real numbers.

    Args:
        z: Real numbers.
        v: The largest order.
        n_iter: The order at which the recurrence starts: more than v and abs(z), by some 20 for exact results.
    Returns:
        A tensor of shape (v + 1, *z.shape).
    Source:
        Press et al. (2007), Numerical Recipes, section 6.5: Miller's recurrence towards smaller orders.
    Example:
        >>> fn.scipy.special.bessel_jn(torch.tensor([0.0, 2.0]), v=1)
        tensor([[1.0000, 0.2239],
                [0.0000, 0.5767]])
    """
    if not 0 <= v <= n_iter:
        raise ValueError(f"bessel_jn: expected v to be from 0 to n_iter={n_iter}, got {v}.")
    x = inexact(as_tensor("bessel_jn", z))
    tiny = x.abs() < 1e-5
    half = torch.where(tiny, 1, x).double() / 2
    after, value = torch.zeros_like(half), torch.full_like(half, 1e-250)
    norm, orders = torch.zeros_like(half), list[Tensor]()
    for k in range(n_iter, -1, -1):  # value is proportional to J of order k
        norm = norm + (value if k == 0 else 2 * value if k % 2 == 0 else 0)
        orders = [value, *orders] if k <= v else orders
        after, value = value, k / half * value - after
    limits = torch.stack([(x.double() / 2) ** k / math.factorial(k) for k in range(v + 1)])
    return torch.where(tiny, limits, torch.stack(orders) / norm).to(x.dtype)


def sph_harm_y(
    n: ArrayLike,
    m: ArrayLike,
    theta: ArrayLike,
    phi: ArrayLike,
    diff_n: None = None,
    n_max: int | None = None,
) -> Tensor:
    """The spherical harmonics of degrees n and orders m.

    Args:
        n: Degrees, integers of at least 0.
        m: Orders, integers from -n to n.
        theta: Polar angles, in [0, pi].
        phi: Azimuths.
        diff_n: None; derivatives are those of `fn.grad` and others.
        n_max: The largest degree, needed inside of `fn.jit`; larger ones are cut to it.
    Returns:
        Complex numbers of the common shape.
    Source:
        Press et al. (2007), Numerical Recipes, section 6.7: a recurrence towards larger degrees.
    Example:
        >>> fn.scipy.special.sph_harm_y(torch.tensor([1]), torch.tensor([1]), torch.tensor([0.5]), torch.tensor([0.2]))
        tensor([-0.1623-0.0329j])
    """
    if diff_n is not None:
        raise NotImplementedError(f"sph_harm_y: expected diff_n=None, got {diff_n!r}. Use fn.grad.")
    degree, order, polar, azimuth = torch.broadcast_tensors(*floating("sph_harm_y", n, m, theta, phi))
    largest = int(degree.max()) if n_max is None else n_max
    size = order.abs()
    value = _legendre(degree.clamp(max=largest), size, polar, largest)
    wave = torch.complex(value * torch.cos(size * azimuth), value * torch.sin(size * azimuth))
    mirrored = torch.where(torch.remainder(size, 2) == 1, -wave.conj(), wave.conj())
    return torch.where(order < 0, mirrored, wave)


def _legendre(n: Tensor, m: Tensor, theta: Tensor, largest: int) -> Tensor:
    """The normalised associated Legendre functions of cos(theta), from those with n = m and n = m - 1."""
    x, s = torch.cos(theta), torch.sin(theta)
    value, before = torch.full_like(x, math.sqrt(1 / (4 * math.pi))), torch.zeros_like(x)
    for k in range(1, largest + 1):
        rising = torch.where(k <= m, -math.sqrt((2 * k + 1) / (2 * k)) * s * value, value)
        further, j = (k > m) & (k <= n), torch.where(k > m, m, 0)
        ratio = torch.sqrt((4 * k * k - 1) / (k * k - j * j))
        back = torch.sqrt(((k - 1) ** 2 - j * j).clamp(min=0) / (4 * (k - 1) ** 2 - 1 if k > 1 else 1))
        ahead = ratio * (x * value - back * before)
        before, value = torch.where(further, value, before), torch.where(further, ahead, rising)
    return value
