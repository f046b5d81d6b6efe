"""Keys, and the words of the threefry2x32 cipher from which all random numbers are made.

Source:
    Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3,
    https://doi.org/10.1145/2063384.2063405; the layout of keys and counters is that of jax.random.
"""

import ctypes
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.random import native
from funcnet.random.arguments import (
    INTEGERS,
    UNSIGNED,
    Key,
    Scalar,
    Shape,
    as_tensor,
    check_dtype,
    check_key,
    common_sizes,
    describe,
    expand,
)

WORD = (1 << 32) - 1


class Source(NamedTuple):
    """Numbers made of the two words x, y of each counter."""

    name: str  # the function of the C library that computes the same numbers; "" for none
    dtype: torch.dtype
    size: int  # numbers per counter
    join: Callable[[Tensor, Tensor], Tensor]


def _unit32(x: Tensor, y: Tensor) -> Tensor:
    return (((x ^ y) >> 9) & ((1 << 23) - 1)).to(torch.float32) * 2.0**-23


def _unit64(x: Tensor, y: Tensor) -> Tensor:
    return ((_join64(x, y) >> 12) & ((1 << 52) - 1)).to(torch.float64) * 2.0**-52


def _join64(x: Tensor, y: Tensor) -> Tensor:
    return (x.to(torch.int64) << 32) | (y.to(torch.int64) & WORD)


PAIRS = Source("pairs", torch.int32, 2, lambda x, y: torch.stack((x, y), -1))
WORDS32 = Source("words32", torch.int32, 1, torch.bitwise_xor)
WORDS64 = Source("words64", torch.int64, 1, _join64)
UNIT32 = Source("unit32", torch.float32, 1, _unit32)  # multiples of 2^-23 in [0, 1)
UNIT64 = Source("unit64", torch.float64, 1, _unit64)  # multiples of 2^-52 in [0, 1)
SYMMETRIC32 = Source("symmetric32", torch.float32, 1, lambda x, y: 2 * _unit32(x, y) - (1 - 2.0**-24))  # in (-1, 1)
SYMMETRIC64 = Source("symmetric64", torch.float64, 1, lambda x, y: 2 * _unit64(x, y) - (1 - 2.0**-53))

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_BLOCK = 1 << 16  # counters at a time, so that their words stay in the second-level cache through all rounds


def key(seed: int | Tensor, *, impl: str | None = None, device: torch.device | str = "cpu") -> Key:
    """Make a key from a seed. Use it for one draw, or split it: reusing it repeats the numbers.

    The words of the key are the upper and the lower half of a 64-bit seed. A seed that fits into 32 bits, signed or
    unsigned, has the upper half 0: key(-1) is the key of JAX's default, in which integers have 32 bits.

    Args:
        seed: An int of at most 64 bits, or a 0-d integer tensor, whose device is that of the key.
        impl: None or "threefry2x32", the only generator.
        device: The device of the key if the seed is an int, and of everything drawn from it.
    Raises:
        TypeError: The seed is neither.
        ValueError: It has more than 64 bits, or impl is another generator.
    Example:
        >>> fn.random.key(42)
        tensor([ 0, 42], dtype=torch.int32)
        >>> fn.random.key(2**32)
        tensor([1, 0], dtype=torch.int32)
    """
    if impl not in (None, "threefry2x32"):
        raise ValueError(f"random.key: expected impl to be None or 'threefry2x32', got {impl!r}.")
    number = _number("key", "seed", seed, device)
    if isinstance(number, int):
        high = 0 if -(1 << 31) <= number <= WORD else number >> 32
        return torch.tensor([_signed(high), _signed(number)], dtype=torch.int32, device=device)
    low = number.to(torch.int64)
    upper = torch.where((low >> 31) == -1, 0, low >> 32) if number.dtype.is_signed else low >> 32
    return torch.stack((upper, low)).to(torch.int32)


PRNGKey = key


def split(key: Key, num: Shape = 2) -> Tensor:
    """Split a key into independent keys. Do not use the original key again.

    Args:
        key: A key.
        num: The number of keys, or the shape of an array of keys.
    Returns:
        Keys, int32 of shape (*num, 2).
    Example:
        >>> weights, biases = fn.random.split(fn.random.key(0))
        >>> weights
        tensor([ 1797259609, -1715843330], dtype=torch.int32)
    """
    return draw("split", key, num, PAIRS)


def halves(key: Key) -> tuple[Tensor, ...]:
    """Split a key that has been checked into the two of split(key), in half the time."""
    library = native.library(key)
    return (_native(library, PAIRS, key, 0, 2) if library else split(key)).unbind()


def fold_in(key: Key, data: int | Tensor) -> Key:
    """Make a key from a key and a number such as a step count; different numbers give independent keys.

    Args:
        key: A key, which should not be used for anything else.
        data: An int of at most 64 bits, or a 0-d integer tensor (also inside vmap or scan); only the low 32 bits are
            used.
    Example:
        >>> fn.random.fold_in(fn.random.key(0), 7)
        tensor([-1578141107,   292468403], dtype=torch.int32)
    """
    check_key("fold_in", key)
    number = _number("fold_in", "data", data, key.device)
    if (isinstance(number, int) or native.is_plain(number)) and (library := native.library(key, 1)):
        return _native(library, PAIRS, key, int(number) & WORD, 1)[0]
    low = torch.full((), _signed(number), device=key.device) if isinstance(number, int) else number
    return torch.stack(_threefry(key, 0, low.to(torch.int32)))


def key_data(key: Key) -> Tensor:
    """View a key, or an array of keys, as the uint32 words that JAX shows. `wrap_key_data` is the inverse.

    Example:
        >>> fn.random.key_data(fn.random.key(-1)).tolist()
        [0, 4294967295]
    """
    check_key("key_data", key, batched=True)
    return key.view(torch.uint32)


def wrap_key_data(data: Tensor) -> Key:
    """View uint32 words of shape (..., 2) as keys.

    Example:
        >>> fn.random.wrap_key_data(torch.tensor([0, 42], dtype=torch.uint32))
        tensor([ 0, 42], dtype=torch.int32)
    """
    if not isinstance(data, Tensor) or data.dtype != torch.uint32 or data.shape[-1:] != (2,):
        raise TypeError(f"random.wrap_key_data: expected a uint32 tensor of shape (..., 2), got {describe(data)}.")
    return data.view(torch.int32)


def clone(key: Key) -> Key:
    """Copy a key. In JAX this marks a deliberate reuse; here it has the same numbers and no mark.

    Example:
        >>> fn.random.clone(fn.random.key(42))
        tensor([ 0, 42], dtype=torch.int32)
    """
    check_key("clone", key, batched=True)
    return key.clone()


def bits(key: Key, shape: Shape = (), dtype: torch.dtype = torch.uint32) -> Tensor:
    """Draw random bits as uint8, uint16, uint32 or uint64. Reusing the key repeats them: split it first.

    torch has few operations for unsigned dtypes; `.view(torch.int32)` reinterprets the same bits as signed integers.

    Example:
        >>> fn.random.bits(fn.random.key(0), (2,)).tolist()
        [4070199207, 4202968722]
    """
    check_dtype("bits", dtype, UNSIGNED)
    words = draw("bits", key, shape, WORDS64 if dtype == torch.uint64 else WORDS32)
    return words.to(UNSIGNED[dtype]).view(dtype)


def draw(
    operation: str,
    key: Key,
    shape: Shape | None,
    source: Source,
    f: Callable[..., Tensor] | None = None,
    dtype: torch.dtype = torch.int64,
    **parameters: Scalar,
) -> Tensor:
    """Compute f(numbers, *parameters) elementwise from the numbers of a source.

    Args:
        operation: The public function, for error messages.
        key: A key.
        shape: The shape of the result; None for the common shape of the parameters.
        source: The numbers; if there are several per counter, they are a last axis.
        f: Elementwise, called several times for parts of a large result; by default the numbers are the result.
        dtype: The dtype of the parameters that f gets.
        parameters: Numbers, or tensors that broadcast to the shape.
    """
    check_key(operation, key)
    sizes = common_sizes(operation, shape, parameters)
    size = math.prod(sizes)
    library = native.library(key, size) if source.name else None
    if library and size <= _BLOCK and not parameters:
        numbers = _native(library, source, key, 0, size, sizes)
        return f(numbers) if f else numbers
    values = {name: as_tensor(value, dtype, key.device) for name, value in parameters.items()}
    flat = [v if v.ndim == 0 else expand(operation, name, v, sizes).reshape(-1) for name, v in values.items()]

    def part(start: int, stop: int) -> Tensor:
        if library:
            numbers = _native(library, source, key, start, stop - start)
        else:
            numbers = source.join(*_encrypt(key, start, stop))
        return f(numbers, *((v if v.ndim == 0 else v[start:stop]).to(dtype) for v in flat)) if f else numbers

    if size <= _BLOCK or key.device.type != "cpu" or torch.compiler.is_compiling() or _torch.is_dispatching():
        samples = part(0, size)  # few operations are best on a GPU and when operations are recorded
    else:
        samples = torch.cat([part(start, min(start + _BLOCK, size)) for start in range(0, size, _BLOCK)])
    return samples.reshape((*sizes, *samples.shape[1:]))


def draw_each(keys: Tensor, source: Source) -> Tensor:
    """Compute the first number of a source for each of several keys, of shape (*, 2)."""
    return source.join(*_threefry(keys, 0, torch.zeros((), dtype=torch.int32, device=keys.device)))


def draw_at(key: Key, counter: Tensor, source: Source) -> Tensor:
    """Compute the numbers of a source at some counters, int64."""
    return source.join(*_threefry(key, (counter >> 32).to(torch.int32), counter.to(torch.int32)))


def split_each(keys: Tensor, num: int) -> Tensor:
    """Split each of several keys, of shape (*, 2), into keys of shape (*, num, 2)."""
    return PAIRS.join(*_threefry(keys.unsqueeze(-2), 0, torch.arange(num, dtype=torch.int32, device=keys.device)))


def _native(
    library: ctypes.CDLL, source: Source, key: Key, start: int, size: int, sizes: tuple[int, ...] | None = None
) -> Tensor:
    """Compute the numbers of counters with the same upper half in C; their shape is `sizes`, by default (size,)."""
    shape = (size,) if sizes is None else sizes
    numbers = torch.zeros(shape if source.size == 1 else (*shape, source.size), dtype=source.dtype, device="cpu")
    native.call(getattr(library, source.name), *key.tolist(), start, size, numbers)
    return numbers


def _encrypt(key: Key, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Encrypt the counters from start to stop - 1."""
    counter = torch.arange(start, stop, device=key.device)
    return _threefry(key, (counter >> 32).to(torch.int32), counter.to(torch.int32))


def _threefry(key: Key, high: Tensor | int, low: Tensor) -> tuple[Tensor, Tensor]:
    """Encrypt the counters (high, low): twenty rounds of add, rotate, xor in wrapping int32, with key injections."""
    a, b = key.unbind(-1)
    schedule = (a, b, a ^ b ^ 0x1BD11BDA)
    x, y = high + a, low + b
    for i in range(5):
        for distance in _ROTATIONS[i % 2]:
            x = x + y
            y = x ^ _rotate_left(y, distance)
        x = x + schedule[(i + 1) % 3]
        y = y + (schedule[(i + 2) % 3] + (i + 1))
    return x, y


def _rotate_left(word: Tensor, distance: int) -> Tensor:
    # Shifting int32 right copies the sign, which the mask removes; alpha shifts left and adds in one pass over memory.
    return torch.add((word >> (32 - distance)) & ((1 << distance) - 1), word, alpha=1 << distance)


def _number(operation: str, name: str, value: int | Tensor, device: torch.device | str) -> int | Tensor:
    """Check a number, and turn one that jit traces into a tensor."""
    if isinstance(value, torch.SymInt):
        return torch.full((), value, dtype=torch.int64, device=device)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(1 << 63) <= value < 1 << 64:
            raise ValueError(f"random.{operation}: expected {name} to have at most 64 bits, got {value}.")
        return value
    if not isinstance(value, Tensor) or value.dtype not in INTEGERS or value.ndim:
        expected = f"random.{operation}: expected {name} to be an int or a 0-d integer tensor, got {describe(value)}."
        raise TypeError(f"{expected} For several of them use vmap.")
    return value


def _signed(number: int) -> int:
    """Return the int32 with the low 32 bits of a number."""
    return ((number + (1 << 31)) & WORD) - (1 << 31)
