"""Special functions, Fourier transforms and operations on bits of jax.lax."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.creation import sizes
from funcnet.numpy.elementwise import count_ones
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, floating, inexact, named, promote
from funcnet.transforms import custom_jvp

__all__ = [
    "FftType", "bessel_i0e", "bessel_i1e", "bitcast_convert_type", "clz", "complex", "fft", "igamma", "igammac",
    "mulhi", "polygamma", "population_count", "reduce_precision", "shift_left", "shift_right_arithmetic",
    "shift_right_logical", "zeta",
]  # fmt: skip


def _binary(name: str, f: Callable[[Tensor, Tensor], Tensor], doc: str) -> Callable[[ArrayLike, ArrayLike], Tensor]:
    def function(x: ArrayLike, y: ArrayLike) -> Tensor:
        return f(*floating(name, x, y))

    return named(function, name, doc)


def _unary(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Callable[[ArrayLike], Tensor]:
    def function(x: ArrayLike) -> Tensor:
        return f(inexact(as_tensor(name, x)))

    return named(function, name, doc)


complex = _binary("complex", torch.complex, "The complex numbers with these real and imaginary parts.")
bessel_i0e = _unary(
    "bessel_i0e", torch.special.i0e, "exp(-abs(x)) i0(x), with the modified Bessel function of order 0."
)
bessel_i1e = _unary(
    "bessel_i1e", torch.special.i1e, "exp(-abs(x)) i1(x), with the modified Bessel function of order 1."
)


def polygamma(m: int, x: ArrayLike) -> Tensor:
    """The m-th derivative of digamma; m is an int."""
    return torch.special.polygamma(int(m), inexact(as_tensor("polygamma", x)))


class FftType(Enum):
    """The kinds of Fourier transforms."""

    FFT = "fft"
    IFFT = "ifft"
    RFFT = "rfft"
    IRFFT = "irfft"


def fft(x: ArrayLike, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Tensor:
    """The discrete Fourier transform of the last axes.

    Args:
        x: The array.
        fft_type: The kind of transform, or its name, such as "RFFT".
        fft_lengths: The lengths of these axes; for IRFFT those of the result.
    """
    kind = fft_type.value if isinstance(fft_type, FftType) else str(fft_type).lower()
    if kind not in [each.value for each in FftType]:
        raise ValueError(f"fft: expected fft_type to be one of {[each.name for each in FftType]}, got {fft_type!r}.")
    lengths = sizes("fft", fft_lengths)
    f: Any = getattr(torch.fft, kind + "n")
    result: Tensor = f(inexact(as_tensor("fft", x)), lengths, tuple(range(-len(lengths), 0)))
    return result


def igamma(a: ArrayLike, x: ArrayLike) -> Tensor:
    """The lower regularised incomplete gamma function."""
    return torch.special.gammainc(*floating("igamma", a, x))


def igammac(a: ArrayLike, x: ArrayLike) -> Tensor:
    """The upper regularised incomplete gamma function."""
    return torch.special.gammaincc(*floating("igammac", a, x))


def zeta(x: ArrayLike, q: ArrayLike) -> Tensor:
    """The Hurwitz zeta function: the sum of 1 / (k + q)^x for k = 0, 1, ..."""
    return torch.special.zeta(*floating("zeta", x, q))


_SIGNED = {torch.uint8: torch.int8, torch.uint16: torch.int16, torch.uint32: torch.int32}  # with the same bits


def _shift(name: str, f: Callable[[Tensor, Tensor], Tensor], rest: Callable[[Tensor], Tensor], doc: str) -> Any:
    """Make a shift; one by the number of bits or more leaves `rest`."""

    def function(x: ArrayLike, y: ArrayLike) -> Tensor:
        a, b = promote(name, x, y)
        dtype, bits = a.dtype, torch.iinfo(a.dtype).bits
        a, b = (x.to(_SIGNED.get(dtype, dtype)) for x in (a, b))
        small = (b >= 0) & (b < bits)
        return torch.where(small, f(a, torch.where(small, b, 0)), rest(a)).to(dtype)

    return named(function, name, doc)


def _logical(x: Tensor, y: Tensor) -> Tensor:
    """Shift zeros in from the left: shift the bits right, and clear the copies of the sign."""
    bits = torch.iinfo(x.dtype).bits
    kept = torch.bitwise_not(torch.bitwise_left_shift(torch.full_like(y, -1), torch.where(y > 0, bits - y, 0)))
    return torch.where(y > 0, torch.bitwise_right_shift(x, y) & kept, x)


shift_left = _shift("shift_left", torch.bitwise_left_shift, torch.zeros_like, "x 2^y; bits on the left are lost.")
shift_right_arithmetic = _shift(
    "shift_right_arithmetic",
    torch.bitwise_right_shift,
    lambda x: torch.where(x < 0, torch.full_like(x, -1), torch.zeros_like(x)),
    "x / 2^y, rounded down: copies of the sign move in from the left.",
)
shift_right_logical = _shift(
    "shift_right_logical", _logical, torch.zeros_like, "The bits of x moved to the right; zeros move in from the left."
)


def population_count(x: ArrayLike) -> Tensor:
    """The number of bits that are 1, in the dtype of x."""
    bits = as_tensor("population_count", x)
    return count_ones(bits.to(torch.int64), torch.iinfo(bits.dtype).bits).to(bits.dtype)


def mulhi(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The upper half of the bits of x * y, for integers of up to 32 bits.

    Raises:
        TypeError: x and y have another dtype.
    """
    a, b = promote("mulhi", x, y)
    if a.is_floating_point() or a.is_complex() or a.dtype == torch.bool or a.dtype.itemsize > 4:
        raise TypeError(f"mulhi: expected integers of up to 32 bits, got {a.dtype}.")
    return (a.long() * b.long() >> torch.iinfo(a.dtype).bits).to(a.dtype)


def bitcast_convert_type(operand: ArrayLike, new_dtype: DType) -> Tensor:
    """The same bits as another dtype; a new last axis holds the parts of a wider one, which numbers of it lack.

    Raises:
        ValueError: The last axis has not the length that fills one number of the wider dtype.
    """
    x, dtype = as_tensor("bitcast_convert_type", operand), as_dtype("bitcast_convert_type", new_dtype)
    old, new = x.dtype.itemsize, dtype.itemsize
    if old >= new:
        return x.view(dtype) if old == new else x[..., None].view(dtype)
    if x.ndim == 0 or x.shape[-1] != new // old:
        raise ValueError(
            f"bitcast_convert_type: expected a last axis of {new // old} to make {dtype} of {x.dtype}, got shape "
            f"{tuple(x.shape)}."
        )
    return x.contiguous().view(dtype)[..., 0]


def clz(x: ArrayLike) -> Tensor:
    """The number of bits before the first that is 1, in the dtype of x."""
    value = as_tensor("clz", x)
    width = torch.iinfo(value.dtype).bits
    bits = value.to(torch.int64) & (2**width - 1 if width < 64 else -1)
    for shift in (1, 2, 4, 8, 16, 32):  # every bit below the first
        bits = bits | bits >> shift
    count = torch.where(bits < 0, 0, width - count_ones(bits.clamp(min=0), 64))
    return count.to(value.dtype)


def reduce_precision(operand: ArrayLike, exponent_bits: int, mantissa_bits: int) -> Tensor:
    """Round to numbers of this many bits, in the dtype of the operand: 8 and 7 for bfloat16, 5 and 10 for float16.

    Ties are rounded to even; numbers that are too large become infinite, and those that are too small 0. The derivative
    is that of the identity.
    """
    x = inexact(as_tensor("reduce_precision", operand))
    wide = x if x.dtype in _MANTISSAS else x.float()
    result: Tensor = _rounded(wide, exponent_bits, mantissa_bits)
    return result.to(x.dtype)


_MANTISSAS = {torch.float32: (torch.int32, 23), torch.float64: (torch.int64, 52)}


def _to_bits(x: Tensor, exponent_bits: int, mantissa_bits: int) -> Tensor:
    integer, digits = _MANTISSAS[x.dtype]
    dropped = max(digits - mantissa_bits, 0)
    bits = x.view(integer)
    if dropped:
        odd = bits >> dropped & 1
        bits = (bits + odd + (1 << dropped - 1) - 1) & -(1 << dropped)
    y = torch.where(torch.isfinite(x), bits.view(x.dtype), x)
    bias = 2 ** (exponent_bits - 1) - 1
    largest = 2.0**bias * (2 - 2.0**-mantissa_bits)
    y = torch.where(y.abs() > largest, torch.copysign(torch.full_like(y, torch.inf), y), y)
    return torch.where(y.abs() < 2.0 ** (1 - bias), torch.copysign(torch.zeros_like(y), y), y)


_rounded = custom_jvp(_to_bits, nondiff_argnums=(1, 2))
_rounded.defjvp(lambda e, m, primals, tangents: (_rounded(*primals, e, m), tangents[0]))
