"""Arithmetic on trees, which acts on floating-point tensors and takes other leaves from the first tree."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from funcnet.tree.nodes import Tree, is_floating, leaves, map, partition


def add(a: Tree, b: Tree) -> Tree:
    """Add two trees leaf by leaf."""
    return _arithmetic(torch.add, a, b)


def sub(a: Tree, b: Tree) -> Tree:
    """Subtract the second tree from the first leaf by leaf."""
    return _arithmetic(torch.sub, a, b)


def scale(scalar: float | Tensor, tree: Tree) -> Tree:
    """Multiply every leaf by a number."""
    return _arithmetic(lambda leaf: scalar * leaf, tree)


def zeros_like(tree: Tree) -> Tree:
    """Return the tree with every floating-point tensor replaced by zeros."""
    return _arithmetic(torch.zeros_like, tree)


def dot(a: Tree, b: Tree) -> Tensor:
    """Sum the products of corresponding entries over all leaves, as a 0-d tensor."""
    products = leaves(map(lambda x, y: (x * y).sum(), partition(a, is_floating)[0], b))
    return reduce(torch.add, products) if products else torch.zeros(())


def norm(tree: Tree) -> Tensor:
    """Return the Euclidean norm of all entries together, as a 0-d tensor; its gradient at 0 is 0."""
    norms = [torch.linalg.vector_norm(leaf) for leaf in leaves(tree) if is_floating(leaf)]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())


def _arithmetic(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    return map(lambda leaf, *others: f(leaf, *others) if is_floating(leaf) else leaf, tree, *rest)
