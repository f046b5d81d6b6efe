"""Paths as tuples of keys, as in jax.tree_util."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optree

from funcnet.tree.flattening import NAMESPACE, Structure, Tree, too_deep

KeyPath = tuple[Any, ...]
IsLeaf = Callable[[Any], bool] | None


@dataclass(frozen=True)
class DictKey:
    """A key of a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True)
class SequenceKey:
    """An index of a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx}]"


@dataclass(frozen=True)
class GetAttrKey:
    """A field of a NamedTuple, a dataclass or another object."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True)
class FlattenedIndexKey:
    """The position among the children of a node whose class names none."""

    key: Any

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


def flatten_with_path(tree: Tree, is_leaf: IsLeaf = None) -> tuple[list[tuple[KeyPath, Any]], Structure]:
    """Split a tree into pairs of a path and a leaf, and its structure.

    A path is a tuple of `DictKey`, `SequenceKey`, `GetAttrKey` and `FlattenedIndexKey`; see `keystr`.

    Example:
        >>> pairs, _ = fn.tree.flatten_with_path({"w": [3.0]})
        >>> pairs
        [((DictKey(key='w'), SequenceKey(idx=0)), 3.0)]
    """
    try:
        accessors, leaves, structure = optree.tree_flatten_with_accessor(tree, is_leaf, namespace=NAMESPACE)
    except RecursionError as error:
        raise too_deep() from error
    paths = [tuple(map(_key, accessor)) for accessor in accessors]
    return list(zip(paths, leaves, strict=True)), structure


def leaves_with_path(tree: Tree, is_leaf: IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """List pairs of a path and a leaf; see `flatten_with_path`.

    Example:
        >>> fn.tree.leaves_with_path({"w": 1, "b": (2, 3)})[0]
        ((DictKey(key='b'), SequenceKey(idx=0)), 2)
    """
    return flatten_with_path(tree, is_leaf)[0]


def keystr(path: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """Return the text of a path, an expression that leads from the tree to the leaf.

    Args:
        path: A path of `flatten_with_path`.
        simple: Whether to leave out brackets and dots.
        separator: Put between the keys.
    Example:
        >>> path, _ = fn.tree.leaves_with_path({"w": [3.0]})[0]
        >>> fn.tree.keystr(path), fn.tree.keystr(path, simple=True, separator="/")
        ("['w'][0]", 'w/0')
    """
    return separator.join(_simple(key) if simple else str(key) for key in path)


def _simple(key: Any) -> str:
    return str(next(iter(vars(key).values())))


def _key(entry: Any) -> Any:
    if isinstance(entry, optree.NamedTupleEntry | optree.StructSequenceEntry):
        return GetAttrKey(entry.field)
    if isinstance(entry, optree.SequenceEntry):
        return SequenceKey(entry.entry)
    if isinstance(entry, optree.MappingEntry):
        return DictKey(entry.entry)
    if isinstance(entry, optree.GetAttrEntry):
        return GetAttrKey(entry.entry)
    return FlattenedIndexKey(entry.entry)
