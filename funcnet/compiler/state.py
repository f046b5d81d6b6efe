"""Everything that a run of a function depends on besides its arguments, as a key, and a way to put it back.

`jit` fixes the numbers and objects that a function closes over when it traces the function. A function that is compiled
without having been asked must see every change of them, as plain Python does. So its key holds their values, and a
function that reaches an object of an unknown kind, such as an iterator or a file, or calls impure Python, has no key.
"""

import builtins
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.compiler import code_names
from funcnet.compiler.libraries import (
    IMPURE,
    LIBRARIES,
    is_foreign,
    is_library_constant,
    is_of_libraries,
    is_python,
    root,
)
from funcnet.compiler.restoring import EMPTY, restored
from funcnet.compiler.signature import are_plain, static, tensor_key


class UnknownStateError(Exception):
    """A function may depend on something that cannot be part of a key."""


class State:
    """The values that a function reaches through its closure, defaults, globals, and the objects in them.

    Args:
        f: The function, or a list of functions.
        of_jit: Returns the function of a jitted one; None for other objects.
    Raises:
        UnknownStateError: f may depend on something else.
    """

    def __init__(self, f: Callable[..., Any] | list[Any], of_jit: Callable[[Any], Any]) -> None:
        if _torch.has_global_hooks():
            raise UnknownStateError("hooks of all modules")
        self.parts: list[Hashable] = [_torch.validates_distributions()]
        self.of_jit = of_jit
        self._seen: dict[int, tuple[int, Any]] = {}
        self._saved: list[tuple[Any, Any]] = []  # what may change, and a shallow copy of it
        self.visit(f)

    def visit(self, value: Any) -> None:
        """Add a value to the key."""
        kind = type(value)
        if kind in _ATOMS:
            self.parts.append(static(value))
        elif kind is range:  # equal ranges may have other ends
            self._add(kind, value.start, value.stop, value.step)
        elif id(value) in self._seen:
            self.parts.append(("again", self._seen[id(value)][0]))
        else:
            self._seen[id(value)] = len(self._seen), value
            self._visit(kind, value)

    def restore(self) -> bool:
        """Undo changes of lists, dicts, attributes and variables since the search; tell whether there were any."""
        changes = [restored(holder, saved) for holder, saved in self._saved]  # restores all of them
        return any(changes)

    def _visit(self, kind: type, value: Any) -> None:
        if kind in (Tensor, torch.nn.Parameter):
            if not are_plain([value]):
                raise UnknownStateError("a tensor that autograd records")
            self._add(tensor_key(value), value.requires_grad)
            self._attributes(value)
        elif kind is FunctionType:
            self._function(value)
        elif kind in (tuple, list) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
            self._add(len(value))
            self._all([kind, *value])
            self._save(value) if kind is list else self._attributes(value)
        elif kind in (dict, OrderedDict):
            self._add(kind, tuple(map(_key, value)))
            self._all([*value.values()])
            self._save(value)
        elif kind in (set, frozenset):
            self._add(kind, tuple(map(_key, value)))  # in the order in which a loop sees them
            self._save(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, partial) and root(kind.__module__) in LIBRARIES:
            self._add(kind)
            self._all([value.func, value.args, value.keywords])
            self._attributes(value)
        elif kind is MethodType:
            self._add(kind)
            self._all([value.__func__, value.__self__])
        elif (inner := self.of_jit(value)) is not None:
            self._add(kind, value.backend)
            self.visit(inner)
        elif isinstance(value, Enum):
            self._enum(kind, value)
        else:
            self._object(kind, value)

    def _object(self, kind: type, value: Any) -> None:
        if kind is BuiltinFunctionType and not isinstance(value.__self__, ModuleType | NoneType | type):
            self._add(kind, value.__name__)
            self.visit(value.__self__)
        elif is_library_constant(kind, value):
            self._add(value)
        elif kind.__dictoffset__ and all(map(is_python, kind.__mro__[:-1])):
            self.visit(kind)
            self.visit(vars(value))
        else:
            raise UnknownStateError(kind.__name__)

    def _enum(self, kind: Any, value: Any) -> None:
        self._add(kind, value.name)
        self._all([part for name, part in vars(value).items() if name not in _OF_ENUMS])
        inner = (_inner(part) for cls in kind.__mro__ if not is_of_libraries(cls) for part in vars(cls).values())
        self._all([part for part in inner if isinstance(part, FunctionType | tuple)])

    def _attributes(self, value: Any) -> None:
        if getattr(value, "__dict__", None):
            self.visit(vars(value))

    def _function(self, f: Any) -> None:
        self._add(f.__code__)
        self._all([f.__defaults__, f.__kwdefaults__])
        self._attributes(f)
        for cell in f.__closure__ or ():
            self._save(cell)
            self._add("empty") if cell == EMPTY else self.visit(cell.cell_contents)
        if root(f.__globals__.get("__name__")) not in LIBRARIES:
            variables, names = code_names.names(f.__code__)
            if unknown := IMPURE.intersection(variables).difference(f.__globals__) or _OF_TRACERS.intersection(names):
                raise UnknownStateError(unknown.pop())
            self._variables(f.__globals__, variables, names)
            self._patches(vars(Tensor), names)

    def _variables(self, variables: dict[str, Any], used: Sequence[str], names: Sequence[str]) -> None:
        """Add the global variables that a function uses, and those of the user's modules that have one of the names."""
        for name in used:
            if name not in variables:
                continue
            self._saved.append(((variables, name), variables[name]))
            if not isinstance(value := variables[name], ModuleType):
                self._add(name)
                self.visit(value)
            elif root(value.__name__) not in LIBRARIES and {"getattr", "hasattr"}.intersection(names):
                raise UnknownStateError(value.__name__)  # the name of the attribute may be a string
            elif root(value.__name__) not in LIBRARIES and id(value) not in self._seen:
                self._seen[id(value)] = len(self._seen), value
                if root(value.__name__) in sys.stdlib_module_names:
                    raise UnknownStateError(value.__name__)
                self._add(value)
                self._variables(vars(value), names, names)
            elif value is builtins:
                raise UnknownStateError("builtins")
            else:
                self._add(name, value)
                self._patches(vars(value), names)

    def _patches(self, values: Mapping[str, Any], names: Iterable[str]) -> None:
        """Add what a user has put into a module or class of a library under one of the names."""
        for value in (values[name] for name in names if name in values):
            if isinstance(value, ModuleType) and is_of_libraries(value) and id(value) not in self._seen:
                self._seen[id(value)] = len(self._seen), value
                self._patches(vars(value), names)
            elif isinstance(value, BuiltinFunctionType):
                self._add(value)
            elif isinstance(value, FunctionType) and is_foreign(value):
                self.visit(value)

    def _class(self, cls: type) -> None:
        self._add(cls)
        if is_of_libraries(cls):
            self._patches(vars(cls), vars(cls))
            return
        is_frozen = getattr(vars(cls).get("__dataclass_params__"), "frozen", False)
        ignored = _OF_CLASSES | _OF_FROZEN if is_frozen else _OF_CLASSES
        values = {name: value for name, value in vars(cls).items() if name not in ignored}
        self._saved.append((cls, values))
        parts = {name: _inner(value) for name, value in values.items() if _matters(_inner(value))}
        self._add(*parts)
        self._all([*parts.values()])
        self._all([*cls.__bases__, *([] if type(cls) is type else [type(cls)])])

    def _add(self, *parts: Hashable) -> None:
        self.parts.extend(parts)

    def _all(self, values: Sequence[Any]) -> None:
        for value in values:
            self.visit(value)

    def _save(self, holder: Any) -> None:
        if isinstance(holder, CellType):
            self._saved.append((holder, None if holder == EMPTY else holder.cell_contents))
        elif not isinstance(holder, frozenset):
            self._saved.append((holder, holder.copy()))


_FIELD = type(vars(namedtuple("_Example", "field"))["field"])  # the descriptor of a named tuple's field
_ATOMS = {
    bool, int, float, complex, str, bytes, NoneType, type(Ellipsis), torch.dtype, torch.device, torch.Size,
    torch.layout, torch.memory_format,
}  # fmt: skip
_OF_TRACERS = {  # attributes that differ while tracing, as `type(x)` does, and settings of torch
    *("__class__", "data_ptr", "_version"),
    *("get_num_threads", "are_deterministic_algorithms_enabled", "is_inference_mode_enabled"),
    *("get_float32_matmul_precision", "initial_seed", "manual_seed"),
}
_OF_CLASSES = {
    "__annotations__", "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__", "__eq__", "__hash__",
    "__match_args__", "__module__", "__repr__", "__replace__", "__slots__", "__weakref__", "__orig_bases__",
    "__getnewargs__", "_make", "_replace", "_asdict", "_field_defaults", "_fields", "__static_attributes__",
    "__firstlineno__", "__annotate_func__", "__annotations_cache__", "__classdictcell__", "__parameters__",
    "__abstractmethods__", "_abc_impl",
}  # fmt: skip
_OF_FROZEN = {"__setattr__", "__delattr__"}  # made by dataclass
_OF_ENUMS = {"__objclass__", "_sort_order_", "_inverted_"}


def _key(key: Any) -> Hashable:
    if type(key) not in _ATOMS and not (type(key) is tuple and all(type(part) in _ATOMS for part in key)):
        raise UnknownStateError(f"a key of type {type(key).__name__}")
    return static(key)


def _inner(value: Any) -> Any:
    """Return the function or functions of a descriptor of a class."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    return (value.fget, value.fset, value.fdel) if isinstance(value, property) else value


def _matters(value: Any) -> bool:
    """Tell whether a value of a class is data or code, and not a slot."""
    return not isinstance(value, MemberDescriptorType | GetSetDescriptorType | _FIELD)
