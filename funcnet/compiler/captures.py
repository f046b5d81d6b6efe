"""The tensors that a jitted function closes over: paths to them, by which each call reads them again.

A place is a path of attributes, items and cells from a holder: the function, a function among its arguments, or the
instance of a method. Numbers and other objects on a path are constants of the program, and so are the lengths of
lists and the keys of dicts on it, because a function may loop over them, and the emptiness of containers without any.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from inspect import isbuiltin, isfunction, ismethod, ismodule
from itertools import count
from operator import getitem
from types import CellType
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.transforms.closures import leads_to_tensors
from funcnet.transforms.purity import global_names, global_values

Getter = Callable[[Any, Any], Any]
Path = tuple[tuple[Getter, Any], ...]  # (getter, key) of each step

_DATA = (Tensor, list, tuple, dict, deque)
_CONTAINERS = (list, dict, deque)
_MOST = 10_000  # most objects to search for the tensors of one program
_NEAR = 1_000  # most objects to search for empty containers


class Places:
    """The places of captures; the part that paths have in common is followed once."""

    def __init__(self, tensors: Sequence[Tensor], holders: Sequence[Any]) -> None:
        self.steps: list[tuple[int, Getter, Any]] = []  # (number of an object, getter, key) to each further one
        self._numbers: dict[Path, int] = {(): 0}
        found, empty = _paths(tensors, holders)
        numbers = [[*map(self._number, paths)] for paths in found]
        watched = [*map(self._number, empty)]
        hidden = [tensor for tensor, found in zip(tensors, numbers, strict=True) if not found]
        self.hidden, rest = hidden, count(len(self.steps) + 1)  # objects without a path follow those with one
        self.numbers = [found[0] if found else next(rest) for found in numbers]
        self.same = [(found[0], other) for found in numbers for other in found[1:]]
        objects = self._objects(holders)
        self.contents = [(number, _content(objects[number])) for number in (*self._containers(), *watched)]

    def _number(self, path: Path) -> int:
        """Return the number of the object at a path, after adding the steps to it."""
        number = 0
        for length, (get, key) in enumerate(path, 1):
            if (start := path[:length]) not in self._numbers:
                self.steps.append((number, get, key))
                self._numbers[start] = len(self.steps)
            number = self._numbers[start]
        return number

    def _containers(self) -> set[int]:
        """Return the numbers of lists, tuples and dicts on a path; an object may get further attributes."""
        fixed = (number for number, (_, _, key) in enumerate(self.steps, 1) if key in ("__dict__", "__closure__"))
        return {number for number, get, _ in self.steps if get in (getitem, _stored)}.difference(fixed, [0])

    def _objects(self, holders: Sequence[Any]) -> list[Any]:
        """Return the objects on the paths, in the order of their numbers."""
        objects: list[Any] = [holders]
        for number, get, key in self.steps:
            objects.append(get(objects[number], key))
        return objects

    def read(self, holders: Sequence[Any]) -> list[Any] | None:
        """Return the objects that are now at the places.

        Return None if one is missing, if places of one tensor differ, or if a container has another length or keys.
        """
        if not self.steps:
            return self.hidden
        steps = [(place, *step) for place, step in enumerate(self.steps, 1)]
        return self._read([holders, *[None] * len(steps), *self.hidden], steps)

    def reader(self, holders: Sequence[Any]) -> Callable[[], list[Any] | None]:
        """Return a function that does the same for these holders, whose places can be read now.

        It does not repeat the steps that always lead to the same object.
        """
        start: list[Any] = [tuple(holders)]
        steps = []
        for place, (number, get, key) in enumerate(self.steps, 1):
            is_fixed = _is_fixed(start[number], get, key)
            start.append(get(start[number], key) if is_fixed else None)
            if not is_fixed:
                steps.append((place, number, get, key))
        return partial(self._read, [*start, *self.hidden], steps)

    def _read(self, start: list[Any], steps: list[tuple[int, int, Getter, Any]]) -> list[Any] | None:
        objects = start.copy()
        try:
            for place, number, get, key in steps:
                objects[place] = get(objects[number], key)
            for number, content in self.contents:
                if _content(objects[number]) != content:
                    return None
        except (AttributeError, LookupError, TypeError, ValueError):
            return None
        for first, other in self.same:
            if objects[first] is not objects[other]:
                return None
        return [objects[number] for number in self.numbers]


def _content(container: Any) -> int | list[Any]:
    """Return what a program depends on besides the items: a length, or keys in their order."""
    return [*container] if isinstance(container, dict) else len(container)


def _stored(container: Any, key: Any) -> Any:
    """Return an item of a dict whose class makes missing ones."""
    if not dict.__contains__(container, key):
        raise KeyError(key)
    return container[key]


def _is_fixed(value: Any, get: Getter, key: Any) -> bool:
    """Tell whether a step always leads to the same object: to an item of a tuple, or the cells of a function."""
    return (get is getitem and value.__class__ is tuple) or (key == "__closure__" and isfunction(value))


def _paths(tensors: Sequence[Tensor], holders: Sequence[Any]) -> tuple[list[list[Path]], list[Path]]:
    """Return for each tensor the paths to it from the holders; and the paths to empty containers.

    A tensor in a set, or hidden in C, has no path. Empty attributes, of which a module has many, are left out.
    """
    found: dict[int, list[Path]] = {id(tensor): [] for tensor in tensors}
    seen, rest, empty = set[int](), deque[tuple[Path, Any]]([((), holders)]), list[Path]()
    while rest and len(seen) < (_MOST if found else _NEAR):
        path, value = rest.popleft()
        if isinstance(value, Tensor):
            found.get(id(value), []).append(path)
        elif id(value) not in seen:
            seen.add(id(value))
            rest.extend(((*path, (get, key)), child) for get, key, child in _children(value))
            if isinstance(value, _CONTAINERS) and not value and len(seen) <= _NEAR and _is_variable(path):
                empty.append(path)
    return [found[id(tensor)] for tensor in tensors], empty


def _is_variable(path: Path) -> bool:
    """Tell whether a path leads through variables and items, not to attributes or the arguments of a partial."""
    return not any(key in ("__dict__", "__self__", "keywords") for _, key in path)


def _children(value: Any) -> Iterator[tuple[Getter, Any, Any]]:
    """Yield (getter, key, child) for each object directly inside a container, function or object."""
    if isinstance(value, dict):
        get = _stored if hasattr(value, "__missing__") else getitem
        yield from ((get, key, child) for key, child in dict.items(value))  # a subclass may load more in its own
    elif isinstance(value, list | tuple | deque):
        yield from ((getitem, i, child) for i, child in enumerate(value))
    elif isfunction(value):
        yield from _globals(value)
    if not ismodule(value):
        yield from ((getattr, name, getattr(value, name)) for name in _attributes(value))


def _globals(f: Any) -> Iterator[tuple[Getter, Any, Any]]:
    """Yield the global variables of a function, and the data and functions whose names it mentions in modules."""
    yield from ((_global, name, child) for name, child in global_values(f).items())
    names, values = global_names(f), f.__globals__
    for name, value in ((name, values[name]) for name in names if name in values):
        if isinstance(value, type):
            yield _global, name, value
        elif ismodule(value):
            yield from ((_in_module, (name, *path), child) for path, child in _in(value, names))


def _in(module: Any, names: Sequence[str], depth: int = 3) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in ((name, vars(module)[name]) for name in names if name in vars(module)):
        if isinstance(child, _DATA) or isfunction(child):
            yield (name,), child
        elif ismodule(child) and depth:
            yield from (((name, *path), inner) for path, inner in _in(child, names, depth - 1))


def _attributes(value: Any) -> list[str]:
    if isinstance(value, type):
        return _class_data(value)
    if isfunction(value):
        return ["__closure__", "__defaults__", "__kwdefaults__"]
    if isinstance(value, CellType):
        return [] if value == CellType() else ["cell_contents"]
    if isinstance(value, partial):
        return ["func", "args", "keywords"]
    if ismethod(value) or isbuiltin(value):
        return ["__self__", *(["__func__"] if ismethod(value) else [])]
    slots = [name for cls in type(value).__mro__ for name in _slots(cls) if hasattr(value, name)]
    return [*slots, *(["__dict__"] if type(value).__dictoffset__ else []), *_class_data(type(value))]


def _class_data(cls: type) -> list[str]:
    """List the attributes of a class that are tensors or containers."""
    found = {name: value for base in cls.__mro__[::-1] for name, value in vars(base).items()}
    return [name for name, value in found.items() if isinstance(value, _DATA) and not name.startswith("__")]


def _slots(cls: type) -> tuple[str, ...]:
    """List the attributes that a class declares in __slots__."""
    names = vars(cls).get("__slots__", ())
    names = (names,) if isinstance(names, str) else tuple(names)
    private = f"_{cls.__name__.lstrip('_')}"
    mangled = (private + name if name.startswith("__") and not name.endswith("__") else name for name in names)
    return tuple(name for name in mangled if name not in ("__dict__", "__weakref__"))


def _global(f: Any, name: str) -> Any:
    return f.__globals__[name]


def _in_module(f: Any, path: Sequence[str]) -> Any:
    first, *rest = path
    return reduce(getattr, rest, f.__globals__[first])


def is_function(leaf: Any) -> bool:
    """Tell whether an argument is a function, whose tensors are captures."""
    return isfunction(leaf) or ismethod(leaf) or isbuiltin(leaf) or isinstance(leaf, partial)


def check_objects(args: Any, kwargs: Any, own: Any) -> None:
    """Raise for an argument that holds tensors and is not a pytree node; `own`, the instance of a method, may."""
    for i, leaf in enumerate(tree.leaves((args, kwargs))):
        if leaf is own or isinstance(leaf, Tensor) or is_function(leaf) or not leads_to_tensors(leaf):
            continue
        path, name = tree.paths((args, kwargs))[i], type(leaf).__name__
        raise TypeError(
            f"jit: at path {path!r} (0: positional, 1: keyword arguments): got an object of class {name}, which holds"
            f" tensors and is not a pytree node, so later changes of it would be ignored. Make the class a node"
            " with fn.tree.register_dataclass, pass the tensors themselves, or close over the object."
        )
