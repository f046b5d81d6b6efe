"""Rules of binary search in sorted lines."""

from functools import partial, reduce

import torch

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.loop_ir import Const, Gather, Index, Operand
from funcnet.compiler.native.lowering.indexing import gather
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Number, Splat, Value

_FEW = 3  # elements of a short line


def _search(
    lowering: Lowering,
    line: Value,
    x: Value | Number,
    *,
    right: bool = False,
    side: str | None = None,
    sorter: Value | None = None,
    **_: object,
) -> Value:
    """Return how many elements of a sorted line are less than each x, or at most x."""
    if isinstance(x, Number) and type(x) is not (float if line.dtype.is_floating_point else int):
        raise UnsupportedError(f"{lowering.op.target} of a number of another type: the native backend has none")
    view = lowering.view(line if sorter is None else gather(lowering, line, -1, sorter))
    shape, dtype = lowering.op.outputs[0].shape, lowering.op.outputs[0].dtype
    if view.shape[-1] == 0:
        return Splat(Const(0, dtype), shape)
    find = partial(_count, view, "gt" if right or side == "right" else "ge")
    return lowering.map(shape, lambda emit, x: emit.cast(find(emit, emit.cast(x, view.dtype)), dtype), x, after=[view])


def _count(line: View, beyond: str, emit: Emit, x: Operand) -> Operand:
    """Halve the range of the result at each step, without branches; a NaN is beyond all elements.

    Where they suffice, positions are of 32 bits, of which a vector holds twice as many. All elements of a short line
    are compared: gcc 12 reads at wrong positions if these are a vector of comparisons.
    """
    rows = [Index(axis) for axis in range(len(line.shape) - 1)]
    dtype = torch.int32 if line.buffer.size < 2**31 else torch.int64
    position: Operand = Const(0, dtype)
    size = line.shape[-1]

    def precedes(at: Operand) -> Operand:
        varying = line.varying or at.varying
        element = emit.append(Gather("gather", (*rows, at), line.dtype, varying, line, is_within=True))
        return emit("not", emit(beyond, element, x))

    if size <= _FEW:
        return reduce(partial(emit, "add"), [emit.cast(precedes(Const(i, dtype)), dtype) for i in range(size)])
    while size > 1:
        half = size // 2
        found = emit.cast(precedes(emit("add", position, half - 1)), dtype)
        position, size = emit("add", position, emit("mul", found, half)), size - half
    return emit("add", position, emit.cast(precedes(position), dtype))


RULES: dict[str, Rule] = {
    "searchsorted": _search,
    "bucketize": lambda lowering, x, line, **options: _search(lowering, line, x, **options),
}
