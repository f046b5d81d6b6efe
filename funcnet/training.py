"""Training loops: a step as a function from parameters to parameters, and the loop that repeats it."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.compiler import loop
from funcnet.transforms.flat import Flattener
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
        The new parameters, in the dtype of the old ones, which are untouched.
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
        after = p - learning_rate * g if isinstance(learning_rate, Tensor) else torch.sub(p, g, alpha=learning_rate)
        return after.to(p.dtype)

    return tree.map(descend, params, grads)


def batches(key: Tensor, data: Tree, batch_size: int, *, epochs: int = 1, ragged: str = "drop") -> Tensor:
    """Shuffle examples into minibatches: blocks of indices, one a step, ready to be the xs of `scan`.

    Every epoch has its own order. A step takes its examples by `tree.map(lambda leaf: leaf[block], data)`.

    Args:
        key: Makes the orders.
        data: A tree of tensors with a common leading axis, that of the examples; only its length matters.
        batch_size: Examples in a block.
        epochs: How often all examples are gone through.
        ragged: What becomes of the examples that fill no whole block: "drop" leaves them out in that epoch, "wrap"
            fills their block with the first ones of the same epoch, "join" puts them before the next epoch (and drops
            them in the last).
    Returns:
        (steps, batch_size) int64: the indices of the examples of each step.
    Raises:
        ValueError: No common length, fewer examples than fill a block, or another `ragged`.
    Example:
        >>> fn.batches(fn.random.key(0), torch.zeros(5, 3), 2)
        tensor([[0, 1],
                [4, 3]])
        >>> fn.batches(fn.random.key(0), torch.zeros(5, 3), 2, ragged="wrap")
        tensor([[0, 1],
                [4, 3],
                [2, 0]])
    """
    size = _example_count(data)
    keys = key[None] if epochs == 1 else random.split(key, epochs)
    orders = torch.stack([random.permutation(each, size) for each in keys])
    if ragged == "wrap":
        blocks = -(-size // batch_size)
        orders = orders[:, torch.arange(blocks * batch_size) % max(size, 1)]
    elif ragged == "drop":
        orders = orders[:, : size - size % batch_size]
    elif ragged == "join":
        orders = orders.reshape(-1)[: size * epochs - size * epochs % batch_size]
    else:
        raise ValueError(f'batches: expected ragged to be "drop", "wrap" or "join", got {ragged!r}.')
    if not orders.numel():
        raise ValueError(
            f"batches: expected at least the {batch_size} examples of one block, got {size}. "
            'A smaller batch_size fits; ragged="wrap" repeats examples.'
        )
    return orders.reshape(-1, batch_size)


def scan(
    f: Callable[[Carry, Any], tuple[Carry, Any]],
    init: Carry,
    xs: Tree = None,
    length: int | None = None,
    *,
    unroll: int = 1,
) -> tuple[Carry, Any]:
    """Repeat a step, handing the carry from one to the next and stacking the outputs.

    Inside `jit` the loop is one operation of the program, and f runs once, to be staged.

    Args:
        f: f(carry, x) -> (carry, y). The carry keeps its structure, shapes and dtypes; y is a tree of tensors, or None.
        init: The first carry.
        xs: A tree of tensors with a common leading axis; step i gets x = xs[i]. None: x is None.
        length: The number of steps; may be left out when xs tells it.
        unroll: How many steps a compiled loop takes at a time; it changes the speed only.
    Returns:
        (the last carry, the ys stacked along a new leading axis of `length`).
    Raises:
        ValueError: Neither xs nor length, or they disagree; a carry that changes its form; a y that is no tensor.
    Source:
        jax.lax.scan.
    Example:
        >>> fn.scan(lambda total, x: (total + x, total), torch.tensor(0), torch.arange(1, 5))
        (tensor(10), tensor([0, 1, 3, 6]))
    """
    steps = _scan_length(xs, length)
    if (staged := loop()) is not None:
        return _staged_loop(staged, f, init, xs, steps, unroll)
    carry, ys = init, []
    for i in range(steps):
        after, y = f(carry, tree.map(lambda leaf, i=i: leaf[i], xs))
        _check_carry(carry, after)
        carry = after
        ys.append(_stackable(y))
    return carry, tree.stack(ys) if ys else _no_outputs(f, init, xs)


def _staged_loop(staged: Any, f: Callable[..., Any], init: Any, xs: Tree, length: int, unroll: int) -> Any:
    """Hand a scan over to the program that is being staged, as a step on flat lists of tensors."""
    carry, slices, outputs = Flattener(), Flattener(), Flattener()

    def step(carries: list[Tensor], rows: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        before = carry.rebuild(carries)
        after, y = f(before, slices.rebuild(rows))
        _check_carry(before, after)
        numbers = (tree.partition(side, tree.is_tensor)[1] for side in (before, after))
        if message := tree.difference(*numbers):
            raise ValueError(f"scan: a number in the carry changes {message}. Inside jit, carry it as a tensor.")
        return Flattener().split(after), outputs.split(_stackable(y))

    carries, ys = staged(step, carry.split(init), slices.split(xs), length, unroll)
    return carry.rebuild(carries), outputs.rebuild(ys)


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


def _example_count(data: Tree) -> int:
    sizes = {path: leaf.shape[:1] for path, leaf in zip(tree.paths(data), tree.leaves(data), strict=True)}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        raise ValueError(f"batches: expected tensors with a common leading axis, got {tree.map(tree.describe, data)}.")
    return int(next(iter(sizes.values()))[0])


def _check_carry(before: Tree, after: Tree) -> None:
    if _forms(before) != _forms(after):
        kinds = (
            tree.map(lambda x: tree.describe(x) if tree.is_tensor(x) else type(x), side) for side in (before, after)
        )
        raise ValueError(
            f"scan: expected f to return a carry like the one it got, they differ {tree.difference(*kinds)}. "
            "Give init the structure, shapes and dtypes that f returns."
        )


def _forms(carry: Tree) -> tuple[Any, list[Any]]:
    leaves, structure = tree.flatten(carry)
    return structure, [(x.shape, x.dtype, x.device) if tree.is_tensor(x) else type(x) for x in leaves]


def _stackable(y: Tree) -> Tree:
    for path, leaf in zip(tree.paths(y), tree.leaves(y), strict=True):
        if not tree.is_tensor(leaf):
            raise ValueError(
                f"scan: in y, at {tree.place(path)}: expected a tensor to stack, got {leaf!r}. "
                "Return the tensor itself, not its .item()."
            )
    return y


def _no_outputs(f: Callable[..., Any], init: Any, xs: Tree) -> Any:
    """The ys of zero steps, whose form only a step on made-up values can tell."""
    _, y = f(init, tree.map(lambda leaf: leaf.new_zeros(leaf.shape[1:]), xs))
    return tree.map(lambda leaf: leaf[None][:0], _stackable(y))
