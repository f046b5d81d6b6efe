"""Functions of all leaves, and trees of trees."""

import functools
from collections.abc import Callable
from typing import Any

import optree

from funcnet.tree.flattening import NAMESPACE, Structure, Tree, leaves
from funcnet.tree.key_paths import IsLeaf

_NONE = object()


def reduce(function: Callable[[Any, Any], Any], tree: Tree, initializer: Any = _NONE, is_leaf: IsLeaf = None) -> Any:
    """Combine all leaves, from left to right, as functools.reduce does.

    Args:
        function: f(result so far, leaf) -> result.
        tree: Any tree.
        initializer: The first result; without it, the first leaf is.
        is_leaf: Makes every subtree for which it is true a leaf.
    Raises:
        TypeError: The tree has no leaf, and no initializer is given.
    Example:
        >>> fn.tree.reduce(lambda a, b: a + b, {"w": 1, "b": [2, 3]})
        6
    """
    start = () if initializer is _NONE else (initializer,)
    return functools.reduce(function, leaves(tree, is_leaf), *start)


def all(tree: Tree, *, is_leaf: IsLeaf = None) -> bool:
    """Tell whether all leaves are true.

    Example:
        >>> fn.tree.all({"a": True, "b": [torch.tensor(True)]})
        True
    """
    return min(map(bool, leaves(tree, is_leaf)), default=True)


def transpose(outer: Structure, inner: Structure | None, tree: Tree) -> Any:
    """Turn a tree of trees inside out: from outer(inner) to inner(outer).

    Args:
        outer: The structure of the outer tree.
        inner: The structure of all inner trees; None: that of the first.
        tree: A tree of the structure outer whose leaves are trees of the structure inner.
    Raises:
        ValueError: The tree does not have these structures.
    Example:
        >>> pairs = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
        >>> fn.tree.transpose(fn.tree.structure([0, 0]), fn.tree.structure(pairs[0]), pairs)
        {'a': [1, 3], 'b': [2, 4]}
    """
    if inner is None:
        inner = optree.tree_structure(outer.flatten_up_to(tree)[0], namespace=NAMESPACE)
    try:
        rows = [inner.flatten_up_to(part) for part in outer.flatten_up_to(tree)]
    except (ValueError, TypeError) as error:
        raise ValueError(f"tree.transpose: expected a tree of {outer} with leaves of {inner}: {error}") from error
    return inner.unflatten([outer.unflatten(column) for column in zip(*rows, strict=True)])
