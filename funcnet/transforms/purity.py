"""In-place writes that a pure function must not do: to its arguments and to the tensors that it closes over.

A function may write to tensors that it creates. A write to any other tensor is found after the call, when the tensor
has already changed, by torch's version counters, or during the call by torch.func itself, before it changes. Views
share the counter of their base. `x.data` has its own counter if no derivative is taken with respect to x: a write to it
under vmap, scan and remat is not detected, and changes the tensor.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from inspect import iscode
from itertools import islice
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType, NoneType, TracebackType
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.transforms.flatten import Function
from funcnet.transforms.refusals import Refusals, refusal

_MOST = 256  # objects searched for closed-over tensors, so that a function that holds a data set stays fast to call
NEAR = 8  # objects searched where torch.func finds all writes except those by out=
_WITHOUT_TENSORS = {int, float, complex, bool, str, NoneType, type, ModuleType, BuiltinFunctionType, torch.dtype}
_SEQUENCES = (tuple, list, set, frozenset)
_LIBRARIES = ("torch", "funcnet", "optree")


class Pure(Refusals):
    """Context manager that raises on exit if a function wrote to its arguments or to closed-over tensors."""

    def __init__(self, name: str, f: Function, arguments: Any, most: int = _MOST) -> None:
        super().__init__(name)
        self.arguments: list[Tensor] = []
        self.tensors: list[Tensor] = []
        if not torch.compiler.is_compiling():
            self.arguments = [leaf for leaf in tree.leaves(arguments) if isinstance(leaf, Tensor)]
            self.tensors = [*self.arguments, *closed_over(f, most)]
            self.before = writes(self.tensors)

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if error is None and self.tensors and (after := writes(self.tensors)) != self.before:
            place = next(i for i, counts in enumerate(zip(self.before, after, strict=True)) if len({*counts}) > 1)
            target = "an argument" if place < len(self.arguments) else "a closed-over tensor"
            raise refusal(self.name, f"{target} ({tree.describe(self.tensors[place])})")


def closed_over(f: Function, most: int = _MOST) -> list[Tensor]:
    """List the tensors that a function reaches through its closure, bound arguments, attributes and globals.

    The search is breadth-first, covers everything that the function itself holds, and goes no deeper after `most`
    objects.
    """
    found, seen, rest = list[Tensor](), set[int](), [f]
    for value in rest:
        kind = type(value)
        if kind in _WITHOUT_TENSORS or id(value) in seen:
            continue
        seen.add(id(value))
        if issubclass(kind, Tensor):
            found.append(value)
        elif len(rest) < most or value is f:
            rest.extend(islice(_inside(kind, value), _MOST))
    return found


def _inside(kind: type, value: Any) -> Iterable[Any]:
    """List the values that a function, container or object holds."""
    if kind is FunctionType:
        return _inside_function(value)
    if issubclass(kind, partial):
        return (value.func, *value.args, *value.keywords.values())
    if issubclass(kind, _SEQUENCES):
        found: Iterable[Any] = value
        return found
    if issubclass(kind, dict):
        return dict.values(value)  # a subclass may load more in its own
    if kind is MethodType:
        return value.__func__, value.__self__
    return vars(value).values() if kind.__dictoffset__ and not issubclass(kind, type) else ()


def _inside_function(f: Any) -> Iterable[Any]:
    closure, values = f.__closure__, global_values(f)
    if not closure and not values and not f.__kwdefaults__:  # as for most; a fast path
        return f.__defaults__ or ()
    cells = [cell.cell_contents for cell in closure or () if cell != _EMPTY]
    return [*cells, *(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values(), *values.values()]


_EMPTY = CellType()  # the cell of a variable that has no value yet


def global_values(f: Any) -> dict[str, Any]:
    """Return the global variables that a user's function reads, except modules and classes."""
    if not (names := global_names(f)):
        return {}
    values = f.__globals__
    found = {name: values[name] for name in names if name in values}
    return {name: value for name, value in found.items() if type(value) not in _WITHOUT_TENSORS}


def global_names(f: Any) -> tuple[str, ...]:
    """List the names of globals and attributes in the code of a user's function; none for those of libraries."""
    known = _NAMES.get(id(f.__code__))
    if known is None:
        if len(_NAMES) >= _MOST_NAMES:
            _NAMES.clear()
        is_ours = f.__globals__.get("__name__", "").partition(".")[0] in _LIBRARIES
        known = _NAMES[id(f.__code__)] = f.__code__, () if is_ours else _names(f.__code__)
    return known[1]


_NAMES: dict[int, tuple[CodeType, tuple[str, ...]]] = {}  # by the code's id, which costs less than its hash
_MOST_NAMES = 4096


def _names(code: CodeType) -> tuple[str, ...]:
    """List the names that a function's code, including nested functions, looks up."""
    inner = (name for part in code.co_consts if iscode(part) for name in _names(part))
    return tuple(dict.fromkeys((*code.co_names, *inner)))


def writes(values: Sequence[Any]) -> list[int]:
    """Return the version counter of each tensor, which its views and its base share; 0 for other values."""
    with _torch.without_torch_function():  # reading a version is not an operation that a mode should see
        if not _torch.is_transforming():
            try:
                return [*map(_torch.version, values)]
            except (AttributeError, RuntimeError):  # not a tensor; an inference tensor
                pass
        return [_version(value) if isinstance(value, Tensor) else 0 for value in values]


def _version(tensor: Tensor) -> int:
    tensor = _torch.unwrapped(tensor)  # not all of torch.func's wrappers count
    return 0 if tensor.is_inference() else _torch.version(tensor)
