"""Sorting along an axis in C: loops over lines and lanes around the sort of a line."""

import math

from funcnet.compiler.native.c.functions.lanes import each_lane
from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.loop_ir import Sort

_HEAPS = ("largest", "smallest")
_FEW = 8  # a line is not sorted for fewer than one of this many elements


def sort(writer: Writer, s: Sort) -> None:
    """Print a sort: each line of each lane is copied to the scratch and sorted there."""
    if not math.prod(s.values.shape):
        return
    size, place = s.source.shape[s.axis], [f"i{axis}" for axis in range(len(s.source.shape))]
    loops = [axis for axis in range(len(place)) if axis != s.axis]
    for axis in loops:
        writer.open(f"for (i64 i{axis} = 0; i{axis} < {s.source.shape[axis]}; ++i{axis})")
    writer.open(each_lane("").rstrip() if s.source.varying else "")
    lane = "[i]" if s.source.varying else ""
    i, keys, order, at = f"i{s.axis}", writer.name(s.keys.buffer), writer.name(s.order.buffer), writer.fresh("a")
    line = f"for (i64 {i} = 0; {i} < {size}; ++{i})"
    values, indices = (
        f"{writer.name(out.buffer)}[{writer.address(out, place)}]{lane}" for out in (s.values, s.indices)
    )
    key, value = f"({writer.load(s.source, place)}){lane}", f"{keys}[{at} + {i}]"
    kept = f"for (i64 {i} = 0; {i} < {s.values.shape[s.axis]}; ++{i})"
    if lane:
        key, value = writer.unmask(key, s.source.dtype), writer.mask(value, s.source.dtype)
    name, arguments = _function(s)
    writer.put(f"{line} {keys}[{i}] = {key}{'' if name in _HEAPS else f', {order}[{i}] = {i}'};")
    call = writer.call(name, writer.type(s.keys), keys, order, *map(str, arguments), "control")
    writer.put(f"const i64 {at} = {call} + {s.first};")
    if math.prod(s.source.shape) > writer.target.poll:
        writer.stop()
    writer.put(f"{kept} {values} = {value}, {indices} = {order}[{at} + {i}];")
    for _ in range(len(loops) + 1):
        writer.close()


def _function(s: Sort) -> tuple[str, tuple[int, ...]]:
    """Return the function that sorts a line, as far as its results need, and the sizes that it takes."""
    size, count = s.source.shape[s.axis], s.values.shape[s.axis]
    if s.first == 0 and _FEW * count <= size:
        return "largest" if s.descending else "smallest", (size, count)
    if count == 1 and not s.descending:
        return "nth_smallest", (size, s.first)
    return "descending" if s.descending else "ascending", (size,)
