"""Tensors on devices: `block_until_ready`, `device_put` and `device_get`, for programs that are ported from JAX."""

from typing import Any

import torch

from funcnet import tree
from funcnet.numpy.promotion import as_tensor
from funcnet.tree import Tree

__all__ = ["block_until_ready", "device_get", "device_put"]


def block_until_ready(x: Tree) -> Any:
    """Return a tree when its tensors have been computed; those on a CPU always are.

    Example:
        >>> fn.block_until_ready({"x": torch.ones(2)})
        {'x': tensor([1., 1.])}
    """
    for device in {leaf.device for leaf in tree.leaves(x) if tree.is_tensor(leaf)}:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return x


def device_put(x: Tree, device: torch.device | str | None = None) -> Any:
    """Return a tree with its leaves as tensors on a device; None leaves tensors where they are.

    Numbers and numpy arrays get JAX's dtypes, as by `fn.numpy.asarray`.

    Example:
        >>> fn.device_put({"x": 1.5})
        {'x': tensor(1.5000)}
    """
    return tree.map(lambda leaf: as_tensor("device_put", leaf).to(device or _device(leaf)), x)


def _device(leaf: Any) -> torch.device:
    return leaf.device if tree.is_tensor(leaf) else torch.get_default_device()


def device_get(x: Tree) -> Any:
    """Return a tree with its tensors on the CPU, where numpy reads them without a copy.

    Example:
        >>> fn.device_get((torch.ones(2), 3))
        (tensor([1., 1.]), 3)
    """
    return tree.map(lambda leaf: leaf.cpu() if tree.is_tensor(leaf) else leaf, x)
