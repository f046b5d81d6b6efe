"""The loops of a nest: axes that become one, and copies of transposed matrices."""

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.loop_ir import Accumulate, Gather, Index, Nest, Scatter, Store, operands


def groups(nest: Nest) -> list[list[int]]:
    """Group the axes, except those of size 1, that all views can merge into one loop; none if indices are computed."""
    axes = [axis for axis, size in enumerate(nest.shape) if size != 1]
    views = [part.view for part in nest.body if isinstance(part, Store | Accumulate)]
    values = [x for part in nest.body for x in operands(part)]
    if any(isinstance(x, Index) for x in values) or any(isinstance(part, Scatter | Gather) for part in nest.body):
        return [[axis] for axis in axes]
    views += [x for x in values if isinstance(x, View)]
    found: list[list[int]] = []
    for axis in axes:
        if found and all(v.strides[found[-1][-1]] == v.strides[axis] * nest.shape[axis] for v in views):
            found[-1].append(axis)
        else:
            found.append([axis])
    return found


def transposed(nest: Nest) -> tuple[list[int], list[int]] | None:
    """Return the axes that are the rows, and those that are the columns, of a nest that only transposes a matrix."""
    loops, first = groups(nest), nest.body[0] if len(nest.body) == 1 else None
    if len(loops) != 2 or not isinstance(first, Store) or not isinstance(first.value, View):
        return None
    (rows, columns), to, source = loops, first.view, first.value
    is_copy = source.dtype == to.dtype and source.buffer is not to.buffer
    is_transpose = source.strides[rows[-1]] == to.strides[columns[-1]] == 1
    return (rows, columns) if is_copy and is_transpose and not to.varying and not source.varying else None
