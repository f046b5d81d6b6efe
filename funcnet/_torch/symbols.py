"""torch's Python rules without its symbolic shapes, whose import of sympy takes 0.4 s, while all sizes are numbers.

The rules import both modules when they run, to look for symbols among their arguments. While a rule may run, light
modules are in their places. These know the few functions that rules call with numbers; any other use imports the real
modules.

Checked: torch/_prims_common/__init__.py, torch/fx/experimental/symbolic_shapes.py, 2.13.0.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from operator import and_, eq, or_
from types import ModuleType
from typing import Any

from torch import Tensor

_SYMPY, _SHAPES = "sympy", "torch.fx.experimental.symbolic_shapes"


@contextmanager
def without_symbols() -> Iterator[None]:
    """Put light modules in the places of both, unless they are already imported."""
    if _SYMPY in sys.modules or _SHAPES in sys.modules:
        yield
        return
    sys.modules.update(_LIGHT)
    try:
        yield
    finally:
        _remove()


def _remove() -> None:
    for name, module in _LIGHT.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


def _real(module: str, name: str) -> Any:
    """Return an attribute of the real module, by which the light one is replaced, also where it has been imported."""
    _remove()
    real = import_module(module)
    vars(_LIGHT[module]).update((key, value) for key, value in vars(real).items() if not key.startswith("__"))
    return getattr(real, name)


class _Light(ModuleType):
    """A module that is imported when an attribute is read that it does not have."""

    def __getattr__(self, name: str) -> Any:
        is_package = self.__name__ == _SYMPY and name == "__path__"  # which the import of a submodule reads
        if name.startswith("__") and not is_package:
            raise AttributeError(name)
        return _real(self.__name__, name)


class _Class:
    """A substitute for a class of sympy, which has no instances until sympy is imported."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __instancecheck__(self, value: object) -> bool:
        return type(value).__module__.split(".")[0] == _SYMPY and isinstance(value, _real(_SYMPY, self.name))

    def __subclasscheck__(self, value: type) -> bool:
        return issubclass(value, _real(_SYMPY, self.name))

    def __mro_entries__(self, _: object) -> tuple[type]:
        return (_real(_SYMPY, self.name),)

    def __or__(self, other: Any) -> Any:
        return _real(_SYMPY, self.name) | other

    def __ror__(self, other: Any) -> Any:
        return other | _real(_SYMPY, self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(_real(_SYMPY, self.name), name)


def _of_numbers(name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """Leave arguments other than numbers, tensors and sequences of them to torch's function of this name."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return f(*args) if not kwargs and all(map(_is_plain, args)) else _real(_SHAPES, name)(*args, **kwargs)

    return call


def _is_plain(value: object) -> bool:
    """Tell whether a value has no symbols; the strides of a tensor have none if its sizes have none."""
    if isinstance(value, Tensor):
        return _is_plain(value.shape)
    return type(value) in (bool, int) or (isinstance(value, tuple | list) and all(map(_is_plain, value)))


def _same(value: Any) -> Any:
    return value


def sym_eq(a: Any, b: Any) -> bool:
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(sym_eq, a, b))
    return eq(a, b)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "expect_true": _same,
    "free_unbacked_symbols": lambda _: frozenset(),
    "guard_or_false": _same,
    "guard_or_true": _same,
    "guard_size_oblivious": _same,
    "guarding_hint_or_throw": _same,
    "has_free_unbacked_symbols": lambda _: False,
    "has_guarding_hint": lambda _: True,
    "is_nested_int": lambda _: False,
    "statically_known_true": _same,
    "sym_and": lambda *values: reduce(and_, values),
    "sym_eq": sym_eq,
    "sym_or": lambda *values: reduce(or_, values),
}
_LIGHT = {name: _Light(name) for name in (_SYMPY, _SHAPES)}
vars(_LIGHT[_SYMPY]).update(Basic=_Class("Basic"))
vars(_LIGHT[_SHAPES]).update({name: _of_numbers(name, f) for name, f in _FUNCTIONS.items()})
