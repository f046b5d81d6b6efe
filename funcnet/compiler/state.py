"""Everything that a run of a function depends on besides its arguments, as a key, and a way to put it back.

`jit` fixes the numbers and objects that a function closes over when it traces the function. A function that is compiled
without having been asked must see every change of them, as plain Python does. So its key holds their values, and a
function that reaches an object of an unknown kind, such as an iterator or a file, or calls impure Python, has no key.
"""

import builtins
import dis
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from functools import partial
from inspect import iscode
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any, Generic

import torch
from torch import Tensor

from funcnet.compiler.signature import are_plain, static, tensor_key
from funcnet.tree import Structure


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
        self.parts: list[Hashable] = []
        self.of_jit = of_jit
        self._seen: dict[int, tuple[int, Any]] = {}
        self._saved: list[tuple[Any, Any]] = []  # what may change, and a shallow copy of it
        self.visit(f)

    def visit(self, value: Any) -> None:
        """Add a value to the key."""
        kind = type(value)
        if kind in _ATOMS or isinstance(value, Enum):
            self.parts.append(static(value) if kind in _ATOMS else value)
        elif id(value) in self._seen:
            self.parts.append(("again", self._seen[id(value)][0]))
        else:
            self._seen[id(value)] = len(self._seen), value
            self._visit(kind, value)

    def restore(self) -> bool:
        """Undo changes of lists, dicts, attributes and variables since the search; tell whether there were any."""
        changes = [_restored(holder, saved) for holder, saved in self._saved]  # restores all of them
        return any(changes)

    def _visit(self, kind: type, value: Any) -> None:
        if kind in (Tensor, torch.nn.Parameter):
            if not are_plain([value]):
                raise UnknownStateError("a tensor that autograd records")
            self._add(tensor_key(value))
        elif kind is FunctionType:
            self._function(value)
        elif kind in (tuple, list) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
            self._add(kind, len(value))
            self._all(value)
            self._save(value) if kind is list else None
        elif kind in (dict, OrderedDict):
            self._add(kind, tuple(map(_key, value)))
            self._all([*value.values()])
            self._save(value)
        elif kind in (set, frozenset):
            self._add(kind, frozenset(map(_key, value)))
            self._save(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, partial) and _root(kind.__module__) in _LIBRARIES:
            self._add(kind)
            self._all([value.func, value.args, value.keywords])
        elif kind is MethodType:
            self._add(kind)
            self._all([value.__func__, value.__self__])
        elif (inner := self.of_jit(value)) is not None:
            self._add(kind, value.backend)
            self.visit(inner)
        else:
            self._object(kind, value)

    def _object(self, kind: type, value: Any) -> None:
        if kind is BuiltinFunctionType and not isinstance(value.__self__, ModuleType | NoneType | type):
            self._add(kind, value.__name__)
            self.visit(value.__self__)
        elif _is_of_library(kind, value):
            self._add(value)
        elif kind.__dictoffset__ and all(map(_is_python, kind.__mro__[:-1])):
            self.visit(kind)
            self.visit(vars(value))
        else:
            raise UnknownStateError(kind.__name__)

    def _function(self, f: Any) -> None:
        self._add(f.__code__)
        self._all([f.__defaults__, f.__kwdefaults__, *([vars(f)] if vars(f) else [])])
        for cell in f.__closure__ or ():
            self._save(cell)
            self._add("empty") if cell == _EMPTY else self.visit(cell.cell_contents)
        if _root(f.__globals__.get("__name__")) not in _LIBRARIES:
            variables, names = _names(f.__code__)
            if unknown := _IMPURE.intersection(variables).difference(f.__globals__) or _OF_TRACERS.intersection(names):
                raise UnknownStateError(unknown.pop())
            self._variables(f.__globals__, variables, names)

    def _variables(self, variables: dict[str, Any], used: Sequence[str], names: Sequence[str]) -> None:
        """Add the global variables that a function uses, and those of the user's modules that have one of the names."""
        for name in used:
            if name not in variables:
                continue
            self._saved.append(((variables, name), variables[name]))
            if not isinstance(value := variables[name], ModuleType):
                self._add(name)
                self.visit(value)
            elif _root(value.__name__) not in _LIBRARIES and {"getattr", "hasattr"}.intersection(names):
                raise UnknownStateError(value.__name__)  # the name of the attribute may be a string
            elif _root(value.__name__) not in _LIBRARIES and id(value) not in self._seen:
                self._seen[id(value)] = len(self._seen), value
                if _root(value.__name__) in sys.stdlib_module_names:
                    raise UnknownStateError(value.__name__)
                self._add(value)
                self._variables(vars(value), names, names)
            else:
                self._add(name, value)

    def _class(self, cls: type) -> None:
        self._add(cls)
        if _root(cls.__module__) in _LIBRARIES:
            return
        values = {name: value for name, value in vars(cls).items() if name not in _OF_CLASSES}
        self._saved.append((cls, values))
        self._all([_inner(value) for value in values.values() if _matters(_inner(value))])
        self._all([*cls.__bases__, *([] if type(cls) is type else [type(cls)])])

    def _add(self, *parts: Hashable) -> None:
        self.parts.extend(parts)

    def _all(self, values: Sequence[Any]) -> None:
        for value in values:
            self.visit(value)

    def _save(self, holder: Any) -> None:
        if isinstance(holder, CellType):
            self._saved.append((holder, None if holder == _EMPTY else holder.cell_contents))
        elif not isinstance(holder, frozenset):
            self._saved.append((holder, holder.copy()))


_EMPTY = CellType()
_FIELD = type(vars(namedtuple("_Example", "field"))["field"])  # the descriptor of a named tuple's field
_ATOMS = {
    bool, int, float, complex, str, bytes, range, NoneType, type(Ellipsis), torch.dtype, torch.device, torch.Size,
    torch.layout, torch.memory_format,
}  # fmt: skip
_LIBRARIES = {
    "torch", "funcnet", "optree", "builtins", "math", "cmath", "operator", "_operator", "functools", "itertools",
    "collections", "typing", "dataclasses", "types", "enum", "abc", "numbers", "copy",
}  # fmt: skip
_PURE = {
    "abs", "all", "any", "bool", "callable", "complex", "dict", "divmod", "enumerate", "filter", "float", "frozenset",
    "getattr", "hasattr", "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min", "next",
    "object", "pow", "property", "range", "repr", "reversed", "round", "set", "slice", "sorted", "str", "sum", "super",
    "tuple", "zip",
}  # fmt: skip
_IMPURE = {
    name
    for name, value in vars(builtins).items()
    if name not in _PURE and not (isinstance(value, type) and issubclass(value, BaseException))
} | {"__import__"}
_OF_TRACERS = {  # attributes that differ while tracing, as `type(x)` does, and settings of torch
    *("__class__", "data_ptr", "_version"),
    *("get_num_threads", "are_deterministic_algorithms_enabled"),
}
_OF_CLASSES = {
    "__annotations__", "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__", "__eq__", "__hash__",
    "__match_args__", "__module__", "__repr__", "__replace__", "__slots__", "__weakref__", "__orig_bases__",
    "__getnewargs__", "_make", "_replace", "_asdict", "_field_defaults", "_fields", "__static_attributes__",
    "__firstlineno__", "__annotate_func__", "__annotations_cache__", "__classdictcell__", "__parameters__",
    "__abstractmethods__", "_abc_impl",
}  # fmt: skip


def _root(name: Any) -> str:
    return str(name).partition(".")[0]


def _key(key: Any) -> Hashable:
    if type(key) not in _ATOMS and not (type(key) is tuple and all(type(part) in _ATOMS for part in key)):
        raise UnknownStateError(f"a key of type {type(key).__name__}")
    return static(key)


def _is_of_library(kind: type, value: Any) -> bool:
    """Tell whether a value is a constant of torch, optree or Python, such as an operation."""
    if kind is BuiltinFunctionType:
        return _root(value.__module__) in {*_LIBRARIES, "_torch"} or isinstance(value.__self__, type)
    if kind is Structure:
        return True
    return kind.__module__ in ("torch._ops", "builtins") and kind.__name__ in (
        "OpOverload", "OpOverloadPacket", "method_descriptor", "wrapper_descriptor", "getset_descriptor",
    )  # fmt: skip


def _is_python(cls: type) -> bool:
    """Tell whether all of the state that a class adds to its instances is in their `__dict__`."""
    if cls is Generic:
        return True
    is_heap = bool(cls.__flags__ & 1 << 9)  # not a type of C, such as list
    return is_heap and "__slots__" not in vars(cls) and _root(cls.__module__) not in _LIBRARIES - {"torch", "funcnet"}


def _inner(value: Any) -> Any:
    """Return the function of a descriptor of a class."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    return value.fget if isinstance(value, property) else value


def _matters(value: Any) -> bool:
    """Tell whether a value of a class is data or code, and not a slot."""
    return not isinstance(value, MemberDescriptorType | GetSetDescriptorType | _FIELD)


Names = tuple[list[str], list[str]]  # those of global variables, and all, attributes included

_CODES: dict[int, tuple[CodeType, Names]] = {}
_MOST = 4096


def _names(code: CodeType) -> Names:
    """List the names that a code, including that of nested functions, looks up; an import counts as `__import__`."""
    known = _CODES.get(id(code))
    if known is None:
        if len(_CODES) >= _MOST:
            _CODES.clear()
        known = _CODES[id(code)] = code, _found(code)
    return known[1]


def _found(code: CodeType) -> Names:
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    variables = [name for kind, name in steps if kind in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")]
    variables += ["__import__" for kind, _ in steps if kind == "IMPORT_NAME"]
    inner = [_found(part) for part in code.co_consts if iscode(part)]
    variables += [name for found, _ in inner for name in found]
    names = [*code.co_names, *(name for _, found in inner for name in found)]
    return list(dict.fromkeys(variables)), list(dict.fromkeys(names))


def _restored(holder: Any, saved: Any) -> bool:
    """Put a saved copy back; return whether something had changed."""
    match holder:
        case list():
            changed = len(holder) != len(saved) or any(a is not b for a, b in zip(holder, saved, strict=True))
            holder[:] = saved if changed else holder
        case set():
            changed = holder != saved
            if changed:
                holder.clear()
                holder.update(saved)
        case dict():
            changed = [*holder] != [*saved] or any(holder[key] is not saved[key] for key in saved)
            if changed:
                holder.clear()
                holder.update(saved)
        case CellType():
            changed = holder != _EMPTY and holder.cell_contents is not saved
            holder.cell_contents = saved if changed else holder.cell_contents
        case (dict() as variables, str() as name):
            changed = variables.get(name) is not saved
            variables[name] = saved
        case _:
            changed = any(vars(holder).get(name) is not value for name, value in saved.items())
            for name, value in saved.items() if changed else ():
                setattr(holder, name, value)
    return changed
