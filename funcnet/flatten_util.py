"""Trees as vectors: jax.flatten_util."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from funcnet import tree
from funcnet.numpy.promotion import as_tensor
from funcnet.tree import Tree

__all__ = ["ravel_pytree"]


def ravel_pytree(pytree: Tree) -> tuple[Tensor, Callable[[Tensor], Tree]]:
    """Join all leaves in one vector, integers included; `fn.tree.ravel` joins floating-point leaves only.

    Returns:
        The vector, of the dtype that all leaves promote to, and a function from such a vector to a tree like pytree,
        with its dtypes.
    Example:
        >>> vector, unravel = fn.flatten_util.ravel_pytree({"w": torch.ones(2), "n": torch.tensor(3)})
        >>> vector, unravel(2 * vector)
        (tensor([3., 1., 1.]), {'w': tensor([2., 2.]), 'n': tensor(6)})
    """
    leaves, structure = tree.flatten(pytree)
    tensors = [as_tensor("ravel_pytree", leaf) for leaf in leaves]
    dtype = reduce(torch.promote_types, [x.dtype for x in tensors]) if tensors else torch.float32
    vector = torch.cat([x.reshape(-1).to(dtype) for x in tensors]) if tensors else torch.zeros(0)

    def unravel(vector: Tensor) -> Tree:
        if vector.shape != (sum(x.numel() for x in tensors),):
            raise ValueError(
                f"ravel_pytree: expected a vector of {sum(x.numel() for x in tensors)} numbers, got shape "
                f"{tuple(vector.shape)}."
            )
        parts = vector.split([x.numel() for x in tensors])
        rebuilt = [part.reshape(x.shape).to(x.dtype) for part, x in zip(parts, tensors, strict=True)]
        return tree.unflatten(structure, rebuilt)

    return vector, unravel


def __dir__() -> list[str]:
    return __all__
