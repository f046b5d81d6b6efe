"""Random numbers in C: the numbers of the torch operations, bit for bit, in one pass over memory.

Twenty rounds of the cipher are 140 torch operations, and each costs as much as a thousand numbers in C. So draws with a
plain key on the CPU, outside of transformations and traces, run in C as soon as a process draws enough to pay for the
library. Without a C compiler all draws are torch operations.
"""

import ctypes
import sys
import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import toolchain
from funcnet.random.c_text import c_text

_ENOUGH = 200  # draws that take as much time as loading the library
_NUMBERS = 1 << 13  # numbers that take as much time as the operations of a draw

_draws = 0.0  # draws of this process before it loads the library


def library(tensor: Tensor, size: int = 0) -> ctypes.CDLL | None:
    """Return the library if a draw of a size can run in C: if `tensor` is plain, and there were enough draws before."""
    global _draws
    if not is_plain(tensor):
        return None
    if _draws < _ENOUGH:
        _draws += size and 1 + size / _NUMBERS
        return None
    return _library()


def call(function: Any, *arguments: Tensor | float) -> int:
    """Call a function of the library with the addresses of contiguous tensors and with numbers, each of 64 bits."""
    if function.argtypes is None:  # converting by them takes half the time
        function.argtypes = [ctypes.c_double if isinstance(a, float) else ctypes.c_int64 for a in arguments]
    result: int = function(*[a.data_ptr() if isinstance(a, Tensor) else a for a in arguments])
    return result


def is_plain(tensor: Tensor) -> bool:
    """Tell whether C can read the values of a tensor, and no transformation, trace or derivative needs to see it."""
    return (
        not torch.compiler.is_compiling()
        and type(tensor) is Tensor
        and tensor.is_cpu
        and not tensor.requires_grad
        and not _torch.is_transforming()
        and not _torch.is_dispatching()
    )


@cache
def _library() -> ctypes.CDLL | None:
    if sys.byteorder != "little":  # the order of the words of a key in memory
        return None
    try:
        return toolchain.load(c_text() + toolchain.LEAST).handle
    except NoCompilerError:
        return None
    except InternalError as error:  # a bug in the text: a warning here and an error in the tests
        warnings.warn(f"random draws are torch operations: {error}", stacklevel=2)
        return None
