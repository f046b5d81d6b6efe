"""torch._dynamo, torch.compile's front end, without its import of 1 s where it is imported only to be switched off.

Gradients of torch.func switch off its compiled autograd, and torch's Python rules for operations switch off the tracing
of themselves. Neither can be on before the import. Once anything else has imported the module, it is used as usual.

Checked: torch/_compile.py, torch/_functorch/eager_transforms.py, torch/__init__.py, 2.13.0.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib import import_module
from types import CellType, FunctionType, ModuleType
from typing import Any

import torch
from torch._compile import _disable_dynamo

_NAME = "torch._dynamo"


class _Unloaded(ModuleType):
    """A module that is imported when an attribute of it is read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def delay_import() -> None:
    """Let gradients of torch.func run without torch._dynamo: put a module in its place, which its import replaces."""
    if _NAME in sys.modules:
        return
    front, autograd = _Unloaded(_NAME), _Unloaded(f"{_NAME}.compiled_autograd")
    vars(autograd).update(_disable=nullcontext)
    vars(front).update(compiled_autograd=autograd)
    vars(torch).update(_dynamo=front)


def delay_import_by_rules() -> None:
    """Let torch's Python rules for operations run without torch._dynamo."""
    from torch._decomp import global_decomposition_table

    tables: list[dict[Any, Any]] = [*global_decomposition_table.values(), vars(torch._refs)]
    for rule in _disabled([f for table in tables for f in table.values()]):
        vars(rule).setdefault(_KEPT, _without_import(rule))


_KEPT = "__dynamo_disable"  # the attribute in which torch keeps the function with tracing switched off
_WRAPPER: Any = _disable_dynamo(lambda: None).__code__  # of all functions that torch._disable_dynamo returns


def _disabled(functions: list[Any]) -> Iterator[Callable[..., Any]]:
    """Yield the functions that torch._disable_dynamo wraps, inside these functions and their closures."""
    seen = set[Any]()
    while functions:
        f = functions.pop()
        if isinstance(f, FunctionType) and f not in seen:
            seen.add(f)
            held = [cell.cell_contents for cell in f.__closure__ or () if cell != CellType()]
            functions += held
            if f.__code__ is _WRAPPER:
                yield held[_WRAPPER.co_freevars.index("fn")]


def _without_import(f: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if _NAME not in sys.modules:
            return f(*args, **kwargs)
        vars(f).pop(_KEPT, None)
        disabled: Callable[..., Any] = _disable_dynamo(f)
        return disabled(*args, **kwargs)

    return call
