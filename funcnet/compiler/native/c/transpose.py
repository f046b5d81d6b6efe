"""Copies of transposed matrices in C, by blocks in registers."""

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.loop_ir import Nest, Store
from funcnet.compiler.native.merging import groups

_LEAST, _MOST = 4, 16  # rows of a block


def transpose(writer: Writer, nest: Nest) -> bool:
    """Print a nest if it only copies the transpose of a matrix, and tell whether it does."""
    match nest.body, [group[-1] for group in groups(nest)]:
        case [Store(to, View() as source)], [rows, columns] if source.buffer is not to.buffer:
            size, (m, n) = to.dtype.itemsize, (nest.shape[rows], nest.shape[columns])
            width = min(_MOST, writer.target.vector // size)
            is_transpose = source.strides[rows] == to.strides[columns] == 1 and source.dtype == to.dtype
        case _:
            return False
    if not is_transpose or to.varying or source.varying or not _LEAST <= width <= min(m, n):
        return False
    kind, place = f"i{8 * size}", [0] * len(nest.shape)
    arguments = [f"(const {kind} *)&{writer.load(source, place)}", source.strides[columns]]
    arguments += [f"({kind} *)&{writer.load(to, place)}", to.strides[rows], m, n]
    writer.put(f"{writer.call('transpose', f'w{width}{kind}', *map(str, arguments))};")
    return True
