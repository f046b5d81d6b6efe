"""Sums and means over the ranks, for data-parallel gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.distributed.group import group
from funcnet.transforms.custom_rules import batch_of
from funcnet.transforms.remat import Recomputed
from funcnet.transforms.structural_zeros import Partial, Tensors
from funcnet.tree import Tree


def sum(values: Tree) -> Any:
    """Sum each tensor of a tree over all ranks. All tensors of a dtype are exchanged at once, as one vector.

    The terms are added in the order of the ranks, so that all ranks get the same bits. float16 and bfloat16 are added
    in float32. The sum may be taken inside `jit`, also in a step of `scan`, which stays one native kernel; it is not
    differentiable. Leaves that are not tensors are returned unchanged. On Linux, ranks of one machine exchange tensors
    through shared memory.

    Args:
        values: Any tree, of the same structure, shapes and dtypes on all ranks.
    Returns:
        The tree of the sums.
    Raises:
        PeerError: Another rank has failed or died.
    Example:
        >>> fn.distributed.sum({"w": torch.tensor([1.0, 2.0])})  # of one rank
        {'w': tensor([1., 2.])}
    """
    if group().size == 1:
        return values
    return _by_dtype(_exchanged, values)


def mean(values: Tree, weight: float | Tensor | None = None) -> Any:
    """Average each tensor of a tree over all ranks, as `sum` adds them.

    Args:
        values: Any tree of floating-point or complex tensors; other leaves are returned unchanged.
        weight: The weight of this rank, such as its number of examples where batches are not divided evenly. None:
            equal weights.
    Returns:
        The tree of the means: sum over ranks of weight times value, divided by the sum of weights.
    Raises:
        TypeError: A tensor holds integers, whose mean has another dtype.
        PeerError: Another rank has failed or died.
    Example:
        >>> fn.distributed.mean({"w": torch.tensor([1.0, 2.0])}, weight=32)  # of one rank
        {'w': tensor([1., 2.])}
    """
    for path, leaf in zip(tree.paths(values), tree.leaves(values), strict=True):
        if tree.is_tensor(leaf) and not tree.is_inexact(leaf):
            raise TypeError(
                f"distributed.mean: at {tree.place(path)}: expected floating-point or complex numbers, got"
                f" {tree.describe(leaf)}. Convert it with .float()."
            )
    if group().size == 1:
        return values
    share = torch.tensor(1 / group().size, dtype=torch.float64)
    if weight is not None:
        weight = torch.as_tensor(weight, dtype=torch.float64)
        share = weight / sum(weight)
    total = sum(tree.map(lambda leaf: _shared(leaf, share) if tree.is_tensor(leaf) else leaf, values))
    return tree.map(lambda leaf, like: leaf.to(like.dtype) if tree.is_tensor(leaf) else leaf, total, values)


def _shared(leaf: Tensor, share: Tensor) -> Tensor:
    """Return a rank's term of a mean: in float32 at least; zero if its share is, as its mean of no examples is NaN."""
    wide = leaf.to(torch.promote_types(leaf.dtype, torch.float32))
    return torch.where(share == 0, torch.zeros_like(wide), wide * share)


def _by_dtype(f: Callable[[Tensor], Tensor], values: Tree) -> Any:
    """Apply a function to the vector of all tensors of a dtype."""
    leaves, structure = tree.flatten(values)
    kinds = {(leaf.dtype, leaf.device): None for leaf in leaves if tree.is_tensor(leaf)}
    for kind in kinds:
        places = [i for i, leaf in enumerate(leaves) if tree.is_tensor(leaf) and (leaf.dtype, leaf.device) == kind]
        vector = f(torch.cat([leaves[i].reshape(-1) for i in places]))
        pieces = vector.split([leaves[i].numel() for i in places])
        for i, piece in zip(places, pieces, strict=True):
            leaves[i] = piece.reshape(leaves[i].shape)
    return tree.unflatten(structure, leaves)


def _exchanged(vector: Tensor) -> Tensor:
    """Sum a vector over the ranks; in a traced program this is one operation that calls Python."""
    wide = vector.float() if vector.is_floating_point() and vector.dtype.itemsize < 4 else vector
    (found,) = _Sum(lambda x: (_torch_total(x),))(wide)
    return found.to(vector.dtype)


@dataclass(frozen=True, eq=False)
class _Sum(Recomputed):
    """A sum over the ranks, which has no derivative: the results of all ranks depend on the argument of each."""

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        raise NotImplementedError(
            "distributed.sum: expected a sum that is not differentiated. Differentiate the function of each rank's "
            "part, and sum or average the gradients; or apply fn.stop_gradient to the argument."
        )

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        return (), self.pull(primals, tangents)

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        return batch_of(self, dims, tensors)


def _total(vector: Tensor) -> Tensor:
    with group().watching():
        return group().total(vector)


def _torch_total(vector: Tensor) -> Tensor:
    found: Tensor = torch.ops.funcnet_distributed.total(vector)
    return found


_LIBRARY = torch.library.Library("funcnet_distributed", "DEF")
_LIBRARY.define("total(Tensor vector) -> Tensor")
_LIBRARY.impl("total", _total, "CompositeExplicitAutograd")
_LIBRARY.impl("total", lambda x: torch.zeros_like(x, memory_format=torch.contiguous_format), "Meta")
torch.library.register_vmap(
    "funcnet_distributed::total", lambda info, in_dims, x: (_torch_total(x), in_dims[0]), lib=_LIBRARY
)
