"""Integers, bools and signs."""

from functools import partial

import torch
from torch import Tensor

from funcnet.random import native
from funcnet.random.arguments import INTEGERS, Key, Scalar, Shape, broadcast, cast, check_dtype, check_key, describe
from funcnet.random.basic import uniform
from funcnet.random.generator import WORD, WORDS32, WORDS64, draw, halves
from funcnet.random.special import log
from funcnet.random.units import sample, signs

_SIGN = -(1 << 63)


def bernoulli(key: Key, p: Scalar = 0.5, shape: Shape | None = None) -> Tensor:
    """Draw bools that are True with probability p.

    Args:
        key: A key.
        p: A number, which is taken as float32, or a floating-point tensor; float32 resolves it to 2^-23.
        shape: The shape of the result, to which p broadcasts; by default the shape of p.
    Raises:
        ValueError: p is a number outside [0, 1].
    Example:
        >>> fn.random.bernoulli(fn.random.key(0), 0.95, (3,))
        tensor([ True, False,  True])
    """
    if isinstance(p, int | float) and not 0 <= p <= 1:
        raise ValueError(f"random.bernoulli: expected p to be a probability in [0, 1], got {p}.")
    dtype = p.dtype if isinstance(p, Tensor) else torch.float32
    return sample("bernoulli", key, shape, dtype, torch.lt, p=p)


def rademacher(key: Key, shape: Shape = (), dtype: torch.dtype = torch.int32) -> Tensor:
    """Draw 1 or -1, each with probability 1/2.

    Args:
        key: A key.
        shape: The shape of the result.
        dtype: A signed integer or a floating-point dtype. The 64-bit dtypes give different numbers than the others, as
            in JAX.
    Example:
        >>> fn.random.rademacher(fn.random.key(0), (3,))
        tensor([-1, -1,  1], dtype=torch.int32)
    """
    return cast(draw("rademacher", key, shape, signs(dtype)), dtype)


def geometric(key: Key, p: Scalar, shape: Shape | None = None, dtype: torch.dtype = torch.int32) -> Tensor:
    """Draw the number of trials up to and including the first success, each with probability p.

    x = floor(log(u) / log(1 - p)) + 1, with u uniform on [0, 1), and 1 for u = 0.

    Args:
        key: A key.
        p: A number, which is taken as float32, or a floating-point tensor.
        shape: The shape of the result, to which p broadcasts; by default that of p.
        dtype: An integer dtype.
    Example:
        >>> fn.random.geometric(fn.random.key(0), 0.1, (3,))
        tensor([ 1,  1, 11], dtype=torch.int32)
    """
    check_dtype("geometric", dtype, INTEGERS)
    float_dtype = p.dtype if isinstance(p, Tensor) else torch.float32
    sizes, (p,) = broadcast("geometric", key, shape, float_dtype, p=p)
    u = uniform(key, sizes, float_dtype)
    return (torch.floor(log(u + torch.logical_not(u)) / torch.log1p(-p)) + 1).to(dtype)


def randint(
    key: Key, shape: Shape, minval: int | Tensor, maxval: int | Tensor, dtype: torch.dtype = torch.int32
) -> Tensor:
    """Draw integers with minval <= x < maxval, or minval if that range is empty.

    The integers are remainders of random bits, so their probabilities are not exactly equal. The relative difference is
    below 2^-32 for ranges up to 2^16 (2^32 in the 64-bit dtypes), and up to (maxval - minval) / 2^32 (/ 2^64) beyond.

    Args:
        key: A key.
        shape: The shape of the result.
        minval: The lower bound, an int or an integer tensor that broadcasts to shape.
        maxval: The upper bound, exclusive, likewise. It is clipped to the range of dtype; beyond the range of
            int64, in which bounds are computed, it is an error.
        dtype: An integer dtype. The 64-bit dtypes give different numbers than the others, as in JAX.
    Example:
        >>> fn.random.randint(fn.random.key(0), (4,), 1, 7)
        tensor([2, 1, 3, 2], dtype=torch.int32)
    """
    check_key("randint", key)
    check_dtype("randint", dtype, INTEGERS)
    _check_bound("minval", minval)
    _check_bound("maxval", maxval)
    first, second = halves(key)
    source = WORDS64 if dtype.itemsize == 8 else WORDS32
    higher = draw("randint", first, shape, source)
    if isinstance(minval, int) and isinstance(maxval, int) and dtype.itemsize < 8:
        between = partial(_randint_between, dtype, minval, maxval)
        return draw("randint", second, shape, source, between, torch.int32, higher=higher)
    return draw("randint", second, shape, source, partial(_randint, dtype), higher=higher, minval=minval, maxval=maxval)


def _check_bound(name: str, bound: int | Tensor) -> None:
    number = bound.dtype in INTEGERS if isinstance(bound, Tensor) else isinstance(bound, int)
    if not number:
        raise TypeError(f"random.randint: expected {name} to be an int or an integer tensor, got {describe(bound)}.")
    if isinstance(bound, int) and not _SIGN <= bound <= ~_SIGN:
        raise ValueError(f"random.randint: expected {name} in the range of int64, got {bound}.")


def _randint(dtype: torch.dtype, lower: Tensor, higher: Tensor, minval: Tensor, maxval: Tensor) -> Tensor:
    """Compute (higher, lower word) modulo maxval - minval in unsigned arithmetic that wraps as JAX's does."""
    bits, mask = (64, -1) if dtype.itemsize == 8 else (32, WORD)
    least, most = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    low, high = (bound.clamp(least, min(end, ~_SIGN)) for bound, end in ((minval, most), (maxval, most + 1)))
    span = torch.where(high <= low, 1, high - low)
    shift = _remainder(torch.full_like(span, 1 << bits // 2), span)
    shift = _remainder(shift * shift & mask, span)
    offset = _remainder(higher & mask, span) * shift + _remainder(lower.to(torch.int64) & mask, span)
    return (low + _remainder(offset, span)).to(dtype)  # the offset fits its width: shift is 0 for wide spans


def _randint_between(dtype: torch.dtype, minval: int, maxval: int, lower: Tensor, higher: Tensor) -> Tensor:
    """Compute `_randint` in fewer operations, for bounds that are numbers and dtypes of at most 32 bits."""
    least, most = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    low = min(max(minval, least), most)
    span = max(min(max(maxval, least), most + 1) - low, 1)
    shift = (((1 << 16) % span) ** 2 & WORD) % span
    if library := native.library(lower):
        offset = torch.zeros_like(lower)
        native.call(library.remainders, higher.contiguous(), lower, shift, span, lower.numel(), offset)
        return (offset + low).to(dtype) if dtype == torch.int32 else ((offset.long() & WORD) + low).to(dtype)
    offset = (higher.to(torch.int64) & WORD) % span * shift + (lower.to(torch.int64) & WORD) % span
    return (offset % span + low).to(dtype)


def _remainder(x: Tensor, divisor: Tensor) -> Tensor:
    """Return x mod divisor for the bit patterns of unsigned 64-bit numbers, which torch does not divide."""
    quotient = torch.where(divisor > 0, ((x >> 1) & ~_SIGN) // divisor, 0) << 1  # exact, or too small by 1
    rest = x - quotient * divisor
    return torch.where((rest ^ _SIGN) >= (divisor ^ _SIGN), rest - divisor, rest)
