"""Quotients and remainders; those of integers divided by 0 are XLA's values, where torch raises an error.

The whole part of x / 0 is -1, which is the largest number of an unsigned dtype, and the rest is x, so that the floor of
x / 0 is one less if x is not 0. The remainders of jax.numpy are 0 instead.
"""

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, promote
from funcnet.numpy.unsigned import in_wider, widened

__all__ = ["divmod", "floor_divide", "fmod", "mod", "remainder"]


def floor_divide(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """floor(x / y); of an integer by 0: -1 if x is 0 or unsigned, else -2."""
    given, b = _operands("floor_divide", x, y)
    a, b = widened(given), widened(b)
    is_zero, divisor = nonzero_divisor(a, b, y)
    quotient = torch.div(a, divisor, rounding_mode="floor")  # unlike floor_divide, it has a derivative: 0
    if is_zero is None:
        return quotient.to(given.dtype)
    has_rest = (a != 0) & given.dtype.is_signed
    return torch.where(is_zero, -1 - has_rest.to(a.dtype), quotient).to(given.dtype)


def mod(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The remainder of x / y, with the sign of y; of an integer by 0: 0."""
    a, b = _operands("mod", x, y)
    return in_wider(torch.remainder)(a, nonzero_divisor(a, b, y)[1])  # that of a / 1 is 0


remainder = mod


def fmod(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The remainder of x / y, with the sign of x; of an integer by 0: 0."""
    a, b = _operands("fmod", x, y)
    return in_wider(torch.fmod)(a, nonzero_divisor(a, b, y)[1])


def divmod(x: ArrayLike, y: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Return (floor_divide(x, y), mod(x, y))."""
    return floor_divide(x, y), mod(x, y)


def _operands(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return the operands in their common dtype, bools as int32."""
    a, b = promote(name, x, y)
    return (a.to(torch.int32), b.to(torch.int32)) if a.dtype == torch.bool else (a, b)


def nonzero_divisor(a: Tensor, b: Tensor, y: ArrayLike) -> tuple[Tensor | None, Tensor]:
    """Return where an integer divisor is 0, and the divisor with 1 there; None if y, its given form, cannot be 0."""
    if (type(y) is int and y) or a.is_floating_point():
        return None, b
    is_zero = b == 0
    return is_zero, torch.where(is_zero, 1, b)
