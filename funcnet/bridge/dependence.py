"""Tests whether the output of a module depends on values that its last call left in its attributes."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from funcnet import _torch, tree
from funcnet.bridge.hidden_state import MISSING, Attribute, Memory, holder, leaves, separate

_COMPARISONS = (
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__bool__",
    "__index__",
    "__int__",
    "__float__",
)
_LOOKS = (
    "__getitem__",
    "__iter__",
    "__len__",
    "__contains__",
    "__reversed__",
    "get",
    "items",
    "keys",
    "values",
    "count",
)
_TAKES = ("pop", "popleft", "popitem", "index")
_READS = (*_COMPARISONS, *_LOOKS, *_TAKES)
_ONE_SIDED = ("__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__")
_SUMS = (*_ONE_SIDED, *(name.replace("__", "__r", 1) for name in _ONE_SIDED), "__neg__", "__abs__")
_VALUES = ("item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "equal", "allclose")


class Watch(TorchFunctionMode):
    """A torch function mode that tracks tensors and everything computed from them, and records reads of their values.

    Attributes:
        used: Whether Python has read a watched value.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        self.followed = {id(tensor): tensor for tensor in tensors}  # keeps tensors alive, so that ids stay unique
        self.used = False

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tree.leaves((args, kwargs))
        self.used = self.used or any(getattr(leaf, "watched_by", None) is self for leaf in given)
        out = function(*args, **(kwargs or {}))
        if self.reaches(given):
            name = getattr(function, "__name__", "")
            self.used = self.used or name in _VALUES
            written = args[:1] if name == "__setitem__" or (name.endswith("_") and name != "__get__") else ()
            self.follow((out, written))
        return out

    def follow(self, value: Any) -> None:
        self.followed.update({id(tensor): tensor for tensor in leaves(value)})

    def reaches(self, value: Any) -> bool:
        """Tell whether a value contains a tracked tensor."""
        return any(id(tensor) in self.followed for tensor in leaves(value))

    def note(self) -> None:
        self.used = True

    @contextmanager
    def reading(self, changed: Mapping[Attribute, Any]) -> Iterator[None]:
        """Watch reads of the attributes that are not tensors, both their present and their earlier values."""
        names: dict[Any, set[str]] = {}
        for (part, name), before in changed.items():
            value = vars(part).get(name)
            if type(value) in _WATCHABLE and type(value) is type(before):
                vars(part)[name] = _watched(value, self)
            elif not (isinstance(value, Tensor) and isinstance(before, Tensor)):
                names.setdefault(part, set()).add(name)
        classes = {part: type(part) for part in names}
        for part, watched in names.items():
            part.__class__ = _reader(type(part), watched, self)
        try:
            yield
        finally:
            for part, cls in classes.items():
                part.__class__ = cls


def _reader(cls: type, names: set[str], watch: Watch) -> type:
    """Make a subclass whose instances report when one of these attributes is read before it is written."""

    def read(self: Any, name: str) -> Any:
        if name in names:
            watch.note()
        return super(made, self).__getattribute__(name)

    def write(self: Any, name: str, value: Any) -> None:
        names.discard(name)
        super(made, self).__setattr__(name, value)

    made: Any = type(
        cls.__name__, (cls,), {"__getattribute__": read, "__setattr__": write, "__module__": cls.__module__}
    )
    return made


_WATCHABLE = (int, float, list, dict, set, deque)


def _watched(value: Any, watch: Watch | None) -> Any:
    new = _watchable(value.__class__)(value)
    new.watched_by = watch
    return new


@cache
def _watchable(base: Any) -> Any:
    """Make a class of numbers or containers that report when they are read; sums with a number are of that class."""
    made: Any = type(base.__name__, (base,), {"__hash__": base.__hash__})
    for name in _READS:
        if hasattr(base, name):
            setattr(made, name, _noting(getattr(base, name)))
    for name in _SUMS if base in (int, float) else ():
        if hasattr(base, name):
            setattr(made, name, _summing(getattr(base, name)))
    return made


def _noting(method: Callable[..., Any]) -> Callable[..., Any]:
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (watch := getattr(self, "watched_by", None)) is not None:
            watch.note()
        return method(self, *args, **kwargs)

    return read


def _summing(method: Callable[..., Any]) -> Callable[..., Any]:
    def compute(self: Any, *args: Any) -> Any:
        value = method(self, *args)
        return _watched(value, getattr(self, "watched_by", None)) if type(value) in (int, float) else value

    return compute


class Judge:
    """Decides whether a module may change attributes, which are restored after a call.

    It may if its output does not depend on them, for example if it stores attention weights for plots, or if they cache
    a value that does not depend on the arguments.
    """

    def __init__(self, name: str, memory: Memory, paths: Mapping[nn.Module, str]) -> None:
        self.name, self.memory, self.paths = name, memory, paths
        self.harmless: set[Any] = set()

    def check(self, run: Callable[..., Any], first: Any, arguments: Any) -> None:
        """Raise if the next call's output would depend on the changes of this call, whose results are `first`."""
        changed = self.memory.changed()
        shapes = tuple(leaf.shape for leaf in tree.leaves(arguments) if isinstance(leaf, Tensor))
        key = frozenset(changed), shapes
        if changed and key not in self.harmless:
            if any(part is None for part, _ in changed) or not self.is_harmless(changed, run, first):
                raise self.error(list(changed))
            self.harmless.add(key)

    def is_harmless(self, changed: Mapping[Attribute, Any], run: Callable[..., Any], first: Any) -> bool:
        """Call the module again, and tell whether its output depends on the changes only as on a cache.

        A cache is an attribute that was empty before the first call, gets a value that does not depend on the
        arguments, and does not change the output.
        """
        watch = Watch(separate(changed))
        try:
            with watch.reading(changed):
                second = run(watch)
        except Exception:  # the first run did not raise
            return False
        agree = same(first, second)
        if not watch.used and not watch.reaches(second):
            return agree is not False
        if agree is not True or not all(_is_empty(before) for before in changed.values()):
            return False
        self.memory.rewind()
        watch = Watch([])
        run(watch, follow=True)
        changed = self.memory.changed()
        return not any(watch.reaches(holder(part, name).get(name)) for part, name in changed if part is not None)

    def error(self, changed: list[Attribute]) -> ValueError:
        names = [name if part is None else ".".join(filter(None, (self.paths[part], name))) for part, name in changed]
        _, name = changed[0]
        return ValueError(
            f"{self.name}: forward changes {', '.join(map(repr, sorted(names)))}, and the output of the next call "
            "depends on it, expected a module that keeps such values in buffers. Register one in the constructor, with "
            f"self.register_buffer({name!r}, torch.zeros(3)), with a 0-d tensor for a number, and assign a tensor of "
            "the same shape to it in forward: it is then part of the state. For a table that grows with the input, "
            "call the module on its longest input before from_module. If a number decides only what forward prints or "
            "logs, count, print and log outside forward."
        )


def _is_empty(before: Any) -> bool:
    """Tell whether an attribute was empty, as before a first call."""
    return before is MISSING or before is None or before is False or isinstance(before, dict | list | set | deque)


def same(a: Any, b: Any) -> bool | None:
    """Tell whether two results hold the same values; None if values are unknown and not the same traced value."""
    (left, structure), (right, other) = tree.flatten(a), tree.flatten(b)
    if structure != other:
        return False
    found = set(map(_same, left, right))
    return False if False in found else None if None in found else True


def _same(a: Any, b: Any) -> bool | None:
    while _torch.is_wrapped(a) and _torch.is_wrapped(b):
        a, b = _torch.unwrap(a), _torch.unwrap(b)
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return type(a) is type(b) and bool(a is b or a == b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if type(a) not in (Tensor, nn.Parameter) or type(b) not in (Tensor, nn.Parameter):
        return True if getattr(a, "value", a) is getattr(b, "value", b) else None
    return bool(torch.isclose(a, b, rtol=0, atol=0, equal_nan=True).all())
