"""Dispatch modes, torch function modes and forward-mode derivatives.

Checked: torch/utils/_python_dispatch.py, torch/overrides.py, torch/autograd/forward_ad.py,
torch/nn/modules/module.py, torch/distributions/distribution.py, torch/fx/experimental/proxy_tensor.py, 2.13.0.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import overrides
from torch._C import DisableTorchFunction, _len_torch_dispatch_stack, _len_torch_function_stack
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd import forward_ad
from torch.nn.modules import module
from torch.utils import _python_dispatch


def is_dispatching() -> bool:
    """Tell whether a dispatch mode sees the next operation of this thread.

    The flag of torch.utils._python_dispatch is shared by threads, and stays set after modes in two of them overlapped.
    """
    return _len_torch_dispatch_stack() > 0


def is_in_dual_level() -> bool:
    """Tell whether a level of torch's forward-mode differentiation is open."""
    return forward_ad._current_level >= 0


def make_fx_tracer() -> object:
    """Return the tracer of the innermost call of make_fx, or None; its module takes long to import."""
    return getattr(sys.modules.get("torch.fx.experimental.proxy_tensor"), "_CURRENT_MAKE_FX_TRACER", None)


DispatchMode = _python_dispatch.TorchDispatchMode  # in public use, in a private module


def dispatch_modes() -> list[DispatchMode]:
    """List the dispatch modes that are active in this thread, outermost first."""
    return _python_dispatch._get_current_dispatch_mode_stack()


@contextmanager
def on_values() -> Iterator[None]:
    """Run operations on tensors with values, seen neither by dispatch modes nor by transformations of torch.func."""
    with _python_dispatch._disable_current_modes(), temporarily_clear_interpreter_stack():
        yield


def has_function_modes() -> bool:
    """Tell whether a torch function mode is active."""
    return _len_torch_function_stack() > 0


def has_foreign_modes() -> bool:
    """Tell whether a torch function mode is active that is neither torch's default device nor one of this library."""
    modes = function_modes() if has_function_modes() else ()
    return not all(type(mode).__module__.startswith(("funcnet.", "torch.utils._device")) for mode in modes)


def has_global_hooks() -> bool:
    """Tell whether there are hooks of all modules, which their calls run besides their own."""
    return bool(module._has_any_global_hook())


def validates_distributions() -> bool:
    """Tell whether distributions check their arguments by default."""
    return bool(torch.distributions.Distribution._validate_args)


def is_in_unguarded_mode() -> bool:
    """Tell whether a mode is active that guards of tensors do not see: `is_in_dual_level` or `has_function_modes`."""
    return _len_torch_function_stack() > 0 or forward_ad._current_level >= 0


def function_modes() -> list[Any]:
    """List the torch function modes that are active, outermost first."""
    return overrides._get_current_function_mode_stack()


@contextmanager
def in_function_modes(modes: Sequence[Any]) -> Iterator[None]:
    """Enable torch function modes where they are disabled; their __enter__ does not do that."""
    active = {id(mode) for mode in function_modes()}
    missing = [mode for mode in modes if id(mode) not in active]
    for mode in missing:
        overrides._push_mode(mode)
    try:
        yield
    finally:
        for _ in missing:
            overrides._pop_mode()


@cache
def without_dispatch(function: FunctionType) -> Callable[..., Any]:
    """Copy a Python function of torch.nn.functional without its dispatch to torch function modes.

    The functions that it calls are then seen by the mode; otherwise torch disables the mode while it handles a call.
    """
    names = {name: _never for name in function.__globals__ if name.startswith("has_torch_function")}
    copy = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _never(*_: Any) -> bool:
    return False


def without_torch_function() -> AbstractContextManager[None]:
    """Return a context in which torch function modes and tensor subclasses do not see the calls."""
    return DisableTorchFunction()


def default_device() -> torch.device:
    """Return torch's default device. It is set by a mode, so without active modes it is the CPU."""
    return torch.get_default_device() if _len_torch_function_stack() else _CPU


_CPU = torch.device("cpu")
