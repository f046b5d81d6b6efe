"""Conversion between tensors by dotted name, as in torch's modules, and the nested dicts that functions here take."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree


def nest(named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Turn ("encoder.weight", w) into {"encoder": {"weight": w}}."""
    nested: dict[str, Any] = {}
    for name, value in named:
        *outer, last = name.split(".")
        inner = nested
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return nested


class Names:
    """The parameters or the buffers of a module, each under its first name.

    Attributes:
        like: Nested dicts by name of tensors of the right shapes, without values.
        aliases: The other names of tied tensors, each with the first name.
        free: The names of tensors that may have other shapes.
    """

    def __init__(self, kind: str, tensors: Mapping[str, Tensor], free: Collection[str] = ()) -> None:
        first = {id(tensor): name for name, tensor in reversed(list(tensors.items()))}
        self.kind, self.free = kind, free
        self.aliases = {name: first[id(t)] for name, t in tensors.items() if first[id(t)] != name}
        self.like = nest((name, t) for name, t in tensors.items() if name not in self.aliases)
        self.structure = tree.structure(self.like)

    def all_names(self) -> list[list[str]]:
        """List the names of each tensor, in the order of the leaves of `like`."""
        return [
            [path, *(alias for alias, first in self.aliases.items() if first == path)] for path in tree.paths(self.like)
        ]

    def match(self, operation: str, given: Tree) -> list[Tensor]:
        """Return the given tensors in the order of the leaves of `like`.

        Raises:
            ValueError: The structure or a shape is not that of the module, or tied tensors differ.
        """
        leaves, structure = tree.flatten(given)
        if structure != self.structure and self.aliases:
            leaves, structure = tree.flatten(given := self._without_aliases(operation, given))
        if structure != self.structure or not all(
            map(self._fits, tree.paths(self.like), tree.leaves(self.like), leaves)
        ):
            raise ValueError(
                f"{operation}: expected {self.kind} like the module's, but they differ {self._difference(given)}."
                f" Start from the {self.kind} that from_module returned."
            )
        return leaves

    def _fits(self, name: str, like: Tensor, leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and (leaf.shape == like.shape or name in self.free)

    def _without_aliases(self, operation: str, given: Tree) -> Tree:
        named = dict(zip(tree.paths(given), tree.leaves(given), strict=True))
        for alias, first in self.aliases.items():
            if alias in named and first in named:
                _check_tied(operation, first, alias, named[first], named[alias])
        return nest((name, leaf) for name, leaf in named.items() if self.aliases.get(name) not in named)

    def _difference(self, given: Tree) -> str | None:
        """Describe the first difference in structure or shape, with the expected value first."""
        shapes = [tree.map(_describe, side) for side in (self.like, given)]
        return tree.difference(*shapes)


def _describe(leaf: Any) -> Any:
    return f"tensor of shape {tuple(leaf.shape)}" if isinstance(leaf, Tensor) else tree.describe(leaf)


def _check_tied(operation: str, first: str, alias: str, one: Any, other: Any) -> None:
    if one is not other and tree.difference(one, other) is not None:
        raise ValueError(
            f'{operation}: "{alias}" is tied to "{first}", expected one tensor under the name "{first}", got'
            f' two with different values. Leave "{alias}" out.'
        )
