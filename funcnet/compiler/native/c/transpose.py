"""Copies of transposed matrices in C, by blocks in registers."""

import math

from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.loop_ir import Nest, reads, writes
from funcnet.compiler.native.merging import transposed

_LEAST, _MOST = 4, 16  # rows of a block


def transpose(writer: Writer, nest: Nest) -> bool:
    """Print a nest if it only copies the transpose of a matrix, and tell whether it does."""
    loops = transposed(nest)
    if loops is None:
        return False
    (source,), (to,), (rows, columns) = reads(nest), writes(nest), loops
    size, (m, n) = to.dtype.itemsize, (math.prod(nest.shape[axis] for axis in loop) for loop in loops)
    width = min(_MOST, writer.target.vector // size)
    if not _LEAST <= width <= min(m, n):
        return False
    kind, place = f"i{8 * size}", [0] * len(nest.shape)
    arguments = [f"(const {kind} *)&{writer.load(source, place)}", source.strides[columns[-1]]]
    arguments += [f"({kind} *)&{writer.load(to, place)}", to.strides[rows[-1]], m, n]
    writer.put(f"{writer.call('transpose', f'w{width}{kind}', *map(str, arguments))};")
    return True
