"""Distributions, each a function of the generator's words; the algorithms are those of jax.random."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from funcnet.random import native
from funcnet.random.special import erf, erfinv, log
from funcnet.random.arguments import (
    INTEGERS,
    Key,
    Scalar,
    Shape,
    as_sizes,
    check_dtype,
    check_key,
    describe,
    expand,
)
from funcnet.random.generator import UNIT32, UNIT64, WORD, WORDS32, WORDS64, Source, draw, split

# dtype: (the source of numbers, the function from these numbers to multiples of the dtype's epsilon in [0, 1))
_FLOATS: dict[torch.dtype, tuple[Source, Callable[[Tensor], Tensor]]] = {
    torch.float32: (UNIT32, lambda unit: unit),
    torch.float64: (UNIT64, lambda unit: unit),
    torch.float16: (WORDS32, lambda word: ((word >> 6) & 1023).to(torch.float16) * 2.0**-10),
    torch.bfloat16: (WORDS32, lambda word: ((word >> 1) & 127).to(torch.bfloat16) * 2.0**-7),
}
_SIGN, _LEAST = -(1 << 63), -(1 << 31)


def uniform(
    key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32, minval: Scalar = 0.0, maxval: Scalar = 1.0
) -> Tensor:
    """Draw from the uniform distribution on [minval, maxval). Reusing the key repeats the numbers: split it first.

    Args:
        key: A key.
        shape: The shape of the result.
        dtype: float32, float64, float16 or bfloat16.
        minval: The lower bound, a number or a tensor that broadcasts to shape.
        maxval: The upper bound, likewise. For bounds other than 0 and 1, float64 may differ from JAX by rounding.
    Raises:
        ValueError: minval and maxval are numbers, and minval is the larger one.
    Example:
        >>> fn.random.uniform(fn.random.key(0), (3,))
        tensor([0.9477, 0.9786, 0.3323])
    """
    if not isinstance(minval, Tensor) and not isinstance(maxval, Tensor) and (minval, maxval) == (0, 1):
        return _sample("uniform", key, shape, dtype, lambda unit: unit)
    _check_order("uniform", "minval", minval, "maxval", maxval)
    return _sample("uniform", key, shape, dtype, _between, minval=minval, maxval=maxval)


def normal(key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw from the normal distribution of mean 0 and variance 1. Reusing the key repeats the numbers: split it first.

    x = sqrt(2) erfinv(u), with u uniform on (-1, 1).

    Args:
        key: A key.
        shape: The shape of the result.
        dtype: float32, float64, float16 or bfloat16.
    Example:
        >>> fn.random.normal(fn.random.key(0), (3,))
        tensor([ 1.6226,  2.0253, -0.4336])
    """
    return _sample("normal", key, shape, dtype, lambda unit: _quantile(2 * unit - (1 - torch.finfo(dtype).eps / 2)))


def truncated_normal(
    key: Key, lower: Scalar, upper: Scalar, shape: Shape | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw from the normal distribution of mean 0 and variance 1 conditioned on lower < x < upper.

    x = sqrt(2) erfinv(u), with u uniform between erf(lower / sqrt(2)) and erf(upper / sqrt(2)).

    Args:
        key: A key.
        lower: The lower bound, a number or a tensor.
        upper: The upper bound, likewise.
        shape: The shape of the result, to which the bounds broadcast; by default their common shape.
        dtype: float32, float64, float16 or bfloat16.
    Raises:
        ValueError: lower and upper are numbers, and lower is the larger one.
    Example:
        >>> fn.random.truncated_normal(fn.random.key(0), -1.0, 1.0, (3,))
        tensor([ 0.8619,  0.9413, -0.2910])
    """
    _check_order("truncated_normal", "lower", lower, "upper", upper)
    return _sample("truncated_normal", key, shape, dtype, _truncated_normal, lower=lower, upper=upper)


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
    return _sample("bernoulli", key, shape, dtype, torch.lt, p=p)


def exponential(key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw from the exponential distribution of mean 1: x = -log(1 - u), with u uniform on [0, 1).

    Example:
        >>> fn.random.exponential(fn.random.key(0), (3,))
        tensor([2.9501, 3.8434, 0.4039])
    """
    return _sample("exponential", key, shape, dtype, lambda unit: -torch.log1p(-unit))


def gumbel(key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw from the standard Gumbel distribution: x = -log(-log u), with u uniform on (0, 1).

    Example:
        >>> fn.random.gumbel(fn.random.key(0), (3,))
        tensor([ 2.9234,  3.8326, -0.0969])
    """
    return _sample("gumbel", key, shape, dtype, lambda unit: -log(-log(unit + torch.finfo(dtype).tiny)))


def categorical(key: Key, logits: Tensor, axis: int = -1, shape: Shape | None = None) -> Tensor:
    """Draw categories, as int64 indices, with probabilities softmax(logits): argmax(logits + Gumbel noise).

    Args:
        key: A key.
        logits: Unnormalised log-probabilities along `axis`.
        axis: The axis of the categories.
        shape: The shape of the result, to which the logits' shape without `axis` (the default) broadcasts.
    Example:
        >>> fn.random.categorical(fn.random.key(0), torch.tensor([0.0, 9.0]), shape=(4,))
        tensor([1, 1, 1, 1])
    """
    check_key("categorical", key)
    if not isinstance(logits, Tensor):
        raise TypeError(f"random.categorical: expected logits to be a tensor, got {describe(logits)}.")
    check_dtype("categorical", logits.dtype, _FLOATS)
    categories, axis = logits.size(axis), axis if axis < 0 else axis - logits.ndim
    noise = list(as_sizes("categorical", logits.movedim(axis, 0).shape[1:] if shape is None else shape))
    noise.insert(len(noise) + 1 + axis, categories)
    return (gumbel(key, noise, logits.dtype) + expand("categorical", "logits", logits, noise)).argmax(axis)


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
    first, second = split(key)
    source = WORDS64 if dtype.itemsize == 8 else WORDS32
    higher = draw("randint", first, shape, source)
    return draw("randint", second, shape, source, partial(_randint, dtype), higher=higher, minval=minval, maxval=maxval)


def permutation(key: Key, x: int | Tensor, axis: int = 0, *, independent: bool = False) -> Tensor:
    """Shuffle the integers from 0 to x - 1 (int64), or a tensor along an axis.

    Args:
        key: A key.
        x: The number of integers, or a tensor.
        axis: The axis along which to shuffle the tensor.
        independent: Whether to shuffle each line along the axis independently instead of whole slices.
    Example:
        >>> fn.random.permutation(fn.random.key(0), 5)
        tensor([0, 1, 4, 3, 2])
    """
    check_key("permutation", key)
    if isinstance(x, int):
        return _shuffle(key, as_sizes("permutation", x), 0)
    if not isinstance(x, Tensor) or x.ndim == 0:
        raise TypeError(f"random.permutation: expected an int, or a tensor of at least one axis, got {describe(x)}.")
    if independent:
        return x.gather(axis, _shuffle(key, x.shape, axis))
    return x.index_select(axis, _shuffle(key, (x.size(axis),), 0))


def _check_order(operation: str, lower: str, low: Scalar, upper: str, high: Scalar) -> None:
    """Refuse bounds in the wrong order, and NaN; the values of tensors are not read."""
    if isinstance(low, int | float) and isinstance(high, int | float) and not low <= high:
        raise ValueError(f"random.{operation}: expected {lower} to be at most {upper}, got {low} and {high}.")


def _sample(
    operation: str, key: Key, shape: Shape | None, dtype: torch.dtype, f: Callable[..., Tensor], **parameters: Scalar
) -> Tensor:
    """Draw f(unit, *parameters), with unit uniform on the multiples of the dtype's epsilon in [0, 1)."""
    check_dtype(operation, dtype, _FLOATS)
    source, scale = _FLOATS[dtype]
    return draw(operation, key, shape, source, lambda numbers, *rest: f(scale(numbers), *rest), dtype, **parameters)


def _between(unit: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Map [0, 1) to [low, high) as XLA does: in float32 and float16, unit * span + low is rounded only once."""
    wide = torch.float64 if unit.dtype in (torch.float32, torch.float16) else unit.dtype
    return torch.maximum(low, (unit.to(wide) * (high - low).to(wide) + low.to(wide)).to(unit.dtype))


def _truncated_normal(unit: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    root, infinity = torch.full_like(lower, math.sqrt(2)), torch.full_like(lower, math.inf)
    x = _quantile(_between(unit, erf(lower / root), erf(upper / root)))
    return x.clamp(torch.nextafter(lower.detach(), infinity), torch.nextafter(upper.detach(), -infinity))


def _quantile(u: Tensor) -> Tensor:
    """Compute sqrt(2) erfinv(u), in float32 for the narrower dtypes."""
    wide = u if u.dtype == torch.float64 else u.to(torch.float32)
    return u.new_full((), math.sqrt(2)) * erfinv(wide).to(u.dtype)


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


def _remainder(x: Tensor, divisor: Tensor) -> Tensor:
    """Return x mod divisor for the bit patterns of unsigned 64-bit numbers, which torch does not divide."""
    quotient = torch.where(divisor > 0, ((x >> 1) & ~_SIGN) // divisor, 0) << 1  # exact, or too small by 1
    rest = x - quotient * divisor
    return torch.where((rest ^ _SIGN) >= (divisor ^ _SIGN), rest - divisor, rest)


def _shuffle(key: Key, shape: Sequence[int], axis: int) -> Tensor:
    """Shuffle indices along an axis by sorting random words, in enough rounds that equal words hardly matter."""
    lines = [1] * len(shape)
    lines[axis] = shape[axis]
    index = torch.arange(shape[axis], device=key.device).reshape(lines).expand(*shape)
    for _ in range(math.ceil(3 * math.log(max(1, math.prod(shape))) / math.log(WORD))):
        key, subkey = split(key)
        index = _sort(subkey, index, axis)
    return index


def _sort(key: Key, index: Tensor, axis: int) -> Tensor:
    """Sort indices by random words, stably."""
    if index.ndim == 1 and index.numel() <= WORD and (library := native.library(key, index.numel())):
        words = torch.empty((2, index.numel()), dtype=torch.int32, device="cpu")
        native.call(library.shuffle, *key.tolist(), index.numel(), words[0], index, words[1], torch.empty_like(index))
        return index
    words = draw("permutation", key, index.shape, WORDS32) ^ _LEAST  # orders int32 as if unsigned
    return index.gather(axis, words.argsort(dim=axis, stable=True))
