"""torch's private API, one named function per use; all were checked on torch 2.13.0.

When torch changes, this is the file to adapt. No other file of this package imports a private module of torch.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._C import DisableTorchFunction, _functorch, _len_torch_dispatch_stack, _len_torch_function_stack
from torch.autograd import forward_ad
from torch.utils import _python_dispatch, _pytree

# torch.func: each transformation that runs is a level; a tensor at a level is a wrapper around one at a lower level.
# Checked: torch/_functorch/pyfunctorch.py, torch/csrc/functorch/init.cpp, 2.13.0.
NO_LEVEL = -1  # the level of a tensor outside of torch.func; that of a tensor whose level has ended is -2


def is_wrapped(x: Any) -> bool:
    """Tell whether x is a tensor at a level of torch.func."""
    return isinstance(x, Tensor) and _functorch.is_functorch_wrapped_tensor(x)


def unwrap(tensor: Tensor) -> Tensor:
    """Remove the outermost wrapper of a tensor."""
    return _functorch.get_unwrapped(tensor)


def unwrapped(x: Any) -> Any:
    """Find the tensor inside of all of torch.func's wrappers; anything else is returned as given."""
    while is_wrapped(x):
        x = unwrap(x)
    return x


def level(tensor: Tensor) -> int:
    """Return the level of a tensor's outermost wrapper, or NO_LEVEL."""
    return _functorch.maybe_get_level(tensor)


def levels(tensor: Tensor) -> Iterator[int]:
    """Yield the levels of a tensor's wrappers, outermost first."""
    while is_wrapped(tensor):
        yield level(tensor)
        tensor = unwrap(tensor)


def current_level() -> int | None:
    """Return the level of the innermost transformation that runs now; None outside of torch.func."""
    return _functorch.maybe_current_level()


def is_transforming() -> bool:
    """Tell whether a transformation of torch.func runs now."""
    return _functorch.peek_interpreter_stack() is not None


def derivative_levels() -> int:
    """Count the transformations that run now, but for vmap."""
    stack = _functorch.get_interpreter_stack() or []
    return sum(layer.key() != _functorch.TransformType.Vmap for layer in stack)


# Modes and forward-mode derivatives. Checked: torch/utils/_python_dispatch.py, torch/autograd/forward_ad.py, 2.13.0.


def is_dispatching() -> bool:
    """Tell whether a dispatch mode sees the next operation."""
    return _len_torch_dispatch_stack() > 0


def is_in_dispatch_mode() -> bool:
    """Tell whether a dispatch mode is active; torch.compile can trace this question."""
    return _python_dispatch.is_in_torch_dispatch_mode()


def is_in_dual_level() -> bool:
    """Tell whether a level of torch's forward-mode differentiation is open."""
    return forward_ad._current_level >= 0


def without_torch_function() -> AbstractContextManager[None]:
    """Return a context in which modes and subclasses of tensors do not see what is called."""
    return DisableTorchFunction()


# Tensors. Checked: torch/_C/__init__.pyi, torch/storage.py, 2.13.0.


def version(tensor: Tensor) -> int:
    """Count the writes to a tensor, to its views and to the tensor that it views."""
    return tensor._version


def viewed(tensor: Tensor) -> Tensor:
    """Find the tensor that this one is a view of, or itself."""
    return tensor if tensor._base is None else tensor._base


def storage_number(tensor: Tensor) -> int:
    """Identify the memory of a tensor, which its views share; raise NotImplementedError if it has none."""
    return tensor.untyped_storage()._cdata


# torch.export. Checked: torch/compiler/__init__.py, torch/utils/_pytree.py, 2.13.0.


def export_leaves(values: Any) -> Sequence[Any]:
    """List the leaves of a tree as torch.export sees it, None included."""
    return _pytree.tree_leaves(values)


@contextmanager
def as_if_exporting() -> Iterator[None]:
    """Let torch.compiler.is_exporting() and is_compiling() be true."""
    flags = ("_is_exporting_flag", "_is_compiling_flag")
    before = [getattr(torch.compiler, flag) for flag in flags]
    try:
        for flag in flags:
            setattr(torch.compiler, flag, True)
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            setattr(torch.compiler, flag, value)


def default_device() -> torch.device:
    """Return torch's default device: the CPU, quickly, if no mode is active, as a default device is one."""
    return torch.get_default_device() if _len_torch_function_stack() else _CPU


_CPU = torch.device("cpu")
