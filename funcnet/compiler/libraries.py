"""Which values of Python, torch and this library are constant, and which functions of Python depend on nothing else."""

import builtins
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Generic

from funcnet.tree import Structure

LIBRARIES = {
    "torch", "funcnet", "optree", "builtins", "math", "cmath", "operator", "_operator", "functools", "itertools",
    "collections", "typing", "dataclasses", "types", "enum", "abc", "numbers", "copy",
}  # fmt: skip
_PURE = {
    "abs", "all", "any", "bool", "callable", "complex", "dict", "divmod", "enumerate", "filter", "float", "frozenset",
    "getattr", "hasattr", "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min", "next",
    "object", "pow", "property", "range", "repr", "reversed", "round", "set", "slice", "sorted", "str", "sum", "super",
    "tuple", "zip",
}  # fmt: skip
IMPURE = {
    name
    for name, value in vars(builtins).items()
    if name not in _PURE and not (isinstance(value, type) and issubclass(value, BaseException))
} | {"__import__"}


def root(name: Any) -> str:
    return str(name).partition(".")[0]


def is_library_constant(kind: type, value: Any) -> bool:
    """Tell whether a value is a constant of torch, optree or Python, such as an operation."""
    if kind is BuiltinFunctionType:
        if value.__module__ == "builtins" and isinstance(value.__self__, ModuleType):
            return value.__name__ in _PURE
        return root(value.__module__) in {*LIBRARIES, "_torch"} or isinstance(value.__self__, type)
    if kind is Structure:
        return True
    return kind.__module__ in ("torch._ops", "builtins") and kind.__name__ in (
        "OpOverload", "OpOverloadPacket", "method_descriptor", "wrapper_descriptor", "getset_descriptor",
    )  # fmt: skip


def is_python(cls: type) -> bool:
    """Tell whether all of the state that a class adds to its instances is in their `__dict__`."""
    if cls is Generic:
        return True
    is_plain = cls.__basicsize__ <= _Plain.__basicsize__ and not cls.__itemsize__  # no slots, nor a type of C
    return is_plain and "__slots__" not in vars(cls) and root(cls.__module__) not in LIBRARIES - {"torch", "funcnet"}


class _Plain:
    """A class of Python; the size of its instances."""


def is_of_libraries(value: Any) -> bool:
    """Tell whether a class or module is one of torch, this library or Python's that has no state."""
    return root(value.__module__ if isinstance(value, type) else value.__name__) in LIBRARIES


def is_foreign(f: FunctionType) -> bool:
    """Tell whether a function is neither one of the libraries nor of Python."""
    return root(f.__globals__.get("__name__")) not in LIBRARIES | sys.stdlib_module_names
