"""`associative_scan`: all prefixes of a sequence, combined by an associative function in logarithmic depth."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.tracebacks import boundary
from funcnet.transforms.flatten import check_function
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors


@boundary
def associative_scan(f: Callable[[Any, Any], Any], elems: Tree, reverse: bool = False, axis: int = 0) -> Any:
    """Combine all prefixes of a sequence: y[0] = x[0], y[i] = f(y[i-1], x[i]), for an associative f.

    f is called about 2 log2(n) times, each time on many pairs of elements at once, where `scan` takes n steps. So f has
    to work on tensors that keep the axis; wrap a function of two elements in `vmap`.

    Args:
        f: f(a, b) -> the combination of each pair, a tree like a and b. It has to be associative.
        elems: A tree of tensors of the same size along the axis.
        reverse: Whether to combine suffixes instead, from the end: y[i] = f(y[i+1], x[i]).
        axis: The axis of the sequence in every tensor; negative axes count from the end.
    Returns:
        A tree like elems.
    Raises:
        TypeError: f is not callable.
        ValueError: The sizes along the axis differ, a leaf lacks it, or f returns another structure or shape.
    Source:
        Blelloch (1990), Prefix Sums and Their Applications; jax.lax.associative_scan.
    Example:
        >>> fn.associative_scan(torch.mul, torch.tensor([1, 2, 3, 4]))
        tensor([ 1,  2,  6, 24])
    """
    check_function("associative_scan", f)
    elems = arrays_as_tensors(elems)
    _check_axis(elems, axis)
    first = tree.map(lambda x: x.movedim(axis, 0).flip(0) if reverse else x.movedim(axis, 0), elems)
    combine = _moved(f, axis)
    scanned = _scanned(combine, first)
    return tree.map(lambda y: (y.flip(0) if reverse else y).movedim(0, axis), scanned)


def _check_axis(elems: Tree, axis: int) -> None:
    sizes = dict[str, Any]()
    for path, leaf in zip(tree.paths(elems), tree.leaves(elems), strict=True):
        if not tree.is_tensor(leaf) or not -leaf.ndim <= axis < leaf.ndim:
            raise ValueError(
                f"associative_scan: at {tree.place(path)}: expected a tensor with axis {axis},"
                f" got {tree.describe(leaf)}."
            )
        sizes[path] = leaf.shape[axis]
    if len({*sizes.values()}) != 1:
        raise ValueError(f"associative_scan: expected one size along axis {axis} in all leaves, got {sizes}.")


def _moved(f: Callable[[Any, Any], Any], axis: int) -> Callable[[Any, Any], Any]:
    """Return f for trees whose sequences are along the first axis, with a check of its result."""

    def combine(a: Tree, b: Tree) -> Any:
        back = [tree.map(lambda x: x.movedim(0, axis), side) for side in (a, b)]
        result = arrays_as_tensors(f(*back))
        if message := tree.difference(*(tree.map(_kind, side) for side in (back[0], result))):
            raise ValueError(
                f"associative_scan: expected f to return a tree like its arguments, but they differ {message}."
            )
        return tree.map(lambda x: x.movedim(axis, 0), result)

    return combine


def _kind(leaf: Any) -> Any:
    return tree.describe(leaf) if tree.is_tensor(leaf) else type(leaf)


def _scanned(f: Callable[[Any, Any], Any], elems: Tree) -> Any:
    """Combine neighbours, scan the sequence of half the length, and combine its elements with those between them."""
    size = len(tree.leaves(elems)[0])
    if size < 2:
        return elems
    odd = _scanned(f, f(_part(elems, 0, size - 1, 2), _part(elems, 1, size, 2)))
    later = _part(elems, 2, size, 2)
    if size == 2:
        return tree.map(lambda x, y: torch.cat([x[:1], y]), elems, odd)
    even = f(_part(odd, 0, (size - 1) // 2, 1), later)
    return tree.map(lambda x, y, z: _alternating(torch.cat([x[:1], y]), z), elems, even, odd)


def _part(elems: Tree, start: int, end: int, step: int) -> Any:
    return tree.map(lambda x: x[start:end:step], elems)


def _alternating(even: Tensor, odd: Tensor) -> Tensor:
    """Interleave two sequences; the first may have one more element."""
    pairs = torch.stack([even[: len(odd)], odd], 1).flatten(0, 1)
    return pairs if len(even) == len(odd) else torch.cat([pairs, even[-1:]])
