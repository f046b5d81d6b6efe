"""Trees that were read from a checkpoint or got from another process, as the run has them."""

from typing import Any

from funcnet import tree
from funcnet.tree import Tree


def like(values: Tree, other: Tree) -> Any:
    """Return a tree of the leaves of `values` with the structure, classes and devices of `other`."""
    leaves = zip(tree.leaves(values), tree.leaves(other), strict=True)
    moved = [leaf.to(model.device) if tree.is_tensor(leaf) else leaf for leaf, model in leaves]
    return tree.unflatten(tree.structure(other), moved)
