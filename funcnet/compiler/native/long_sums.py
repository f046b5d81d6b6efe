"""Long sums of floats: in blocks of a few terms, whose sums are added with the rounding error of each addition kept.

The error of a running sum grows with its length. That of a block is small, and Knuth's two-sum keeps the errors of
adding the blocks, so that the total is as exact as one block, however long it is.
"""

import math

from funcnet.compiler.native.buffers import Buffer, View

BLOCK = 16  # terms of a block
LONG = 32  # terms that need no blocks


def is_exactable(view: View, op: str) -> bool:
    """Tell whether a reduction into a view rounds at every step by an amount that can be kept."""
    return op == "add" and view.dtype.is_floating_point


def spare(view: View, op: str) -> tuple[View, View] | None:
    """Memory for a long sum with kept axes inside its reduced ones: for the sums of one block, and for the errors."""
    axes = [axis for axis, size in enumerate(view.shape) if size != 1]
    reduced = [axis for axis in axes if not view.strides[axis]]
    kept = [axis for axis in axes if reduced and axis > reduced[0] and view.strides[axis]]
    if not kept or not is_exactable(view, op) or math.prod(view.shape[axis] for axis in reduced) <= LONG:
        return None
    strides, size = [0] * len(view.shape), 1
    for axis in reversed(kept):
        strides[axis], size = size, size * view.shape[axis]
    block, errors = (View(Buffer(view.dtype, size, view.varying), view.shape, tuple(strides)) for _ in range(2))
    return block, errors
