"""Arithmetic on trees, which acts on floating-point and complex tensors and takes other leaves from the first tree."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from funcnet.tree.elementwise import map_columns
from funcnet.tree.flattening import Tree, leaves
from funcnet.tree.nodes import is_inexact, map_fitting, partition


def add(a: Tree, b: Tree) -> Tree:
    """Add two trees leaf by leaf.

    Example:
        >>> fn.tree.add({"w": torch.tensor(1.0)}, {"w": torch.tensor(2.0)})
        {'w': tensor(3.)}
    """
    return _arithmetic("tree.add", torch.add, a, b)


def sub(a: Tree, b: Tree) -> Tree:
    """Subtract the second tree from the first leaf by leaf.

    Example:
        >>> fn.tree.sub({"w": torch.tensor(3.0)}, {"w": torch.tensor(2.0)})
        {'w': tensor(1.)}
    """
    return _arithmetic("tree.sub", torch.sub, a, b)


def scale(scalar: float | Tensor, tree: Tree) -> Tree:
    """Multiply every leaf by a number.

    Example:
        >>> fn.tree.scale(0.5, {"w": torch.tensor([2.0, 4.0])})
        {'w': tensor([1., 2.])}
    """
    return _arithmetic("tree.scale", lambda leaf: scalar * leaf, tree)


def zeros_like(tree: Tree) -> Tree:
    """Return the tree with every floating-point or complex tensor replaced by zeros.

    Example:
        >>> fn.tree.zeros_like({"w": torch.ones(2), "n": 3})
        {'w': tensor([0., 0.]), 'n': 3}
    """
    return _arithmetic("tree.zeros_like", torch.zeros_like, tree)


def dot(a: Tree, b: Tree) -> Tensor:
    """Sum the products of corresponding entries over all leaves.

    Complex entries count as pairs of their real and imaginary parts, with the product Re(conj(a) b): the result is
    real, and the dot product of a tree with itself is the square of its norm.

    Args:
        a: Any tree.
        b: Like a; leaves that are neither floating-point nor complex tensors in a are ignored.
    Returns:
        A real 0-d tensor; a float32 zero on the CPU if there is nothing to multiply.
    Raises:
        ValueError: The trees differ in structure or shapes; the message names the path of the first difference.
    Example:
        >>> fn.tree.dot((torch.tensor([1.0, 2.0]), torch.tensor(3.0)), (torch.tensor([1.0, 1.0]), torch.tensor(2.0)))
        tensor(9.)
    """
    inexact = partition(a, is_inexact)[0]
    products = leaves(map_fitting("tree.dot", _product, inexact, b))
    return reduce(torch.add, products) if products else _zero()


def norm(tree: Tree) -> Tensor:
    """Return the Euclidean norm of all entries together, as a 0-d tensor; its gradient at 0 is 0.

    For a tree without floating-point or complex tensors it is a float32 zero on the CPU.

    Example:
        >>> fn.tree.norm({"w": torch.tensor([3.0]), "b": torch.tensor(4.0)})
        tensor(5.)
    """
    norms = [torch.linalg.vector_norm(leaf) for leaf in leaves(tree) if is_inexact(leaf)]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else _zero()


def _product(x: Tensor, y: Tensor) -> Tensor:
    return (x.conj() * y).real.sum() if x.is_complex() else (x * y).sum()


def _zero() -> Tensor:
    """Return the empty sum, independent of torch's default dtype and device."""
    return torch.zeros((), dtype=torch.float32, device="cpu")


def _arithmetic(operation: str, f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    found = map_columns(f, tree, *rest)
    if found is not None:
        return found
    return map_fitting(operation, lambda leaf, *others: f(leaf, *others) if is_inexact(leaf) else leaf, tree, *rest)
