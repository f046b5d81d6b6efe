"""Functions made from functions: they bind as methods, keep their names, and can be pickled."""

import sys
from collections.abc import Callable
from functools import partial, update_wrapper, wraps
from types import FrameType, MethodType
from typing import Any

import torch

from funcnet.reprs import Shown, text

Function = Callable[..., Any]


class Wrapped(Shown, partial[Any]):
    """A function that calls a rule with the original function and options before its arguments.

    It prints as a call: a rule `_grad` and a function `loss` give `grad(loss)`.
    """

    def __repr__(self) -> str:
        return f"{self.func.__name__.lstrip('_')}({text(self.args[0])})"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        return global_name(self) or (wrapped, (self.func, *self.args))


def wrapped(rule: Function, f: Function, *options: Any) -> Function:
    """Make a function with the name of f that calls rule(f, *options, *args, **kwargs)."""
    if not torch.compiler.is_compiling():
        return update_wrapper(Wrapped(rule, f, *options), f)

    @wraps(f)  # torch.compile cannot trace the wrapping of a partial
    def call(*args: Any, **kwargs: Any) -> Any:
        return rule(f, *options, *args, **kwargs)

    return call


def global_name(function: Any) -> str | None:
    """Return the name by which a function is pickled; None if importing that name gives another object.

    Cloudpickle takes functions of the main module by value, because another process does not have them.
    """
    found: Any = sys.modules.get(module := getattr(function, "__module__", ""))
    name: str = getattr(function, "__qualname__", "")
    if module == "__main__" and _is_within_cloudpickle():
        return None
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is function else None


def _is_within_cloudpickle() -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None and "cloudpickle" not in frame.f_globals.get("__name__", ""):
        frame = frame.f_back
    return frame is not None
