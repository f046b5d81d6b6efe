"""The names of jax.tree_util, for programs that are ported from JAX; `fn.tree` has the same functions.

Unlike the functions of `fn.tree`, `tree_map_with_path` calls its function with a tuple of keys; see `keystr`.
"""

import builtins
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

from funcnet import tree
from funcnet.absent_names import absent
from funcnet.tree import Structure as PyTreeDef
from funcnet.tree import Tree
from funcnet.tree import all as tree_all
from funcnet.tree import flatten as tree_flatten
from funcnet.tree import flatten_with_path as tree_flatten_with_path
from funcnet.tree import leaves as tree_leaves
from funcnet.tree import leaves_with_path as tree_leaves_with_path
from funcnet.tree import map as tree_map
from funcnet.tree import reduce as tree_reduce
from funcnet.tree import structure as tree_structure
from funcnet.tree import transpose as tree_transpose
from funcnet.tree import unflatten as tree_unflatten
from funcnet.tree.key_paths import DictKey, FlattenedIndexKey, GetAttrKey, IsLeaf, SequenceKey, keystr
from funcnet.tree.registration import register_node as register_pytree_node
from funcnet.tree.registration import register_with_fields

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "all_leaves",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "tree_all",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
    "treedef_children",
    "treedef_is_leaf",
    "treedef_tuple",
]


def tree_map_with_path(f: Callable[..., Any], values: Tree, *rest: Tree, is_leaf: IsLeaf = None) -> Any:
    """Apply f(path, leaf, *others) as `tree_map` does, with the path as a tuple of keys.

    Example:
        >>> fn.tree_util.tree_map_with_path(lambda path, x: fn.tree_util.keystr(path) + str(x), {"w": [3]})
        {'w': ["['w'][0]3"]}
    """
    pairs, structure = tree_flatten_with_path(values, is_leaf)
    paths = tree.unflatten(structure, [_Path(path) for path, _ in pairs])
    return tree.map(lambda path, *leaves: f(path.keys, *leaves), paths, values, *rest)


class _Path:
    """A path as a leaf."""

    def __init__(self, keys: tuple[Any, ...]) -> None:
        self.keys = keys


def register_pytree_node_class(cls: Any) -> Any:
    """Make a class with the methods tree_flatten and tree_unflatten a node; use it as a decorator.

    Example:
        >>> @fn.tree_util.register_pytree_node_class
        ... class Interval:
        ...     def __init__(self, low, high):
        ...         self.low, self.high = low, high
        ...     def tree_flatten(self):
        ...         return (self.low, self.high), None
        ...     @classmethod
        ...     def tree_unflatten(cls, aux, children):
        ...         return cls(*children)
        >>> fn.tree.leaves(fn.tree.map(lambda x: 2 * x, Interval(1, 2)))
        [2, 4]
    """
    register_pytree_node(cls, lambda node: node.tree_flatten(), cls.tree_unflatten)
    return cls


def register_pytree_with_keys(
    nodetype: Any,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, Any], Any],
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]] | None = None,
) -> None:
    """Make a class a node whose flatten function returns ((key, child), ...) and the rest; paths hold the places.

    Args:
        nodetype: A class.
        flatten_with_keys: From an object to pairs of a key and a child, and the rest, part of the structure.
        unflatten_func: From (the rest, children) to an object.
        flatten_func: From an object to (children, the rest), if that is faster.
    """

    def children(node: Any) -> tuple[Iterable[Any], Any]:
        pairs, rest = flatten_with_keys(node)
        return [child for _, child in pairs], rest

    register_pytree_node(nodetype, flatten_func or children, unflatten_func)


def register_pytree_with_keys_class(cls: Any) -> Any:
    """Make a class with the methods tree_flatten_with_keys and tree_unflatten a node; use it as a decorator.

    Example:
        >>> @fn.tree_util.register_pytree_with_keys_class
        ... class Pair:
        ...     def __init__(self, a, b):
        ...         self.a, self.b = a, b
        ...     def tree_flatten_with_keys(self):
        ...         return (("a", self.a), ("b", self.b)), None
        ...     @classmethod
        ...     def tree_unflatten(cls, rest, children):
        ...         return cls(*children)
        >>> fn.tree.map(lambda x: 2 * x, Pair(1, 2)).b
        4
    """
    flatten = cls.tree_flatten if hasattr(cls, "tree_flatten") else None
    register_pytree_with_keys(cls, lambda node: node.tree_flatten_with_keys(), cls.tree_unflatten, flatten)
    return cls


def register_static(cls: Any) -> Any:
    """Make a class a node without children: its objects, which are hashable, are part of the structure.

    Example:
        >>> @fn.tree_util.register_static
        ... class Name(str): pass
        >>> fn.tree.leaves({"x": 1, "name": Name("a")})
        [1]
    """
    register_pytree_node(cls, lambda node: ((), node), lambda node, _: node)
    return cls


def all_leaves(iterable: Iterable[Any], is_leaf: IsLeaf = None) -> bool:
    """Tell whether all of these are leaves.

    Example:
        >>> fn.tree_util.all_leaves([1, torch.ones(2)]), fn.tree_util.all_leaves([[1]])
        (True, False)
    """
    return builtins.all(treedef_is_leaf(tree_structure(x, is_leaf)) for x in iterable)


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Tell whether a structure is that of a leaf.

    Example:
        >>> fn.tree_util.treedef_is_leaf(fn.tree.structure(1.0))
        True
    """
    return treedef.num_nodes == 1 and treedef.num_leaves == 1


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """List the structures of the children of a node.

    Example:
        >>> fn.tree_util.treedef_children(fn.tree.structure((1, {"a": 2})))
        [PyTreeSpec(*), PyTreeSpec({'a': *})]
    """
    return treedef.children()


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """Return the structure of a tuple of trees with these structures.

    Example:
        >>> leaf = fn.tree_util.tree_structure(0)
        >>> fn.tree_util.treedef_tuple([leaf, leaf]) == fn.tree_util.tree_structure((1, 2))
        True
    """
    return tree_structure(tuple(tree_unflatten(d, [0] * d.num_leaves) for d in treedefs))


def register_dataclass(
    nodetype: Any, data_fields: Sequence[str] | None = None, meta_fields: Sequence[str] | None = None
) -> Any:
    """Make a class a node with these fields as children, and the others as part of its structure.

    Args:
        nodetype: A dataclass, or a class with these attributes.
        data_fields: Fields that are children. None: those of a dataclass without metadata {"static": True}.
        meta_fields: Fields that are part of the structure.
    Returns:
        The same class.
    Raises:
        TypeError: nodetype is not a dataclass, and data_fields or meta_fields is missing.
    Source:
        jax.tree_util.register_dataclass.
    """
    if data_fields is None or meta_fields is None:
        return tree.register_dataclass(nodetype)
    return register_with_fields(nodetype, data_fields, meta_fields)


class Partial(partial[Any]):
    """A functools.partial that is a node: its arguments are children, and its function is part of the structure.

    Source:
        jax.tree_util.Partial.
    Example:
        >>> scaled = fn.tree_util.Partial(torch.mul, torch.tensor(2.0))
        >>> fn.jit(lambda f, x: f(x))(scaled, torch.tensor(3.0))
        tensor(6.)
    """


register_pytree_node(
    Partial,
    lambda node: ((node.args, node.keywords), node.func),
    lambda function, parts: Partial(function, *parts[0], **parts[1]),
)


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
