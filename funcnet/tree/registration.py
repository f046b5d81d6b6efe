"""Registration of dataclasses as pytree nodes."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import optree
from torch import Tensor
from torch.serialization import add_safe_globals

from funcnet.tree.flattening import NAMESPACE

Class = TypeVar("Class", bound=type[Any])


def register_dataclass(cls: Class) -> Class:
    """Make a dataclass a node: its fields are the children, those with metadata {"static": True} part of the structure.

    Rebuilding skips `__init__` and `__post_init__`, so that a node may hold any leaf. `torch.load` can read objects of
    the class with its default, weights_only=True.

    Args:
        cls: A dataclass.
    Returns:
        The same class.
    Raises:
        TypeError: cls is not a dataclass.
    Example:
        >>> @fn.tree.register_dataclass
        ... @dataclasses.dataclass(frozen=True)
        ... class Affine:
        ...     w: float
        ...     name: str = dataclasses.field(default="out", metadata={"static": True})
        >>> fn.tree.map(lambda w: 2 * w, Affine(3.0))
        Affine(w=6.0, name='out')
    """
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"register_dataclass: expected a dataclass, got {cls.__name__}. Put @dataclass below it.")
    register_fields(cls)
    add_safe_globals([cls])
    return cls


def register_fields(cls: type[Any]) -> None:
    """Make a dataclass a node, as `register_dataclass` does."""
    fields = dataclasses.fields(cls)
    static = tuple(field.name for field in fields if field.metadata.get("static"))
    children = tuple(field.name for field in fields if field.name not in static)
    register_with_fields(cls, children, static)


def register_attributes(cls: type[Any]) -> None:
    """Make a class a node: its attributes that are tensors, containers or nodes are children, the others structure."""

    def flatten_node(node: Any) -> tuple[Any, Any, Any]:
        attributes = dict(vars(node))
        known = attributes.pop(_CHILDREN, ())
        children = tuple(name for name in sorted(attributes) if name in known or _is_child(attributes[name]))
        static = tuple((name, attributes[name]) for name in sorted(attributes) if name not in children)
        return [attributes[name] for name in children], (children, static), children

    def unflatten_node(metadata: Any, values: Any) -> Any:
        children, static = metadata
        names = *children, *(name for name, _ in static), _CHILDREN
        return _rebuilt(cls, names, (*values, *(value for _, value in static), children))

    _register(cls, flatten_node, unflatten_node)


_CHILDREN = "_children_of_node"  # which attributes are children, whatever has replaced the tensors in them


def _is_child(value: Any) -> bool:
    return isinstance(value, Tensor) or not optree.tree_is_leaf(value, none_is_leaf=True, namespace=NAMESPACE)


def _rebuilt(cls: type[Any], names: Iterable[str], values: Iterable[Any]) -> Any:
    node = object.__new__(cls)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(node, name, value)
    return node


def register_with_fields(cls: Any, children: Sequence[str], static: Sequence[str]) -> Any:
    """Make a class a node with these attributes as children, and others as part of its structure; return the class."""

    def flatten_node(node: Any) -> tuple[Any, Any, Any]:
        return [getattr(node, n) for n in children], tuple(getattr(node, n) for n in static), tuple(children)

    def unflatten_node(metadata: Any, values: Any) -> Any:
        return _rebuilt(cls, (*children, *static), (*values, *metadata))

    _register(cls, flatten_node, unflatten_node)
    return cls


def register_node(
    cls: Any, flatten: Callable[[Any], tuple[Iterable[Any], Any]], unflatten: Callable[[Any, Any], Any]
) -> None:
    """Make a class a node.

    Args:
        cls: A class.
        flatten: From an object to (children, the rest), where the rest is hashable and part of the structure.
        unflatten: From (the rest, children) to an object.
    Raises:
        ValueError: The class is a node already.
    Source:
        jax.tree_util.register_pytree_node.
    """
    optree.register_pytree_node(cls, flatten, unflatten, namespace=NAMESPACE)


def _register(cls: Any, flatten_node: Any, unflatten_node: Any) -> None:
    entry = optree.GetAttrEntry
    optree.register_pytree_node(cls, flatten_node, unflatten_node, path_entry_type=entry, namespace=NAMESPACE)


def rebuilder(cls: type[Any]) -> Callable[[Any, Sequence[Any]], Any] | None:
    """Return the function from (the rest, children) to a node of a class; None if its objects are leaves."""
    entry = optree.register_pytree_node.get(cls, namespace=NAMESPACE)
    return None if entry is None else entry.unflatten_func
