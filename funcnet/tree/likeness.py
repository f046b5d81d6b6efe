"""Flatten trees that probably have the structure of an earlier one, in a tenth of the time."""

from collections.abc import Iterator
from typing import Any

import optree

from funcnet.tree.flattening import Structure, Tree, flatten, leaves

_KINDS = optree.PyTreeKind
_COMPARED = {
    *(_KINDS.LEAF, _KINDS.NONE, _KINDS.TUPLE, _KINDS.LIST, _KINDS.DICT),
    *(_KINDS.NAMEDTUPLE, _KINDS.STRUCTSEQUENCE, _KINDS.CUSTOM),
}
_MOST_LEVELS = 8


class Flattener:
    """Flattens trees of one structure.

    optree takes the leaves of such a tree without a new description of its structure, and compares everything but the
    type of a mapping: it also takes an OrderedDict for a dict. So the types of dicts are compared here.

    Args:
        example: A tree with the structure, which `is_possible`.
        structure: Its structure.
        of_known_type: A dict in the example; there will be a dict in its place in every tree.
    """

    def __init__(self, example: Tree, structure: Structure, of_known_type: dict[str, Any] | None = None) -> None:
        self.structure, self.dicts = structure, _dicts(example, of_known_type)

    @staticmethod
    def is_possible(structure: Structure) -> bool:
        """Tell whether all nodes are of kinds that are compared: no deque, and no custom node that holds a dict.

        Dicts inside dicts are compared level by level, so there must be few levels of them, too.
        """
        return all(
            node.kind in _COMPARED and dicts <= _MOST_LEVELS and not (node.kind == _KINDS.CUSTOM and _holds_dict(node))
            for node, dicts in _nodes(structure)
        )

    def __call__(self, tree: Tree) -> list[Any] | None:
        """Return what a tree has in place of the leaves, which may be trees; None if it has another structure."""
        try:
            for outer, places in self.dicts:
                parts = outer.flatten_up_to(tree)
                for i in places:
                    if parts[i].__class__ is not dict:
                        return None
            return self.structure.flatten_up_to(tree)
        except (ValueError, RecursionError):
            return None


def _nodes(structure: Structure) -> Iterator[tuple[Structure, int]]:
    """Yield a structure and all its parts, with the number of dicts down to each; without recursion."""
    rest = [(structure, 0)]
    while rest:
        node, dicts = rest.pop()
        dicts += node.kind == _KINDS.DICT
        yield node, dicts
        rest += [(child, dicts) for child in node.children()]


def _holds_dict(structure: Structure) -> bool:
    return any(dicts for _, dicts in _nodes(structure))


def _dicts(tree: Tree, of_known_type: Tree) -> list[tuple[Structure, list[int]]]:
    """Return for each depth of dicts inside dicts the structure down to these, and their places among its leaves."""
    found, dicts = [], _outermost(tree)
    while dicts:
        parts, structure, places = _down_to(dicts, tree)
        if places := [i for i in places if parts[i] is not of_known_type]:
            found.append((structure, places))
        dicts = [inner for each in dicts for inner in _outermost([*each.values()])]
    return found


def _down_to(dicts: list[dict[Any, Any]], tree: Tree) -> tuple[list[Any], Structure, list[int]]:
    """Flatten a tree down to some dicts inside; return their places, too."""
    these = {id(each) for each in dicts}
    parts, structure = flatten(tree, lambda part: id(part) in these)
    return parts, structure, [i for i, part in enumerate(parts) if id(part) in these]


def _outermost(tree: Tree) -> list[dict[Any, Any]]:
    return [part for part in leaves(tree, lambda part: isinstance(part, dict)) if isinstance(part, dict)]
