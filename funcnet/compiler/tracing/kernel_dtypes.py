"""Dtype checks by torch's kernels: its shape rules accept dtypes that the kernels refuse, such as in 1.0 - mask.

The CPU kernel runs on small tensors, once per operation and dtypes.
"""

import warnings
from collections.abc import Callable, Hashable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import Operation
from funcnet.compiler.tracing.arguments import SEQUENCES, flat

aten = torch.ops.aten

_verdicts: dict[Hashable, Exception | None] = {}
_MOST = 10_000  # cached verdicts


def check_dtypes(func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise the error that the kernel of an operation raises for these dtypes."""
    _check_constants(func, args, kwargs)
    if not _is_checked(func):
        return
    key = func, _kinds(args), _kinds(tuple(kwargs.values()))
    try:
        error = _verdicts[key]
    except KeyError:
        if len(_verdicts) >= _MOST:
            _verdicts.clear()
        error = _verdicts[key] = _verdict(func, args, kwargs)
    if error is not None:
        raise type(error)(*error.args)


@cache
def _is_checked(func: Operation) -> bool:
    return torch.Tag.pointwise in func.tags or func in _OTHERS


def _check_constants(func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise torch's error for a number outside of the range of its dtype, which a program would wrap around."""
    for place in _CONSTANTS.get(func.overloadpacket, ()):
        if isinstance(number := args[place] if place < len(args) else 0, bool | int | float | complex):
            dtype = kwargs.get("dtype") or (args[0].dtype if isinstance(args[0], Tensor) else None)
            shapes = (arg.shape if isinstance(arg, Tensor) else arg for arg in args[:place])
            # one element: a too large floating-point number becomes infinite
            size = [2] if any(isinstance(shape, tuple | list) and shape for shape in shapes) else []
            aten.full.default(size, number, dtype=dtype, device="cpu")


def _verdict(func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception | None:
    """Return the kernel's error if the dtypes cause it: the same call with other dtypes succeeds."""
    tensors = [leaf for leaf in flat([args, [*kwargs.values()]]) if isinstance(leaf, Tensor)]
    if any(tensor.device.type != "cpu" for tensor in tensors):  # other devices have other kernels
        return None
    if func == aten.convolution.default:
        args = _plain(args)
    if (error := _error(func, args, kwargs, _small)) is None:
        return None
    changes = [partial(_changed, dtype, number) for dtype in (torch.float32, torch.int64) for number in (None, 1)]
    return error if None in (_error(func, args, kwargs, change) for change in changes) else None


def _plain(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a convolution's arguments with the geometry that small tensors allow: no dilation, one group."""
    x, weight, bias, _, _, _, is_transposed, *_ = args
    return x, weight, bias, [1], [0], [1], is_transposed, [0], 1


def _error(
    func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], change: Callable[[Any], Any]
) -> Exception | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            func(*map(change, args), **{name: change(value) for name, value in kwargs.items()})
    except (RuntimeError, TypeError, ValueError) as error:
        return error.with_traceback(None)
    return None


def _small(value: Any) -> Any:
    """Replace tensors by small tensors on the CPU."""
    if isinstance(value, Tensor):
        return torch.ones((2,) * value.ndim, dtype=value.dtype)
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return [*map(_small, value)] if isinstance(value, tuple | list) else value


def _changed(dtype: torch.dtype, number: int | None, value: Any) -> Any:
    """Replace tensors by small tensors of a dtype and, unless it is None, numbers by `number`."""
    if isinstance(value, Tensor):
        return torch.ones((2,) * value.ndim, dtype=dtype)
    return number if number is not None and isinstance(value, bool | float | complex) else _small(value)


def _kinds(value: object) -> Hashable:
    """Return a key of all that a kernel's verdict depends on: dtypes, and numbers such as a negative exponent."""
    if isinstance(value, Tensor):
        return value.dtype, value.ndim, value.device
    if isinstance(value, SEQUENCES):
        return tuple([_kinds(item) for item in value])
    return type(value), repr(value)


_NAMES = (
    "mean sum prod cumsum cumprod cummax cummin logcumsumexp logsumexp var var_mean std amax amin argmax argmin max min"
    " median nanmedian mode nansum dot vdot mm bmm mv addmm addmv baddbmm _softmax _log_softmax sort topk trace norm"
    " linalg_vector_norm mse_loss smooth_l1_loss huber_loss rsub convolution"
)
_PACKETS = [getattr(aten, name) for name in _NAMES.split()]
_OTHERS = {getattr(packet, name) for packet in _PACKETS for name in packet.overloads()}

# operations that fill a tensor with a number, and the positions of that argument
_CONSTANTS = {
    aten.scalar_tensor: (0,),
    aten.linspace: (0, 1),
    aten.full: (1,),
    aten.full_like: (1,),
    aten.fill: (1,),
    aten.fill_: (1,),
    aten.new_full: (2,),
    aten.masked_fill: (2,),
    aten.masked_fill_: (2,),
    aten.constant_pad_nd: (2,),
    aten.index_fill: (3,),
    aten.index_fill_: (3,),
    aten.scatter: (3,),
    aten.scatter_: (3,),
}
