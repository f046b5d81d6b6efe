"""jax.lax on torch tensors: slices at positions that are tensors, convolutions, loops, and functions of elements.

Functions that jax.numpy has, too, are those of `funcnet.numpy`: they promote operands of different dtypes.

Example:
    >>> fn.lax.dynamic_slice(torch.arange(5), (torch.tensor(4),), (2,))  # the start is clamped
    tensor([3, 4])
"""

from typing import NoReturn

from funcnet.absent_names import absent
from funcnet.lax import control_flow, convolution, exchanges, gathering, linalg, operations, slicing, special, windows
from funcnet.lax.control_flow import *
from funcnet.lax.convolution import *
from funcnet.lax.exchanges import *
from funcnet.lax.gathering import *
from funcnet.lax.incomplete_beta import betainc
from funcnet.lax.operations import *
from funcnet.lax.slicing import *
from funcnet.lax.special import *
from funcnet.lax.windows import *
from funcnet.numpy import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    broadcast_shapes,
    cbrt,
    ceil,
    conj,
    cos,
    cosh,
    dot,
    exp,
    exp2,
    expm1,
    floor,
    full_like,
    imag,
    log,
    log1p,
    nextafter,
    real,
    reciprocal,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    zeros_like,
)
from funcnet.numpy import equal as eq
from funcnet.numpy import greater as gt
from funcnet.numpy import greater_equal as ge
from funcnet.numpy import less as lt
from funcnet.numpy import less_equal as le
from funcnet.numpy import maximum as max
from funcnet.numpy import minimum as min
from funcnet.numpy import multiply as mul
from funcnet.numpy import negative as neg
from funcnet.numpy import not_equal as ne
from funcnet.numpy import power as pow
from funcnet.numpy import subtract as sub

__all__ = [
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "betainc", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "broadcast_shapes", "cbrt", "ceil", "conj", "cos", "cosh", "dot", "eq", "exp", "exp2",
    "expm1", "floor", "full_like", "ge", "gt", "imag", "le", "linalg", "log", "log1p", "lt", "max",
    "min", "mul", "ne", "neg", "nextafter", "pow", "real", "reciprocal", "sign", "sin", "sinh", "sqrt", "square",
    "sub", "tan", "tanh", "zeros_like",
]  # fmt: skip
__all__ += control_flow.__all__
__all__ += convolution.__all__
__all__ += exchanges.__all__
__all__ += gathering.__all__
__all__ += operations.__all__
__all__ += slicing.__all__
__all__ += special.__all__
__all__ += windows.__all__


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
