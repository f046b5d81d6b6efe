"""State that a module keeps between calls outside its parameters and buffers.

A tensor in a plain attribute that methods assign and read becomes part of the state. Everything else that a call
changes, such as a counter, a list or an attribute that was None, is restored after the call. This is correct only if no
output depends on the changes, so a call that changes something is repeated once while `Watch` tracks its changes.
"""

import copy
import dis
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from inspect import ismodule
from operator import is_
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor, nn

from funcnet import _torch, tree

_CONTAINERS = (dict, list, set, deque)
_OWN = ("_parameters", "_buffers")  # where a call puts its tensors
_IGNORED = (*_OWN, "_flat_weights", "_flat_weight_refs", "_non_persistent_buffers_set")  # and names derived from it

Attribute = tuple[nn.Module | None, str]  # an attribute of a submodule, or of a class


def attributes(module: nn.Module) -> dict[str, Tensor]:
    """Find tensors in plain attributes that methods other than the constructor assign and read, by dotted name."""
    found = {}
    kept = {cls: _kept(cls) for cls in set(map(type, module.modules()))}
    for path, part in module.named_modules():
        for name in sorted(kept[type(part)] & vars(part).keys()):
            if isinstance(vars(part)[name], Tensor):
                found[f"{path}.{name}" if path else name] = vars(part)[name]
    return found


def adopt(module: nn.Module) -> None:
    """Turn the tensors that `attributes` finds into buffers."""
    for path in attributes(module):
        owner, _, name = path.rpartition(".")
        part = module.get_submodule(owner)
        part.register_buffer(name, vars(part).pop(name), persistent=False)


def _kept(cls: type) -> set[str]:
    """Return the names of the attributes that methods other than the constructor assign and read."""
    codes = [method.__code__ for method in _methods(cls)]
    assigned, read = ({name for code in codes for name in _names(code, kind)} for kind in ("STORE_ATTR", "LOAD_ATTR"))
    return assigned & read


def _methods(cls: type) -> Iterator[FunctionType]:
    for base in cls.__mro__:
        if base.__module__.split(".")[0] != "torch":
            for name, value in vars(base).items():
                function = getattr(value, "fget", None) or getattr(value, "__func__", value)
                if isinstance(function, FunctionType) and name != "__init__":
                    yield function


@lru_cache(maxsize=10_000)
def _names(code: CodeType, instruction: str) -> frozenset[str]:
    """Return the names that one kind of instructions has in a function and its nested functions."""
    own = {each.argval for each in dis.get_instructions(code) if each.opname == instruction}
    return frozenset(
        own.union(*(_names(inner, instruction) for inner in code.co_consts if isinstance(inner, CodeType)))
    )


class Memory:
    """A snapshot of the attributes of a module's parts, and of the containers and objects in them, between calls."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        self.outside = list(_outside(parts))
        self.stores = [*_stores(parts), *_containers(self.outside)]
        self.before = [copy.copy(store) for _, _, store in self.stores]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Undo the changes of a call; the call writes to copies of tensors."""
        values = [_look_up(owner, name) for owner, name in self.outside]
        for i, (part, _, store) in enumerate(self.stores):
            if part is None:  # other code may have changed it since the last call
                self.before[i] = copy.copy(store)
        self.values = values
        self.rewind()
        try:
            yield
        finally:
            for (_, _, store), content in zip(self.stores, self.before, strict=True):
                if not _alike(store, content):
                    _fill(store, content)
            for (owner, name), value in zip(self.outside, values, strict=True):
                if _look_up(owner, name) is not value:
                    owner.update({name: value}) if isinstance(owner, dict) else setattr(owner, name, value)

    def rewind(self) -> None:
        """Restore everything, with copies of the tensors."""
        copies: dict[int, Any] = {}
        for (_, _, store), content in zip(self.stores, self.before, strict=True):
            if not _alike(store, content):
                _fill(store, content)
            for name, value in _tensors(store):
                store[name] = copies.setdefault(id(value), value.clone())
        self.start = [copy.copy(store) for _, _, store in self.stores]
        self.marks = [(tensor, _mark(tensor)) for tensor in copies.values()]

    def changed(self) -> dict[Attribute, Any]:
        """Return the attributes that the call rebound or wrote to, each with its previous value."""
        written = {id(tensor) for tensor, mark in self.marks if _mark(tensor) != mark}
        found: dict[Attribute, Any] = {}
        for (part, root, store), start in zip(self.stores, self.start, strict=True):
            if root in _OWN:  # existing values are part of the state
                new = ((name, value) for name, value in _differences(store, start, set()) if value in (None, MISSING))
                found.update({(part, name): value for name, value in new})
            elif root not in _IGNORED and (written or not _alike(store, start)):
                for name, value in _differences(store, start, written):
                    found[part, root or name] = store if root else value
        for (owner, name), value in zip(self.outside, self.values, strict=True):
            if _look_up(owner, name) is not value:
                found[None, _label(owner, name)] = value
        return {each: value for each, value in found.items() if each[1] not in _IGNORED}


def separate(changed: Mapping[Attribute, Any]) -> list[Tensor]:
    """Give attributes their own containers and tensors, so that the next call does not modify those of the last one."""
    copies: dict[int, Any] = {}
    for part, name in changed:
        if part is not None and name in (store := holder(part, name)):
            store[name] = _separate(store[name], copies)
    return [value for value in copies.values() if isinstance(value, Tensor)]


def holder(part: nn.Module, name: str) -> dict[str, Any]:
    """Find which of a part's dicts holds an attribute."""
    stores = (getattr(part, own) for own in _OWN)
    return next((store for store in stores if name in store), vars(part))


def _separate(value: Any, copies: dict[int, Any]) -> Any:
    if id(value) in copies:
        return copies[id(value)]
    if isinstance(value, Tensor):
        return copies.setdefault(id(value), value.clone())
    if type(value) not in _CONTAINERS:
        return value
    new = copies[id(value)] = copy.copy(value)
    parts = [(name, _separate(inner, copies)) for name, inner in value.items()] if isinstance(value, dict) else None
    _fill(new, [_separate(inner, copies) for inner in value] if parts is None else parts)
    return new


def _stores(parts: Sequence[nn.Module]) -> Iterator[tuple[nn.Module, str | None, Any]]:
    """Yield the attributes of each part, and the containers reachable from them with the attribute that leads there."""
    seen: set[int] = set()
    for part in parts:
        yield part, None, vars(part)
        rest = [(name, value) for name, value in vars(part).items()]
        while rest:
            root, value = rest.pop()
            if id(value) in seen or isinstance(value, (Tensor, nn.Module, type, FunctionType)):
                continue
            if isinstance(value, _CONTAINERS):
                seen.add(id(value))
                yield part, root, value
                rest += [(root, inner) for inner in (value.values() if isinstance(value, dict) else value)]
            elif isinstance(value, tuple):
                rest += [(root, inner) for inner in value]
            elif type(value).__module__.split(".")[0] not in ("torch", "builtins", "funcnet") and hasattr(
                value, "__dict__"
            ):
                rest.append((root, vars(value)))


def _outside(parts: Sequence[nn.Module]) -> Iterator[tuple[Any, str]]:
    """Yield the class attributes and the global variables that the parts' methods name, with their owners."""
    for cls in dict.fromkeys(base for part in parts for base in type(part).__mro__):
        if cls.__module__.split(".")[0] not in ("torch", "builtins"):
            yield from ((cls, name) for name, value in vars(cls).items() if not (name[:2] == "__" or callable(value)))
    seen: set[tuple[int, str]] = set()
    for method in (method for cls in dict.fromkeys(map(type, parts)) for method in _methods(cls)):
        scope = method.__globals__
        for name in {*_names(method.__code__, "STORE_GLOBAL"), *_names(method.__code__, "LOAD_GLOBAL")} & scope.keys():
            if not callable(scope[name]) and not ismodule(scope[name]) and (id(scope), name) not in seen:
                seen.add((id(scope), name))
                yield scope, name


def _containers(outside: list[tuple[Any, str]]) -> Iterator[tuple[None, str, Any]]:
    values = ((owner, name, _look_up(owner, name)) for owner, name in outside)
    yield from ((None, _label(owner, name), value) for owner, name, value in values if isinstance(value, _CONTAINERS))


def _look_up(owner: Any, name: str) -> Any:
    return (owner if isinstance(owner, dict) else vars(owner)).get(name, MISSING)


def _label(owner: Any, name: str) -> str:
    return name if isinstance(owner, dict) else f"{owner.__name__}.{name}"


def _mark(tensor: Tensor) -> Any:
    """Identify the values of a tensor between two writes."""
    return getattr(tensor, "value", None) or _torch.version(tensor)


def _tensors(store: Any) -> list[tuple[Any, Tensor]]:
    """List the tensors with values in a dict, list or deque, with their keys or indices."""
    places = store.items() if isinstance(store, dict) else () if isinstance(store, set) else enumerate(store)
    return [(name, value) for name, value in places if isinstance(value, Tensor) and not value.is_meta]


def _fill(store: Any, content: Any) -> None:
    store.clear()
    store.extend(content) if isinstance(store, list | deque) else store.update(content)


def _alike(store: Any, content: Any) -> bool:
    """Tell whether two containers of one type hold the same objects."""
    if len(store) != len(content):
        return False
    if isinstance(store, dict):
        return all(map(is_, store.keys(), content.keys())) and all(map(is_, store.values(), content.values()))
    return store == content if isinstance(store, set) else all(map(is_, store, content))


def _differences(store: Any, start: Any, written: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the keys whose value in a container is another object, or a tensor that was written to."""
    if isinstance(store, dict):
        for name in dict.fromkeys((*start, *store)):
            now, then = store.get(name, MISSING), start.get(name, MISSING)
            if now is not then or id(now) in written:
                yield name, then
    elif not _alike(store, start) or any(id(value) in written for value in store):
        yield "", start


class _Missing:
    """The value of a missing attribute."""


MISSING = _Missing()


def leaves(value: Any) -> list[Tensor]:
    """List the tensors in a value, its containers and the attributes of its objects."""
    found, rest, seen = list[Tensor](), [value], set[int]()
    while rest:
        for leaf in tree.leaves(rest.pop()):
            if isinstance(leaf, Tensor):
                found.append(leaf)
            elif id(leaf) not in seen and not isinstance(leaf, nn.Module | type):
                seen.add(id(leaf))
                rest.append(list(leaf) if isinstance(leaf, deque | set) else getattr(leaf, "__dict__", None))
    return found
