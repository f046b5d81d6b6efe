"""`map`: a function of one example, applied to one example, or one batch, after another."""

from collections.abc import Callable
from typing import Any

import torch

from funcnet import tree
from funcnet.control_flow.scan import scan
from funcnet.tracebacks import boundary
from funcnet.transforms import vmap
from funcnet.transforms.flatten import check_function
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, numbers_as_tensors


@boundary
def map(f: Callable[[Any], Any], xs: Tree, *, batch_size: int | None = None) -> Any:
    """Apply f to each slice of xs along the first axis, one after another, and stack the results.

    It is a `scan` without a carry: it needs the memory of one example, where `vmap` needs that of all. With batch_size
    it is a scan over batches, each computed by `vmap`, and one smaller batch at the end if they do not divide xs.

    Args:
        f: f(x) -> a tree of tensors; numbers in it become tensors.
        xs: A tree of tensors with a common first axis.
        batch_size: The number of examples per step. None: one, without `vmap`.
    Returns:
        The results, stacked along a new first axis.
    Raises:
        TypeError: f is not callable.
        ValueError: The leaves of xs have no common first axis, a result is not a tensor, or batch_size is below 1.
    Source:
        jax.lax.map.
    Example:
        >>> fn.map(lambda x: x.sum(), torch.ones(3, 4), batch_size=2)
        tensor([4., 4., 4.])
    """
    check_function("map", f)
    xs = arrays_as_tensors(xs)
    if batch_size is None:
        return _mapped(f, xs)
    if batch_size < 1:
        raise ValueError(f"map: expected a batch_size of at least 1, or None, got {batch_size}.")
    sizes = {leaf.shape[0] if tree.is_tensor(leaf) and leaf.ndim else -1 for leaf in tree.leaves(xs)}
    if len(sizes) != 1 or min(sizes) < 0:
        raise ValueError(f"map: expected tensors with a common first axis, got {tree.map(tree.describe, xs)}.")
    return _in_batches(f, xs, sizes.pop(), batch_size)


def _mapped(f: Callable[[Any], Any], xs: Tree) -> Any:
    return scan(lambda _, x: ((), numbers_as_tensors(arrays_as_tensors(f(x)))), (), xs)[1]


def _in_batches(f: Callable[[Any], Any], xs: Tree, size: int, batch_size: int) -> Any:
    end = size - size % batch_size
    if not end:
        return _batched(f, xs) if size else _mapped(f, xs)
    batches = tree.map(lambda x: x[:end].reshape(end // batch_size, batch_size, *x.shape[1:]), xs)
    whole = tree.map(lambda y: y.flatten(0, 1), _mapped(lambda x: _batched(f, x), batches))
    if end == size:
        return whole
    return tree.map(lambda a, b: torch.cat([a, b]), whole, _batched(f, tree.map(lambda x: x[end:], xs)))


def _batched(f: Callable[[Any], Any], xs: Tree) -> Any:
    return vmap(lambda x: numbers_as_tensors(arrays_as_tensors(f(x))))(xs)
