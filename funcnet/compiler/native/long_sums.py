"""Long sums of floats: sums of short blocks are added up, and the rounding error of each addition is kept.

The error of a running sum grows with its length. The error of a block is small, and Knuth's two-sum keeps the errors of
adding blocks, so that the total is as exact as one block, whatever its length.
"""

import math

from funcnet.compiler.native.buffers import Buffer, View

BLOCK = 16  # terms per block
LONG = 32  # a sum of at most this many terms is not cut into blocks


def is_float_sum(view: View, op: str) -> bool:
    """Tell whether a reduction is a sum of floats, whose rounding errors can be kept."""
    return op == "add" and view.dtype.is_floating_point


def scratch(view: View, op: str) -> tuple[View, View] | None:
    """Allocate memory for a long sum with kept axes inside reduced ones: the sums of one block, and the errors."""
    axes = [axis for axis, size in enumerate(view.shape) if size != 1]
    reduced = [axis for axis in axes if not view.strides[axis]]
    kept = [axis for axis in axes if reduced and axis > reduced[0] and view.strides[axis]]
    if not kept or not is_float_sum(view, op) or math.prod(view.shape[axis] for axis in reduced) <= LONG:
        return None
    strides, size = [0] * len(view.shape), 1
    for axis in reversed(kept):
        strides[axis], size = size, size * view.shape[axis]
    block, errors = (View(Buffer(view.dtype, size, view.varying), view.shape, tuple(strides)) for _ in range(2))
    return block, errors
