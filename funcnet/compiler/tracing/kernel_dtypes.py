"""Which dtypes torch's kernels take: its shape rules let pass what the kernels refuse, such as 1.0 - mask.

The CPU kernel itself is asked, once per operation and dtypes, with small tensors.
"""

import warnings
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.tracing.arguments import flat

_verdicts: dict[Hashable, Exception | None] = {}
_MOST = 10_000  # verdicts to keep


def check_dtypes(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Raise what the kernel of an operation raises for arguments of these dtypes."""
    if torch.Tag.pointwise not in func.tags and func not in _OTHERS:
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


def _verdict(func: Any, args: Any, kwargs: dict[str, Any]) -> Exception | None:
    """Return the error of the kernel if its reason are the dtypes, so that there is none with others."""
    tensors = [leaf for leaf in flat([args, [*kwargs.values()]]) if isinstance(leaf, Tensor)]
    if any(tensor.device.type != "cpu" for tensor in tensors):  # other devices have other kernels
        return None
    if (error := _error(func, args, kwargs, _small)) is None:
        return None
    changes = [partial(_changed, dtype, number) for dtype in (torch.float32, torch.int64) for number in (None, 1)]
    return error if None in (_error(func, args, kwargs, change) for change in changes) else None


def _error(func: Any, args: Any, kwargs: dict[str, Any], change: Callable[[Any], Any]) -> Exception | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            func(*map(change, args), **{name: change(value) for name, value in kwargs.items()})
    except (RuntimeError, TypeError, ValueError) as error:
        return error.with_traceback(None)
    return None


def _small(value: Any) -> Any:
    """Replace tensors by small ones on the CPU."""
    if isinstance(value, Tensor):
        return torch.ones((2,) * value.ndim, dtype=value.dtype)
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return [*map(_small, value)] if isinstance(value, tuple | list) else value


def _changed(dtype: torch.dtype, number: int | None, value: Any) -> Any:
    """Replace tensors by small ones of a dtype and, unless None, numbers by a number."""
    if isinstance(value, Tensor):
        return torch.ones((2,) * value.ndim, dtype=dtype)
    return number if number is not None and isinstance(value, bool | float | complex) else _small(value)


def _kinds(value: Any) -> Any:
    """Return what a kernel's verdict depends on: dtypes, and numbers, as of a negative power of integers."""
    if isinstance(value, tuple | list):
        return tuple(map(_kinds, value))
    if isinstance(value, Tensor):
        return value.dtype, value.ndim, value.device.type
    return type(value), repr(value)


_NAMES = (
    "mean sum prod cumsum cumprod cummax cummin logcumsumexp logsumexp var var_mean std amax amin argmax argmin max min"
    " median nanmedian mode nansum dot vdot mm bmm mv addmm addmv baddbmm _softmax _log_softmax sort topk trace norm"
    " linalg_vector_norm mse_loss smooth_l1_loss huber_loss rsub convolution"
)
_PACKETS = [getattr(torch.ops.aten, name) for name in _NAMES.split()]
_OTHERS = {getattr(packet, name) for packet in _PACKETS for name in packet.overloads()}
