"""Checks of arguments, and their common shape."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Key = Tensor
Shape = int | Sequence[int]
Scalar = float | Tensor

_broadcast_shapes: Callable[..., torch.Size] = torch.broadcast_shapes  # which torch leaves untyped

UNSIGNED = {torch.uint8: torch.uint8, torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, *UNSIGNED)
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def as_sizes(operation: str, shape: Shape) -> tuple[int, ...]:
    """Turn a shape into a tuple."""
    if isinstance(shape, tuple) and not shape:
        return ()
    sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if any(isinstance(size, (bool, float)) or size < 0 for size in sizes):
        raise ValueError(f"random.{operation}: expected a shape of non-negative ints, got {sizes}.")
    return sizes


def expand(operation: str, name: str, value: Tensor, sizes: Sequence[int]) -> Tensor:
    """Broadcast a parameter to the shape of the result."""
    if value.shape == tuple(sizes):
        return value
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


def check_positive(operation: str, **numbers: Scalar) -> None:
    """Raise ValueError for a number that is not positive; the values of tensors are not read."""
    for name, number in numbers.items():
        if isinstance(number, int | float) and not number > 0:
            raise ValueError(f"random.{operation}: expected {name} to be positive, got {number}.")


def describe(value: Any) -> str:
    """Describe an argument in an error message."""
    return f"{_name(value.dtype)} tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


def common_sizes(operation: str, shape: Shape | None, parameters: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of a result, by default the common shape of its parameters."""
    if shape is not None:
        return as_sizes(operation, shape)
    shapes = [tuple(p.shape) for p in parameters.values() if isinstance(p, Tensor)]
    try:
        return tuple(_broadcast_shapes(*shapes))
    except RuntimeError as error:
        given = ", ".join(f"{name} of shape {shape}" for name, shape in zip(parameters, shapes, strict=False))
        raise ValueError(f"random.{operation}: expected parameters that broadcast together, got {given}.") from error


def as_tensor(value: Scalar, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Turn a number into a tensor; tensors are returned unchanged."""
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=dtype, device=device)


def broadcast(
    operation: str, key: Key, shape: Shape | None, dtype: torch.dtype, **parameters: Scalar
) -> tuple[tuple[int, ...], list[Tensor]]:
    """Return the shape of a result, and its parameters as tensors of this shape and of a floating-point dtype."""
    check_key(operation, key)
    check_dtype(operation, dtype, FLOATS)
    sizes = common_sizes(operation, shape, parameters)
    tensors = {name: cast(as_tensor(value, dtype, key.device), dtype) for name, value in parameters.items()}
    return sizes, [expand(operation, name, value, sizes) for name, value in tensors.items()]


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert to a dtype; a tensor that has it is returned without the costs of a call of torch."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
