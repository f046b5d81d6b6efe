"""Rules of sorting and selecting along an axis."""

import math
from dataclasses import replace

import torch

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.loop_ir import Const, Operand, Sort
from funcnet.compiler.native.lowering import reductions
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Splat, Value


def _sort(
    lowering: Lowering, x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> list[Value]:
    """Return the sorted values and their old positions; always stable."""
    return [*_sorted(lowering, x, dim, descending, 0, x.shape[dim])] if x.shape else _single(x)


def _single(x: Value) -> list[Value]:
    return [x, Splat(Const(0, torch.int64), ())]


def _sorted(lowering: Lowering, x: Value, dim: int, descending: bool, first: int, count: int) -> tuple[View, View]:
    """Return `count` of the sorted values from `first` on, and their old positions."""
    source, axis = lowering.view(x), dim % len(x.shape)
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    values, indices = (lowering.temporary(shape, dtype, source.varying) for dtype in (x.dtype, torch.int64))
    keys, order = (lowering.temporary((2 * x.shape[axis],), dtype, False) for dtype in (x.dtype, torch.int64))
    lowering.scope.add(Sort(values, indices, source, axis, descending, keys, order, first), values, indices)
    return values, indices


def _topk(
    lowering: Lowering, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[Value]:
    return [*_sorted(lowering, x, dim, largest, 0, k)] if x.shape else _single(x)


def _kthvalue(lowering: Lowering, x: Value, k: int, dim: int = -1, keepdim: bool = False) -> list[Value]:
    if not x.shape:
        return _single(x)
    return [view if keepdim else _dropped(view, dim) for view in _sorted(lowering, x, dim, False, k - 1, 1)]


def _dropped(view: View, dim: int) -> View:
    """Drop an axis of size 1."""
    axis = dim % len(view.shape)
    return replace(
        view, shape=view.shape[:axis] + view.shape[axis + 1 :], strides=view.strides[:axis] + view.strides[axis + 1 :]
    )


def _median(lowering: Lowering, x: Value, dim: int = -1, keepdim: bool = False) -> list[Value]:
    """Return the lower median and its position; the first NaN if there is one."""
    if not x.shape:
        return _single(x)
    found = _kthvalue(lowering, x, (x.shape[dim] + 1) // 2, dim, keepdim)
    if not x.dtype.is_floating_point:
        return found
    most = lowering.reduce("maximum", x, [dim % len(x.shape)], -math.inf, keepdim)
    place = reductions.first_place(lowering, x, "maximum", 1, dim, keepdim)

    def unless_nan(emit: Emit, most: Operand, nan: Operand, value: Operand) -> Operand:
        return emit("where", emit("ne", most, most), nan, value)

    pairs = zip((most, place), found, strict=True)
    return [lowering.map(value.shape, unless_nan, most, nan, value) for nan, value in pairs]


def _median_of_all(lowering: Lowering, x: Value) -> Value:
    if math.prod(x.shape) == 0:
        return Splat(Const(math.nan, x.dtype), ())
    rows = lowering.view(x).reshape((math.prod(x.shape),)) or lowering.dense(lowering.view(x)).reshape(
        (math.prod(x.shape),)
    )
    assert rows is not None
    return _median(lowering, rows)[0]


RULES: dict[str, Rule] = {
    "sort": _sort,
    "topk": _topk,
    "kthvalue": _kthvalue,
    "median": lambda lowering, x, *dim: _median(lowering, x, *dim) if dim else _median_of_all(lowering, x),
}
