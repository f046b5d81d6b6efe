"""Tensors and their subclasses.

Checked: torch/csrc/dynamo/guards.cpp, torch/_C/__init__.pyi, torch/storage.py, torch/_tensor.py, 2.13.0.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C import _disabled_torch_function_impl

_guards: Any = torch._C._dynamo.guards  # torch does not annotate the function

# allocates a tensor on the CPU without a dispatch, in half of the time of torch.empty_like
empty_strided: Callable[[tuple[int, ...], tuple[int, ...], torch.dtype], Tensor] = _guards._empty_strided_cpu

untouched_by_torch_function = _disabled_torch_function_impl  # as __torch_function__ of a subclass that torch dispatches


def version(tensor: Tensor) -> int:
    """Return the version counter of a tensor, which counts writes to it, to its views and to its base."""
    return tensor._version


def viewed(tensor: Tensor) -> Tensor:
    """Return the base of a view, or the tensor itself if it is not a view."""
    return tensor if tensor._base is None else tensor._base


def storage_number(tensor: Tensor) -> int:
    """Identify the memory of a tensor, which its views share; raise NotImplementedError if it has none."""
    return tensor.untyped_storage()._cdata


def hooks(tensor: Tensor) -> tuple[Callable[[Tensor], Tensor | None], ...]:
    """List the hooks of a tensor, each of which may replace the gradient with respect to it."""
    return tuple((tensor._backward_hooks or {}).values())


def make_wrapper(kind: type, like: Tensor, device: torch.device) -> Any:
    """Make a tensor of a subclass, with the shape, strides and dtype of another one, that is never stored.

    Code that asks for the address of its memory gets an error, not 0.
    """
    make: Any = Tensor._make_wrapper_subclass  # its annotations require more arguments than it does
    start = like.storage_offset()
    wrapper = make(kind, like.size(), dtype=like.dtype, device=device, strides=like.stride(), storage_offset=start)
    torch._C._set_throw_on_mutable_data_ptr(wrapper)
    return wrapper
