"""Shuffled minibatches."""

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.tree import Tree


def batches(key: Tensor, data: Tree, batch_size: int, *, epochs: int = 1, ragged: str = "drop") -> Tensor:
    """Shuffle examples into minibatches: one block of indices per step, to be passed to `scan` as xs.

    Every epoch has its own order. A step selects its examples by `tree.map(lambda leaf: leaf[block], data)`.

    Args:
        key: The random key for the orders.
        data: A tree of tensors with a common leading axis, that of the examples; only its length matters.
        batch_size: Examples per block.
        epochs: Number of passes over all examples.
        ragged: How to treat the examples left over at the end of an epoch: "drop" leaves them out in that epoch, "wrap"
            fills their block with the first ones of the same epoch, "join" puts them before the next epoch (and drops
            them in the last).
    Returns:
        (steps, batch_size) int64: the indices of the examples of each step.
    Raises:
        ValueError: The tensors have no common length, there are fewer examples than batch_size, batch_size or epochs is
            not a positive integer, or `ragged` is another string.
    Example:
        >>> fn.batches(fn.random.key(0), torch.zeros(5, 3), 2)
        tensor([[0, 1],
                [4, 3]])
        >>> fn.batches(fn.random.key(0), torch.zeros(5, 3), 2, ragged="wrap")
        tensor([[0, 1],
                [4, 3],
                [2, 0]])
    """
    for name, number in (("batch_size", batch_size), ("epochs", epochs)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"batches: expected {name} to be an integer of at least 1, got {number!r}.")
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


def _example_count(data: Tree) -> int:
    sizes = {path: leaf.shape[:1] for path, leaf in zip(tree.paths(data), tree.leaves(data), strict=True)}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        raise ValueError(f"batches: expected tensors with a common leading axis, got {tree.map(tree.describe, data)}.")
    return int(next(iter(sizes.values()))[0])
