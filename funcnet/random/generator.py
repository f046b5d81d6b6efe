"""Keys, and the words of the threefry2x32 cipher from which all random numbers are made.

Source:
    Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3,
    https://doi.org/10.1145/2063384.2063405; the layout of keys and counters is that of jax.random.
"""

import ctypes
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.random import native

Key = Tensor
Shape = int | Sequence[int]
Scalar = float | Tensor

_broadcast_shapes: Callable[..., torch.Size] = torch.broadcast_shapes  # which torch leaves untyped

WORD = (1 << 32) - 1
UNSIGNED = {torch.uint8: torch.uint8, torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, *UNSIGNED)


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

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_BLOCK = 1 << 16  # counters at a time, so that their words stay in the second-level cache through all rounds


def key(seed: int | Tensor, *, device: torch.device | str = "cpu") -> Key:
    """Make a key from the low 32 bits of a seed. Use it for one draw, or split it: reusing it repeats the numbers.

    Args:
        seed: An int of at most 64 bits, or a 0-d integer tensor, whose device is that of the key.
        device: The device of the key if the seed is an int, and of everything drawn from it.
    Raises:
        TypeError: The seed is neither.
        ValueError: It has more than 64 bits.
    Example:
        >>> fn.random.key(42)
        tensor([ 0, 42], dtype=torch.int32)
    """
    word = _word("key", "seed", seed, device)
    return torch.stack((torch.zeros_like(word), word))


def split(key: Key, shape: Shape = 2) -> Tensor:
    """Split a key into independent keys. Do not use the original key again.

    Args:
        key: A key.
        shape: The number of keys, or the shape of an array of keys.
    Returns:
        Keys, int32 of shape (*shape, 2).
    Example:
        >>> weights, biases = fn.random.split(fn.random.key(0))
        >>> weights
        tensor([ 1797259609, -1715843330], dtype=torch.int32)
    """
    return draw("split", key, shape, PAIRS)


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
    word = _word("fold_in", "data", data, key.device)
    if native.is_plain(word) and (library := native.library(key, 1)):
        return _native(library, PAIRS, key, word.item() & WORD, 1)[0]
    return torch.stack(_threefry(key, 0, word))


def key_data(key: Key) -> Tensor:
    """View a key, or an array of keys, as the uint32 words that JAX shows. `.view(torch.int32)` is the inverse.

    Example:
        >>> fn.random.key_data(fn.random.key(-1)).tolist()
        [0, 4294967295]
    """
    check_key("key_data", key, batched=True)
    return key.view(torch.uint32)


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
        f: Called with flat tensors, several times for parts of a large result; by default the numbers are the result.
        dtype: The dtype of the parameters that f gets.
        parameters: Numbers, or tensors that broadcast to the shape.
    """
    check_key(operation, key)
    values = {name: _tensor(value, dtype, key.device) for name, value in parameters.items()}
    sizes = as_sizes(operation, _broadcast_shapes(*(v.shape for v in values.values())) if shape is None else shape)
    flat = [v if v.ndim == 0 else expand(operation, name, v, sizes).reshape(-1) for name, v in values.items()]
    size = math.prod(sizes)
    library = native.library(key, size) if source.name else None

    def part(start: int, stop: int) -> Tensor:
        if library:
            numbers = _native(library, source, key, start, stop - start)
        else:
            numbers = source.join(*_encrypt(key, start, stop))
        return f(numbers, *((v if v.ndim == 0 else v[start:stop]).to(dtype) for v in flat)) if f else numbers

    if size <= _BLOCK or key.device.type != "cpu" or torch.compiler.is_compiling() or _torch.is_in_dispatch_mode():
        samples = part(0, size)  # few operations are best on a GPU and when operations are recorded
    else:
        samples = torch.cat([part(start, min(start + _BLOCK, size)) for start in range(0, size, _BLOCK)])
    return samples.reshape((*sizes, *samples.shape[1:]))


def _native(library: ctypes.CDLL, source: Source, key: Key, start: int, size: int) -> Tensor:
    """Compute the numbers of counters with the same upper half in C."""
    numbers = torch.empty((size,) if source.size == 1 else (size, source.size), dtype=source.dtype, device="cpu")
    native.call(library[source.name], *key.tolist(), start, size, numbers)
    return numbers


def as_sizes(operation: str, shape: Shape) -> tuple[int, ...]:
    """Turn a shape into a tuple."""
    sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if any(isinstance(size, (bool, float)) or size < 0 for size in sizes):
        raise ValueError(f"random.{operation}: expected a shape of non-negative ints, got {sizes}.")
    return sizes


def expand(operation: str, name: str, value: Tensor, sizes: Sequence[int]) -> Tensor:
    """Broadcast a parameter to the shape of the result."""
    try:
        return value.expand(tuple(sizes))
    except RuntimeError as error:
        message = f"random.{operation}: expected {name} to broadcast to shape {tuple(sizes)}, got {describe(value)}."
        raise ValueError(f"{message} Give a larger shape, or reshape {name}.") from error


def check_dtype(operation: str, dtype: torch.dtype, known: Iterable[torch.dtype]) -> None:
    """Raise TypeError for a dtype that a sampler does not support."""
    if dtype not in known:
        raise TypeError(f"random.{operation}: expected dtype {', '.join(_name(d) for d in known)}, got {_name(dtype)}.")


def check_key(operation: str, key: Any, *, batched: bool = False) -> None:
    """Raise TypeError for a value that is not a key, and ValueError for a batch of keys."""
    if not isinstance(key, Tensor) or key.dtype != torch.int32 or key.shape[-1:] != (2,):
        expected = f"random.{operation}: expected a key, an int32 tensor of shape (2,), got {describe(key)}."
        raise TypeError(f"{expected} Make one with random.key(seed).")
    if key.ndim != 1 and not batched:
        expected = f"random.{operation}: expected one key, an int32 tensor of shape (2,), got {describe(key)}."
        raise ValueError(f"{expected} For a batch of keys use vmap, for one of them index the batch.")


def describe(value: Any) -> str:
    """Describe an argument in an error message."""
    return f"{_name(value.dtype)} tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


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


def _word(operation: str, name: str, value: int | Tensor, device: torch.device | str) -> Tensor:
    """Make a 0-d int32 tensor of an integer's low 32 bits."""
    if isinstance(value, torch.SymInt):  # a number that jit traces
        value = torch.full((), value, dtype=torch.int64, device=device)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(1 << 63) <= value < 1 << 64:
            raise ValueError(f"random.{operation}: expected {name} to have at most 64 bits, got {value}.")
        return torch.full((), ((value + (1 << 31)) & WORD) - (1 << 31), dtype=torch.int32, device=device)
    if not isinstance(value, Tensor) or value.dtype not in INTEGERS or value.ndim:
        expected = f"random.{operation}: expected {name} to be an int or a 0-d integer tensor, got {describe(value)}."
        raise TypeError(f"{expected} For several of them use vmap.")
    return value.to(torch.int32)


def _tensor(value: Scalar, dtype: torch.dtype, device: torch.device) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=dtype, device=device)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
