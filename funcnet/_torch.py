"""torch's private API, one named function per use; all were checked on torch 2.13.0.

When torch changes, this is the file to adapt. No other file of this package imports a private module of torch.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, overrides
from torch._C import (
    DisableTorchFunction,
    DispatchKey,
    _disabled_torch_function_impl,
    _functorch,
    _len_torch_dispatch_stack,
    _len_torch_function_stack,
)
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._ops import OpOverload, OpOverloadPacket
from torch.autograd import forward_ad, function
from torch.nn.modules._functions import BackwardHookFunction
from torch.utils import _python_dispatch, _pytree, checkpoint

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
    """Return the tensor inside all of torch.func's wrappers; other values are returned unchanged."""
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
    """Count the transformations that run now, except vmap."""
    stack = _functorch.get_interpreter_stack() or []
    return sum(layer.key() != _functorch.TransformType.Vmap for layer in stack)


def batches() -> list[tuple[int, int]] | None:
    """List the levels and batch sizes of the vmaps that run now, outermost first; None with a derivative among them."""
    stack = _functorch.get_interpreter_stack() or []
    if any(layer.key() != _functorch.TransformType.Vmap for layer in stack):
        return None
    return [(layer.level(), _functorch.CVmapInterpreterPtr(layer).batchSize()) for layer in stack]


def is_batching() -> bool:
    """Tell whether a vmap runs now."""
    stack = _functorch.get_interpreter_stack() or []
    return any(layer.key() == _functorch.TransformType.Vmap for layer in stack)


def is_batched(tensor: Tensor) -> bool:
    """Tell whether the outermost wrapper of a tensor is that of a vmap."""
    return _functorch.is_batchedtensor(tensor)


def add_batch(tensor: Tensor, level: int) -> Tensor:
    """Return the tensor of one example of a vmap from the whole batch along the first axis."""
    return _functorch._add_batch_dim(tensor, 0, level)


def remove_batch(tensor: Tensor, level: int, size: int) -> Tensor:
    """Return the whole batch, along the first axis, from the tensor of one example of a vmap."""
    return _functorch._remove_batch_dim(tensor, level, size, 0)


# Modes and forward-mode derivatives. Checked: torch/utils/_python_dispatch.py, torch/autograd/forward_ad.py, 2.13.0.


def is_dispatching() -> bool:
    """Tell whether a dispatch mode sees the next operation."""
    return _len_torch_dispatch_stack() > 0


def is_in_dispatch_mode() -> bool:
    """Tell whether a dispatch mode is active; torch.compile can trace this function."""
    return _python_dispatch.is_in_torch_dispatch_mode()


def is_in_dual_level() -> bool:
    """Tell whether a level of torch's forward-mode differentiation is open."""
    return forward_ad._current_level >= 0


DispatchMode = _python_dispatch.TorchDispatchMode  # in public use, in a private module


def dispatch_modes() -> list[DispatchMode]:
    """List the dispatch modes that are active in this thread, outermost first."""
    return _python_dispatch._get_current_dispatch_mode_stack()


@contextmanager
def on_values() -> Iterator[None]:
    """Run operations on tensors with values, seen neither by dispatch modes nor by transformations of torch.func."""
    with _python_dispatch._disable_current_modes(), temporarily_clear_interpreter_stack():
        yield


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


def without_torch_function() -> AbstractContextManager[None]:
    """Return a context in which torch function modes and tensor subclasses do not see the calls."""
    return DisableTorchFunction()


# Tensors. Checked: torch/_C/__init__.pyi, torch/storage.py, 2.13.0.


def version(tensor: Tensor) -> int:
    """Return the version counter of a tensor, which counts writes to it, to its views and to its base."""
    return tensor._version


def viewed(tensor: Tensor) -> Tensor:
    """Return the base of a view, or the tensor itself if it is not a view."""
    return tensor if tensor._base is None else tensor._base


def storage_number(tensor: Tensor) -> int:
    """Identify the memory of a tensor, which its views share; raise NotImplementedError if it has none."""
    return tensor.untyped_storage()._cdata


# Operations and subclasses. Checked: torch/_ops.py, torch/_decomp, torch/_refs, torch/_tensor.py, 2.13.0.

Operation = OpOverload
Overloads = OpOverloadPacket  # the operations of one name
assert_async = torch._assert_async
is_all_true = torch._is_all_true
untouched_by_torch_function = _disabled_torch_function_impl  # as __torch_function__ of a subclass that torch dispatches


def is_composite(operation: OpOverload) -> bool:
    """Tell whether torch itself computes an operation by others."""
    return operation.has_kernel_for_dispatch_key(DispatchKey.CompositeImplicitAutograd)


def core_decompositions(further: Sequence[OpOverload]) -> dict[Any, Callable[..., Any]]:
    """Collect torch's rules for core ATen, of which torch.export's public table is made, and for further operations."""
    from torch._decomp import core_aten_decompositions, get_decompositions

    return {**core_aten_decompositions(), **get_decompositions(further)}


def decomposition(name: str) -> Callable[..., Any]:
    """Find torch's rule of this name."""
    from torch._decomp import decompositions

    return getattr(decompositions, name)


def index_fill(x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """Fill rows, by torch's reference implementation."""
    return torch._refs.index_fill(x, dim, index, value)


def make_wrapper(kind: type, like: Tensor, device: torch.device) -> Any:
    """Make a tensor of a subclass, with the shape, strides and dtype of another one, that is never stored."""
    make: Any = Tensor._make_wrapper_subclass  # its annotations require more arguments than it does
    start = like.storage_offset()
    return make(kind, like.size(), dtype=like.dtype, device=device, strides=like.stride(), storage_offset=start)


def run_on_metadata(operation: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Let torch's meta kernel change the sizes and strides of the tensor itself."""
    before = torch._C._meta_in_tls_dispatch_include()
    torch._C._set_meta_in_tls_dispatch_include(True)
    try:
        with torch._C._DisableTorchDispatch():
            operation(*args, **kwargs)
    finally:
        torch._C._set_meta_in_tls_dispatch_include(before)


# torch.export. Checked: torch/compiler/__init__.py, torch/utils/_pytree.py, 2.13.0.


def export_leaves(values: Any) -> Sequence[Any]:
    """List the leaves of a tree as torch.export sees it, None included."""
    return _pytree.tree_leaves(values)


@contextmanager
def as_if_exporting() -> Iterator[None]:
    """Make torch.compiler.is_exporting() and is_compiling() return True."""
    flags = ("_is_exporting_flag", "_is_compiling_flag")
    before = [getattr(torch.compiler, flag) for flag in flags]
    try:
        for flag in flags:
            setattr(torch.compiler, flag, True)
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            setattr(torch.compiler, flag, value)


# Functions with derivatives of their own. Checked: torch/autograd/function.py, torch/utils/checkpoint.py, 2.13.0.


@contextmanager
def functions_by(rule: Callable[..., Any]) -> Iterator[None]:
    """Apply Functions under torch.func by rule(apply, cls, *args) in this thread; `apply` is torch.func's own rule.

    Without it, torch.func refuses those whose forward takes a context.
    A checkpoint is a call that saves no memory meanwhile; its recomputation would come after the end of the context.
    """
    before = getattr(_thread, "rule", None)
    with _lock:
        _contexts.append(rule)
        _replace(_OURS)
    _thread.rule = rule
    try:
        yield
    finally:
        _thread.rule = before
        with _lock:
            _contexts.pop()
            _replace(_OURS if _contexts else _TORCHS)


_lock, _thread = threading.Lock(), threading.local()
_contexts: list[Any] = []  # of all threads


def _replace(functions: dict[tuple[Any, str], Any]) -> None:
    for (module, name), value in functions.items():
        setattr(module, name, value)


class _InTwoSteps:
    """The answer to whether setup_context is defined: False where torch binds arguments, then True where it refuses."""

    asked = False

    def __bool__(self) -> bool:
        before, self.asked = self.asked, True
        return before


def _is_setup_context_defined(method: Any) -> Any:
    defined = _TORCHS[function, "_is_setup_context_defined"](method)
    return defined if defined or getattr(_thread, "rule", None) is None else _InTwoSteps()


def _custom_function_call(cls: Any, *args: Any, **kwargs: Any) -> Any:
    rule, original = getattr(_thread, "rule", None), _TORCHS[function, "custom_function_call"]
    return rule(original, cls, *args, **kwargs) if rule else original(cls, *args, **kwargs)


class _Checkpoint:
    """A checkpoint with use_reentrant=True."""

    @staticmethod
    def apply(run: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        if getattr(_thread, "rule", None) is None:
            return _TORCHS[checkpoint, "CheckpointFunction"].apply(run, preserve_rng_state, *args)
        return run(*args)


def _hooks_of_checkpoint(*args: Any, **kwargs: Any) -> Iterator[None]:
    if getattr(_thread, "rule", None) is None:
        yield from _TORCHS[checkpoint, "_checkpoint_without_reentrant_generator"](*args, **kwargs)
    else:
        yield


_OURS: dict[tuple[Any, str], Any] = {
    (function, "_is_setup_context_defined"): _is_setup_context_defined,
    (function, "custom_function_call"): _custom_function_call,
    (checkpoint, "CheckpointFunction"): _Checkpoint,
    (checkpoint, "_checkpoint_without_reentrant_generator"): _hooks_of_checkpoint,
}
_TORCHS: dict[tuple[Any, str], Any] = {(module, name): getattr(module, name) for module, name in _OURS}


def takes_context(cls: Any) -> bool:
    """Tell whether the forward of a Function takes a context, as torch.func does not allow."""
    return not _TORCHS[function, "_is_setup_context_defined"](cls.setup_context)


def hooks(tensor: Tensor) -> tuple[Callable[[Tensor], Tensor | None], ...]:
    """List the hooks of a tensor, each of which may replace the gradient with respect to it."""
    return tuple((tensor._backward_hooks or {}).values())


def is_backward_hook(cls: type) -> bool:
    """Tell whether a Function is there to call the backward hooks of a module."""
    return cls is BackwardHookFunction


def default_device() -> torch.device:
    """Return torch's default device. It is set by a mode, so without active modes it is the CPU."""
    return torch.get_default_device() if _len_torch_function_stack() else _CPU


_CPU = torch.device("cpu")
