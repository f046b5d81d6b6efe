"""Batch axes of the tensors of a control-flow operation inside several vmaps: two axes become one."""

from torch import Tensor

Axes = tuple[int | None, ...]  # the batch axis of each tensor; None for a tensor that all examples share


def merged(size: int, count: int, x: Tensor, axis: int | None, dim: int | None) -> Tensor:
    """Merge a new batch axis of a size with an old one of `count` examples into the first axis.

    Args:
        axis: 0, or None if the tensor lacks the old axis, which precedes all others but the new one.
        dim: The new axis, or None if the tensor lacks it.
    Returns:
        A tensor whose first axis has size * count examples, or x itself if it has neither axis.
    """
    if axis is None and dim is None:
        return x
    x = x[None] if dim is None else x.movedim(dim, 0)
    x = x[:, None] if axis is None else x
    return x.expand(size, count, *x.shape[2:]).reshape(size * count, *x.shape[2:])
