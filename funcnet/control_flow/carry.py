"""The carry of a loop: its structure, shapes, dtypes and devices stay the same from step to step."""

from typing import Any

import torch

from funcnet import tree
from funcnet.tree import Tree
from funcnet.tree.conversion import is_number, number_as_tensor

Signature = tuple[tree.Structure, list[Any]]  # the structure, and shape, dtype and device of each leaf


def signature(carry: Tree) -> Signature:
    """Return the signature of a carry."""
    leaves, structure = tree.flatten(carry)
    return structure, [(x.shape, x.dtype, x.device) if tree.is_tensor(x) else type(x) for x in leaves]


def alike(name: str, before: Tree, after: Any, expected: Signature, function: str = "f") -> Any:
    """Convert numbers in a new carry to tensors, and check that its signature is the expected one."""
    if signature(after) == expected:
        return after
    if tree.structure(after) == tree.structure(before):
        after = tree.map(_like, before, after)
    # torch.compile compares structures of one graph only, and finds equal tuples unequal by !=
    if not signature(after) == signature(before):
        raise ValueError(_changed(name, function, before, after))
    return after


def _like(before: Any, after: Any) -> Any:
    """Convert a number to a tensor of the old carry's dtype, if the cast is safe."""
    if not (is_number(after) and tree.is_tensor(before)):
        return after
    made = number_as_tensor(after)
    return made.to(before.dtype) if torch.can_cast(made.dtype, before.dtype) else made


def _changed(name: str, function: str, before: Tree, after: Tree) -> str:
    kinds = (tree.map(lambda x: tree.describe(x) if tree.is_tensor(x) else type(x), side) for side in (before, after))
    return (
        f"{name}: expected {function} to return a carry like the one it got, but they differ {tree.difference(*kinds)}."
        f" Give init the structure, shapes and dtypes that {function} returns{_promoted(before, after)}."
    )


def _promoted(before: Tree, after: Tree) -> str:
    """Describe where an integer in the carry became floating, if it did."""
    if tree.structure(before) != tree.structure(after):
        return ""
    pairs = zip(tree.paths(before), tree.leaves(before), tree.leaves(after), strict=True)
    grown = [path for path, a, b in pairs if tree.is_tensor(a) and not tree.is_inexact(a) and tree.is_inexact(b)]
    where = f" at path {grown[0]!r}" if grown and grown[0] else ""
    return f". An integer became floating{where}: start from a float, such as 0.0" if grown else ""
