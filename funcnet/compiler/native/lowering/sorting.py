"""Sorting along an axis: the rules, and the loops over lines and lanes around a merge sort."""

import math
from typing import TYPE_CHECKING

import torch

from funcnet.compiler.native.loop_ir import Const, Sort
from funcnet.compiler.native.lowering import views
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Splat, Value

if TYPE_CHECKING:
    from funcnet.compiler.native.c.writer import Printer


def _sort(b: Lowering, x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> list[Value]:
    """The values in order and where they were; always stable."""
    if not x.shape:
        return [x, Splat(Const(0, torch.int64), ())]
    source, axis = b.view(x), dim % len(x.shape)
    values, indices = (b.temporary(x.shape, dtype, source.varying) for dtype in (x.dtype, torch.int64))
    keys, order = (b.temporary((2 * x.shape[axis],), dtype, False) for dtype in (x.dtype, torch.int64))
    b.scope.add(Sort(values, indices, source, axis, descending, keys, order), values, indices)
    return [values, indices]


def _topk(b: Lowering, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Value]:
    found = _sort(b, x, dim, largest)
    return [views.narrow(b.view(value), dim, 0, k) for value in found] if x.shape else found


def sort(p: "Printer", s: Sort) -> None:
    """Print a sort: every line, lane by lane, goes through the scratch."""
    if not math.prod(s.source.shape):
        return
    size, place = s.source.shape[s.axis], [f"i{axis}" for axis in range(len(s.source.shape))]
    loops = [axis for axis in range(len(place)) if axis != s.axis]
    for axis in loops:
        p.open(f"for (i64 i{axis} = 0; i{axis} < {s.source.shape[axis]}; ++i{axis})")
    p.open("for (int l = 0; l < L; ++l)" if s.source.varying else "")
    lane = "[l]" if s.source.varying else ""
    minus = "-" if lane and s.source.dtype == torch.bool else ""
    i, keys, order, at = f"i{s.axis}", p.name(s.keys.buffer), p.name(s.order.buffer), p.fresh("a")
    line = f"for (i64 {i} = 0; {i} < {size}; ++{i})"
    values, indices = (f"{p.name(out.buffer)}[{p.address(out, place)}]{lane}" for out in (s.values, s.indices))
    p.put(f"{line} {keys}[{i}] = {minus}({p.load(s.source, place)}){lane}, {order}[{i}] = {i};")
    merge = "descending" if s.descending else "ascending"
    p.put(f"const i64 {at} = {p.call(merge, p.type(s.keys), keys, order, str(size))};")
    p.put(f"{line} {values} = {minus}{keys}[{at} + {i}], {indices} = {order}[{at} + {i}];")
    for _ in range(len(loops) + 1):
        p.close()


RULES: dict[str, Rule] = {"sort": _sort, "topk": _topk}
