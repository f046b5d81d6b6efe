"""The neural tangent kernel."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.curvature.checks import example_count
from funcnet.transforms import jacrev, vmap
from funcnet.tree import Tree


def ntk(
    f: Callable[[Tree, Any], Tensor], params: Tree, x1: Tree, x2: Tree = None, *, block_size: int | None = None
) -> Tensor:
    """Compute the neural tangent kernel: the inner products of gradients of examples with respect to the parameters.

    K_ijab = sum_p df_a(x1_i)/dp df_b(x2_j)/dp.

    Args:
        f: f(params, x) -> outputs of one example, without batch axis; shape (out,), or any other (*out).
        params: Any tree.
        x1: A tree of examples, whose tensors have a leading axis of n1.
        x2: Likewise, with a leading axis of n2. None: x1.
        block_size: Number of examples on each side to compute at once. Only their Jacobians are stored, so the memory
            besides the result does not depend on the number of examples. None: all.
    Returns:
        Shape (n1, n2, *out, *out), for vectors of outputs (n1, n2, out, out).
    Raises:
        ValueError: The tensors of x1 or x2 have no common leading axis, or block_size is below 1.
    Source:
        Jacot, Gabriel, Hongler (2018), Neural Tangent Kernel, https://arxiv.org/abs/1806.07572
    Example:
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> fn.curvature.ntk(lambda w, x: w @ x, torch.zeros(2), x)
        tensor([[ 5., 11.],
                [11., 25.]])
    """
    if block_size is not None and block_size < 1:
        raise ValueError(f"ntk: expected a block_size of at least 1, or None for all at once, got {block_size}.")
    jacobian = vmap(jacrev(partial(_tensor, f)), in_dims=(None, 0))
    lefts = _blocks(x1, block_size)
    rights = lefts if x2 is None else _blocks(x2, block_size)
    rows: list[Tensor] = []
    for left in lefts:
        j1 = jacobian(params, left)
        parts = [_products(params, j1, j1 if right is left else jacobian(params, right)) for right in rights]
        rows.append(torch.cat(parts, 1))
        del j1  # before the next Jacobians are computed
    return torch.cat(rows)


def _tensor(f: Callable[[Tree, Any], Tensor], params: Tree, x: Tree) -> Tensor:
    out = f(params, x)
    if not tree.is_floating(out):
        raise TypeError(f"ntk: expected f to return one floating-point tensor, got {tree.describe(out)}.")
    return out


def _blocks(x: Tree, size: int | None) -> list[Tree]:
    """Split examples into blocks of the given size; the last block may be smaller."""
    count = example_count("ntk", (x,))
    step = size or max(count, 1)
    return [
        tree.map(lambda leaf, i=i: leaf[i : i + step] if tree.is_tensor(leaf) else leaf, x)
        for i in range(0, max(count, 1), step)
    ]


def _products(params: Tree, j1: Tree, j2: Tree) -> Tensor:
    """Sum the products of two blocks of Jacobians, whose leaves have the shape (examples, *out, *parameter)."""
    by = tree.view_as_real(tree.partition(params, tree.is_inexact)[0])
    sizes = [leaf.shape for leaf in tree.leaves(by)]
    pairs = list(zip(sizes, *(tree.leaves(tree.view_as_real(j)) for j in (j1, j2)), strict=True))
    total = reduce(torch.add, (_rows(a, size) @ _rows(b, size).T for size, a, b in pairs))
    size, a, b = pairs[0]
    first, second = (leaf.shape[: leaf.ndim - len(size)] for leaf in (a, b))
    return total.reshape(*first, *second).movedim(len(first), 1)


def _rows(jacobian: Tensor, size: torch.Size) -> Tensor:
    leading = jacobian.shape[: jacobian.ndim - len(size)]
    return jacobian.reshape(leading.numel(), size.numel())
