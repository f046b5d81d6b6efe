"""autograd.Functions and checkpoints under torch.func.

Checked: torch/autograd/function.py, torch/utils/checkpoint.py, torch/nn/modules/_functions.py, 2.13.0.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.autograd import function
from torch.nn.modules._functions import BackwardHookFunction
from torch.utils import checkpoint


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


def is_backward_hook(cls: type) -> bool:
    """Tell whether a Function is there to call the backward hooks of a module."""
    return cls is BackwardHookFunction
