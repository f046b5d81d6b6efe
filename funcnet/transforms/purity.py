"""Writes in place that a pure function may not do: to its arguments and to the tensors that it closes over.

A function may write to tensors that it makes. A write that reaches another one is found by torch's version counters
after the call, which views share with the tensor viewed, or by torch.func itself during the call.
"""

import gc
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from inspect import iscode, isfunction, ismodule
from types import CodeType, TracebackType
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor

from funcnet import tree
from funcnet.transforms.captures import parts
from funcnet.transforms.flat import Function

REMEDY = (
    "Write to a copy made inside the function, such as x.clone() or torch.zeros_like(x), or use the operation that"
    " returns a new tensor; and return the result."
)

# what torch.func says of a write to a tensor that is differentiated, and to one from outside of its function
_REFUSALS = ("a leaf Variable that requires grad is being used in an in-place", "would mutate a captured Tensor")
_MOST = 256  # objects searched for closed-over tensors, so that a data set that a function holds costs no time
_Kept = tuple[Tensor, int]  # a tensor, and how often it had been written to
_LIBRARIES = ("torch", "funcnet", "optree")


class ImpureError(RuntimeError):
    """A function writes in place to an argument or to a tensor that it closes over."""


def refusal(name: str, target: str) -> ImpureError:
    """Build the error for a write to a tensor that a function did not make."""
    return ImpureError(f"{name}: the function writes in place to {target}, but it has to be pure. {REMEDY}")


class Refusals:
    """Give torch.func's errors for a write in place, raised in a `with`, the text of ours."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, RuntimeError) and any(text in str(error) for text in _REFUSALS):
            raise refusal(self.name, "an argument or a closed-over tensor") from error


class Pure(Refusals):
    """Raise, at the end of a `with`, if a function wrote to its arguments or to tensors that it closes over."""

    def __init__(self, name: str, f: Function, arguments: Any) -> None:
        super().__init__(name)
        self.arguments, self.closed_over = list[_Kept](), list[_Kept]()
        if not torch.compiler.is_compiling():
            self.arguments = _counted(leaf for leaf in tree.leaves(arguments) if isinstance(leaf, Tensor))
            self.closed_over = _counted(closed_over(f))

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        for kept, target in ((self.arguments, "an argument"), (self.closed_over, "a closed-over tensor")):
            tensors = [tensor for tensor, _ in kept if error is None]
            for (tensor, before), after in zip(kept, writes(tensors), strict=False):
                if after != before:
                    raise refusal(self.name, f"{target} ({tree.describe(tensor)})")


def closed_over(f: Function) -> Iterator[Tensor]:
    """Yield the tensors to which a function leads by its closure, arguments given early, attributes and globals.

    The search is breadth-first and ends after some hundreds of objects.
    """
    seen, rest = set[int](), deque[Any]([f])
    while rest and len(seen) < _MOST:
        if id(value := rest.popleft()) in seen or not gc.is_tracked(value):
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield value
        else:
            rest.extend(_inside(value))


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())[:_MOST]
    if isinstance(value, list | tuple | set):
        return list(value)[:_MOST]
    held = parts(value)
    return (held, *_globals(value)) if isfunction(value) else (held,)


def _globals(f: Any) -> Iterable[Any]:
    """List the global variables that a user's function reads, but for modules and classes."""
    if (f.__module__ or "").partition(".")[0] in _LIBRARIES:
        return ()
    found = (f.__globals__.get(name) for name in _names(f.__code__))
    return [value for value in found if value is not None and not (isinstance(value, type) or ismodule(value))]


@lru_cache(4096)
def _names(code: CodeType) -> tuple[str, ...]:
    """List the names that a function's code, or that of functions in it, looks up."""
    inner = (name for part in code.co_consts if iscode(part) for name in _names(part))
    return tuple(dict.fromkeys((*code.co_names, *inner)))


def _counted(tensors: Iterable[Tensor]) -> list[_Kept]:
    kept = [*tensors]
    return [*zip(kept, writes(kept), strict=True)]


def writes(tensors: Iterable[Tensor]) -> list[int]:
    """Count for each tensor the writes to it, to its views and to what it views."""
    with torch._C.DisableTorchFunction():  # reading a version is no operation that a mode should see
        return [_version(tensor) for tensor in tensors]


def _version(tensor: Tensor) -> int:
    while is_functorch_wrapped_tensor(tensor):  # not all of torch.func's wrappers count
        tensor = get_unwrapped(tensor)
    return 0 if tensor.is_inference() else tensor._version
