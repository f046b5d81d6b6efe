"""Random numbers in C: the numbers of the torch operations, bit for bit, in one pass over memory.

Twenty rounds of the cipher are 140 torch operations, and each costs as much as a thousand numbers in C. So draws outside
of traces, whose key is a plain tensor on the CPU, run in C, as soon as a process draws enough to pay for the library.
The C compiler belongs to a higher layer, which calls `install`; without it all draws are torch operations.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.random.c_text import c_text

_ENOUGH = 200  # draws that take as much time as loading the library
_NUMBERS = 1 << 13  # numbers that take as much time as the operations of a draw

_loaders: list[Callable[[str], ctypes.CDLL | None]] = []
_draws = 0.0  # draws of this process before it loads the library


def install(loader: Callable[[str], ctypes.CDLL | None]) -> None:
    """Set the function that compiles and loads a C text, or returns None where that is not possible."""
    _loaders[:] = [loader]
    _library.cache_clear()


def library(tensor: Tensor, size: int = 0) -> ctypes.CDLL | None:
    """Return the library if a draw of a size can run in C: if `tensor` is plain, and there were enough draws before."""
    global _draws
    if not is_plain(tensor):
        return None
    if _draws < _ENOUGH:
        _draws += size and 1 + size / _NUMBERS
        return None
    return _library()


def call(function: Callable[..., None], *arguments: Tensor | int) -> None:
    """Call a function of the library with the addresses of contiguous tensors and with numbers, each of 64 bits."""
    function(*[ctypes.c_int64(a if isinstance(a, int) else a.data_ptr()) for a in arguments])


def is_plain(tensor: Tensor) -> bool:
    """Tell whether C can read the values of a tensor, and no transformation, trace or derivative needs to see it."""
    return (
        not torch.compiler.is_compiling()
        and type(tensor) is Tensor
        and tensor.is_cpu
        and not tensor.requires_grad
        and not _torch.is_wrapped(tensor)
        and not _torch.is_in_dispatch_mode()
        and not torch.jit.is_tracing()
    )


@cache
def _library() -> ctypes.CDLL | None:
    return _loaders[0](c_text()) if _loaders and sys.byteorder == "little" else None
