"""autograd.Functions and checkpoints under torch.func.

Checked: torch/autograd/function.py, torch/utils/checkpoint.py, torch/nn/modules/module.py, 2.13.0.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.autograd import function
from torch.nn.modules import module
from torch.utils import checkpoint


@contextmanager
def functions_by(rule: Callable[..., Any], hook: Callable[..., Any]) -> Iterator[None]:
    """Apply Functions under torch.func by rule(apply, cls, *args) in this thread; `apply` is torch.func's own rule.

    `hook` replaces the class that calls the full backward hooks of modules, with the same methods.
    Otherwise, torch.func refuses the Functions whose forward takes a context. In this context, checkpoints only call
    their function, without saving memory: they would recompute in the backward pass, after the end of the context.
    """
    before = getattr(_thread, "rule", None), getattr(_thread, "hook", None)
    with _lock:
        _contexts.append(rule)
        _replace(_REPLACEMENTS)
    _thread.rule, _thread.hook = rule, hook
    try:
        yield
    finally:
        _thread.rule, _thread.hook = before
        with _lock:
            _contexts.pop()
            _replace(_REPLACEMENTS if _contexts else _ORIGINALS)


_lock, _thread = threading.Lock(), threading.local()
_contexts: list[Any] = []  # the rules of all threads whose context is open


def _replace(functions: dict[tuple[Any, str], Any]) -> None:
    for (place, name), value in functions.items():
        setattr(place, name, value)


class _Accepted:
    """Whether a Function that takes a context defines setup_context, as Function.apply asks twice: False, then True.

    After the first answer it does not bind the arguments to forward, whose first parameter is the context; after the
    second it does not refuse the Function.
    """

    asked = False

    def __bool__(self) -> bool:
        before, self.asked = self.asked, True
        return before


def _is_setup_context_defined(method: Any) -> Any:
    defined = _ORIGINALS[function, "_is_setup_context_defined"](method)
    return defined if defined or getattr(_thread, "rule", None) is None else _Accepted()


def _custom_function_call(cls: Any, *args: Any, **kwargs: Any) -> Any:
    rule, original = getattr(_thread, "rule", None), _ORIGINALS[function, "custom_function_call"]
    return rule(original, cls, *args, **kwargs) if rule else original(cls, *args, **kwargs)


def _backward_hook(*args: Any) -> Any:
    return (getattr(_thread, "hook", None) or _ORIGINALS[module, "BackwardHook"])(*args)


class _Checkpoint:
    """A checkpoint with use_reentrant=True."""

    @staticmethod
    def apply(run: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        if getattr(_thread, "rule", None) is None:
            return _ORIGINALS[checkpoint, "CheckpointFunction"].apply(run, preserve_rng_state, *args)
        return run(*args)


def _hooks_of_checkpoint(*args: Any, **kwargs: Any) -> Iterator[None]:
    if getattr(_thread, "rule", None) is None:
        yield from _ORIGINALS[checkpoint, "_checkpoint_without_reentrant_generator"](*args, **kwargs)
    else:
        yield


_REPLACEMENTS: dict[tuple[Any, str], Any] = {
    (function, "_is_setup_context_defined"): _is_setup_context_defined,
    (function, "custom_function_call"): _custom_function_call,
    (module, "BackwardHook"): _backward_hook,
    (checkpoint, "CheckpointFunction"): _Checkpoint,
    (checkpoint, "_checkpoint_without_reentrant_generator"): _hooks_of_checkpoint,
}
_ORIGINALS: dict[tuple[Any, str], Any] = {(place, name): getattr(place, name) for place, name in _REPLACEMENTS}


_CALL = _ORIGINALS[function, "custom_function_call"]


def is_function_call(func: Any) -> bool:
    """Tell whether a torch function mode sees the call of a Function under torch.func; the class is its argument."""
    return func is _CALL


def takes_context(cls: Any) -> bool:
    """Tell whether the forward of a Function takes a context, which torch.func does not allow."""
    return not _ORIGINALS[function, "_is_setup_context_defined"](cls.setup_context)
