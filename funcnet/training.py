"""Training loops: a step as a function from parameters to parameters, and the loop that repeats it."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree

Carry = TypeVar("Carry")
Params = TypeVar("Params")


def sgd_step(params: Params, grads: Tree, learning_rate: float | Tensor) -> Params:
    """Take one step of gradient descent: p - learning_rate g.

    Args:
        params: Any tree.
        grads: Like params; where it is None the parameter stays.
        learning_rate: Parameter unit squared over loss unit; may be a tensor.
    Returns:
        The new parameters; the old ones are untouched.
    Raises:
        ValueError: The trees differ in structure.
    Example:
        >>> fn.sgd_step({"w": torch.tensor(1.0)}, {"w": torch.tensor(2.0)}, 0.1)
        {'w': tensor(0.8000)}
    """

    def descend(p: Any, g: Tensor | None) -> Any:
        if g is None:
            return p
        # torch.sub is the faster form, and takes numbers only
        return p - learning_rate * g if isinstance(learning_rate, Tensor) else torch.sub(p, g, alpha=learning_rate)

    return tree.map(descend, params, grads)


def scan(
    f: Callable[[Carry, Any], tuple[Carry, Any]], init: Carry, xs: Tree = None, length: int | None = None
) -> tuple[Carry, Any]:
    """Repeat a step, handing the carry from one to the next and stacking the outputs.

    Args:
        f: f(carry, x) -> (carry, y). The carry keeps its structure, shapes and dtypes; y may be any tree, or None.
        init: The first carry.
        xs: A tree of tensors with a common leading axis; step i gets x = xs[i]. None: x is None.
        length: The number of steps; may be left out when xs tells it.
    Returns:
        (the last carry, the ys stacked along a new leading axis of `length`).
    Raises:
        ValueError: Neither xs nor length, or they disagree; a carry that changes its form.
    Source:
        jax.lax.scan.
    Example:
        >>> fn.scan(lambda total, x: (total + x, total), torch.tensor(0), torch.arange(1, 5))
        (tensor(10), tensor([0, 1, 3, 6]))
    """
    carry, ys = init, []
    for i in range(_scan_length(xs, length)):
        after, y = f(carry, tree.map(lambda leaf, i=i: leaf[i], xs))
        if not i:
            _check_carry(init, after)
        carry = after
        ys.append(y)
    return carry, tree.stack(ys) if ys else _no_outputs(f, init, xs)


def _scan_length(xs: Tree, length: int | None) -> int:
    sizes = {leaf.shape[0] if tree.is_tensor(leaf) and leaf.ndim else -1 for leaf in tree.leaves(xs)}
    sizes |= set() if length is None else {length}
    if len(sizes) != 1 or min(sizes) < 0:
        found = tree.map(tree.describe, xs)
        raise ValueError(
            "scan: expected `length`, or an xs of tensors with a common leading axis, and no other length beside it, "
            f"got length {length} and xs {found}."
        )
    return sizes.pop()


def _check_carry(before: Tree, after: Tree) -> None:
    if message := tree.difference(tree.map(tree.describe, before), tree.map(tree.describe, after)):
        raise ValueError(
            f"scan: expected f to return a carry like the one it got, they differ {message}. "
            "Give init the structure, shapes and dtypes that f returns."
        )


def _no_outputs(f: Callable[..., Any], init: Any, xs: Tree) -> Any:
    """The ys of zero steps, whose form only a step on made-up values can tell."""
    _, y = f(init, tree.map(lambda leaf: leaf.new_zeros(leaf.shape[1:]), xs))
    return tree.map(lambda leaf: leaf[None][:0] if tree.is_tensor(leaf) else leaf, y)
