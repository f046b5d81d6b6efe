"""Conversion of operands to tensors, and the dtypes of results: jax.numpy's rules with 64-bit types switched off.

The dtype of a result follows the tensors. Python numbers are weak: they take the dtype of the tensors next to them. On
their own, numbers, lists and numpy arrays become float32, int32, complex64 and bool. float64 and int64 tensors keep
their dtype, so float64 programs are float64 tensors in and out.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.numpy.unsigned import promoted, widened
from funcnet.tree.conversion import arrays_as_tensors, is_array, is_number

ArrayLike = Any  # a tensor, a number, a numpy array, or nested lists of these
DType = Any  # a torch.dtype, float, int, bool, complex, a numpy dtype, or the name of one

_NUMBERS: dict[type, torch.dtype] = {
    bool: torch.bool,
    int: torch.int32,
    float: torch.float32,
    complex: torch.complex64,
}
_NARROW = {torch.float64: torch.float32, torch.int64: torch.int32, torch.complex128: torch.complex64}
_WIDE = {narrow: wide for wide, narrow in _NARROW.items()}
_KINDS = (torch.bool, torch.int32, torch.float32, torch.complex64)
_COMPLEX = {torch.float64: torch.complex128, torch.float16: torch.complex64, torch.bfloat16: torch.complex64}


def as_dtype(operation: str, dtype: DType) -> torch.dtype:
    """Return a dtype of torch for one of torch, numpy or Python, or the name of one.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    if isinstance(dtype, type) and dtype in _NUMBERS:
        return _NUMBERS[dtype]
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", ""))
    found = getattr(torch, str(name).rstrip("_"), None)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"{operation}: expected a dtype such as jnp.float32, float or 'int32', got {dtype!r}.")
    return found


def as_tensor(operation: str, x: ArrayLike, like: Tensor | None = None) -> Tensor:
    """Return a tensor for a number, a numpy array, or nested lists, on the device of another one.

    Raises:
        TypeError: x is none of these; the message names the operation.
    """
    if isinstance(x, Tensor):
        return x
    made = _made(operation, x)
    return made if like is None else made.to(like.device)


def converted(operation: str, x: ArrayLike, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """Return an operand in a dtype: numbers, lists of them and arrays keep the digits that 32 bits do not hold."""
    if isinstance(x, Tensor):
        return x.to(dtype)
    made = _exact(x, dtype)
    return (as_tensor(operation, x) if made is None else made).to(device=device, dtype=dtype)


def as_like(operation: str, x: ArrayLike, like: Tensor) -> Tensor:
    """Return an operand in the dtype of a tensor, with all digits; numbers and arrays on its device, too."""
    return converted(operation, x, like.dtype, like.device)


def _exact(x: ArrayLike, dtype: torch.dtype) -> Tensor | None:
    """Return a tensor with all digits of a number, a list of numbers or an array; None for other operands."""
    if is_weak(x):
        own = _number_dtype(x)
        fits = dtype in _WIDE.values() or dtype == torch.float32
        return torch.full((), x, dtype=dtype if fits and _kind(own) <= _kind(dtype) else _WIDE.get(own, own))
    if is_array(x):
        return _wide_array(x)
    if isinstance(x, list | tuple) and all(type(leaf) in _NUMBERS for leaf in _leaves(x)):
        own = _list_dtype(x)
        return torch.tensor(x, dtype=_WIDE.get(own, own))
    return None


def _made(operation: str, x: ArrayLike) -> Tensor:
    if is_number(x) and not is_array(x):
        return torch.full((), x, dtype=_number_dtype(x))
    if is_array(x):
        return _from_array(x)
    if isinstance(x, list | tuple):
        return _from_list(operation, x)
    raise TypeError(f"{operation}: expected a tensor, a number, a numpy array or a list of these, got {x!r}.")


def _number_dtype(x: Any) -> torch.dtype:
    return next(_NUMBERS[kind] for kind in (bool, int, float, complex) if isinstance(x, kind))


def _from_array(x: Any) -> Tensor:
    tensor = _wide_array(x)
    return tensor.to(_NARROW.get(tensor.dtype, tensor.dtype))


def _wide_array(x: Any) -> Tensor:
    tensor: Tensor = torch.tensor(x) if not hasattr(x, "__setitem__") else arrays_as_tensors(x)
    return tensor


def _from_list(operation: str, values: Any) -> Tensor:
    if all(type(leaf) in _NUMBERS for leaf in _leaves(values)):
        return torch.tensor(values, dtype=_list_dtype(values))
    return torch.stack(promote(operation, *values))


def _list_dtype(numbers: Any) -> torch.dtype:
    return max((_NUMBERS[type(leaf)] for leaf in _leaves(numbers)), key=_KINDS.index, default=torch.float32)


def _leaves(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def is_weak(x: ArrayLike) -> bool:
    """Tell whether an operand is a Python number, which takes the dtype of the tensors next to it."""
    return is_number(x) and not is_array(x)


def result_type(*operands: Any) -> torch.dtype:
    """Return the dtype of an operation on tensors, numbers and dtypes, as jax.numpy.result_type."""
    strong = [_dtype_of(x) for x in operands if not is_weak(x)]
    weak = max((_number_dtype(x) for x in operands if is_weak(x)), key=_KINDS.index, default=torch.bool)
    if not strong:
        return weak
    return _with_weak(reduce(promoted, strong), weak)


def _dtype_of(x: Any) -> torch.dtype:
    is_dtype = isinstance(x, torch.dtype | type | str) or type(x).__name__.endswith("DType")
    return as_dtype("result_type", x) if is_dtype else as_tensor("result_type", x).dtype


def _with_weak(dtype: torch.dtype, weak: torch.dtype) -> torch.dtype:
    if _kind(weak) <= _kind(dtype):
        return dtype
    return _COMPLEX.get(dtype, weak) if weak.is_complex else weak


def _kind(dtype: torch.dtype) -> int:
    if dtype == torch.bool:
        return 0
    return 3 if dtype.is_complex else 2 if dtype.is_floating_point else 1


def promote(operation: str, *operands: ArrayLike) -> tuple[Tensor, ...]:
    """Return the operands as tensors of the common dtype, numbers on the device of the first tensor."""
    alike = _beside_one_dtype(operands)
    if alike is not None:
        return alike
    first = next((x for x in operands if tree.is_tensor(x)), None)
    operands = tuple(x if is_weak(x) else as_tensor(operation, x, first) for x in operands)
    dtype, device = result_type(*operands), None if first is None else first.device
    return tuple(
        torch.full((), x, dtype=dtype, device=device) if is_weak(x) else x.to(dtype)  # keeps a float's 53 bits
        for x in operands
    )


def _beside_one_dtype(operands: tuple[ArrayLike, ...]) -> tuple[Tensor, ...] | None:
    """Promote the usual operands quickly: tensors of one dtype and, if it is a float's, numbers."""
    tensors = [x for x in operands if isinstance(x, Tensor)]
    if not tensors or any(x.dtype != tensors[0].dtype for x in tensors):
        return None
    if len(tensors) == len(operands):
        return operands
    first = tensors[0]
    if not first.is_floating_point() or any(x.__class__ not in (int, float, Tensor) for x in operands):
        return None
    dtype, device = first.dtype, first.device
    return tuple(x if isinstance(x, Tensor) else torch.full((), x, dtype=dtype, device=device) for x in operands)


def floating(operation: str, *operands: ArrayLike) -> tuple[Tensor, ...]:
    """Return the operands as tensors of the common dtype, integers and bools as float32."""
    exact = [widened(x) if isinstance(x, Tensor) else x for x in operands]  # int32 cannot hold a large uint32
    return tuple(inexact(x) for x in promote(operation, *exact))


def inexact(x: Tensor) -> Tensor:
    """Convert integers and bools to float32."""
    return x if x.is_floating_point() or x.is_complex() else x.to(torch.float32)


def conjugated(x: Tensor) -> Tensor:
    """The complex conjugate; x if it is real."""
    return torch.conj_physical(x) if x.is_complex() else x


def counted(x: Tensor) -> Tensor:
    """Convert bools and small integers to int32, the dtype of their sums."""
    return x if _kind(x.dtype) > 1 or x.dtype in (torch.int32, torch.int64) else x.to(torch.int32)


def named(f: Callable[..., Any], name: str, doc: str) -> Any:
    """Give a function made from a table the name and place of its own, so that it prints and pickles by them."""
    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return f
