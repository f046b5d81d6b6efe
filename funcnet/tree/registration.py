"""Registration of dataclasses as pytree nodes."""

import dataclasses
from typing import Any, TypeVar, cast

import optree
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
    fields = dataclasses.fields(cls)
    static = tuple(field.name for field in fields if field.metadata.get("static"))
    children = tuple(field.name for field in fields if field.name not in static)

    def flatten_node(node: Any) -> tuple[Any, Any, Any]:
        return [getattr(node, n) for n in children], tuple(getattr(node, n) for n in static), children

    def unflatten_node(metadata: Any, values: Any) -> Any:
        node = object.__new__(cls)
        for name, value in (*zip(children, values, strict=True), *zip(static, metadata, strict=True)):
            object.__setattr__(node, name, value)
        return node

    entry = optree.GetAttrEntry
    optree.register_pytree_node(
        cast(Any, cls), flatten_node, unflatten_node, path_entry_type=entry, namespace=NAMESPACE
    )
    add_safe_globals([cls])
    return cls
