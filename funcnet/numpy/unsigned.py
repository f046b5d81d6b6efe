"""uint16 and uint32, for which torch has few operations: they are computed in wider integers and wrap around."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64}
_SIZES = {torch.uint8: 8, torch.uint16: 16, torch.uint32: 32}


def promoted(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    """Return the common dtype of two tensors: of unsigned and signed integers the signed one that holds both.

    For uint32 that is int32, as in JAX, where 64-bit integers are switched off.
    """
    if a == b or not {a, b} & _WIDER.keys():
        return torch.promote_types(a, b)
    a, b = (a, b) if a in _WIDER else (b, a)
    if b == torch.bool:
        return a
    if b in _SIZES:
        return max(a, b, key=_SIZES.__getitem__)
    return b if b.is_floating_point or b.is_complex or b.itemsize >= 4 else torch.int32


def wider(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which numbers of a dtype are computed."""
    return _WIDER.get(dtype, dtype)


def widened(x: Tensor) -> Tensor:
    """Return uint16 and uint32 as integers for which torch has all operations, others unchanged."""
    return x.to(wider(x.dtype))


def in_wider(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a function of tensors of one dtype compute uint16 and uint32 in wider integers."""

    def function(x: Tensor, *others: Any) -> Tensor:
        if x.dtype not in _WIDER:
            return f(x, *others)
        result = f(widened(x), *[widened(y) if isinstance(y, Tensor) else y for y in others])
        return result.to(x.dtype) if result.dtype == _WIDER[x.dtype] else result

    return function
