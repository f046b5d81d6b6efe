"""Copy transposed operands of nests into panels of a few rows, tile by tile.

A nest that walks down the columns of a matrix takes one element of each cache line before the line is evicted, and if
the rows are a power of two apart, all these lines compete for one set of the cache. A tile uses each line fully at
once. Its elements keep their values, and reductions the order of their terms.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from funcnet.compiler.native.buffers import Buffer, View
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Gather,
    Index,
    Loop,
    LoopProgram,
    Nest,
    Node,
    Operand,
    Part,
    Scatter,
    Statement,
    Store,
    never,
    operands,
    rewrite,
    writes,
)
from funcnet.compiler.native.merging import groups
from funcnet.compiler.native.ranges import is_apart, narrowed, ranges
from funcnet.compiler.native.strips import Narrow, is_elementwise

_LINE = 64  # bytes of a cache line
_SIDE = 16  # least rows of a panel, and rows and columns of a nest
_SMALL = 1 << 12  # elements of a nest below which all lines stay in the cache
_PANEL = 1 << 15  # most elements of a panel


def choose(program: LoopProgram) -> LoopProgram:
    """Copy the transposed operands of every nest, including those in the bodies of loops."""
    return rewrite(program, lambda statement: _tiled(statement) if isinstance(statement, Nest) else [statement])


def _tiled(nest: Nest) -> Iterator[Statement]:
    """Run a nest in panels of rows, if it has transposed operands; before some reductions, copy these as a whole."""
    is_long = math.prod(nest.shape) >= _SMALL and _is_plain(nest)
    shape, merge = _merging(nest)
    merged = _mapped(nest, shape, merge, merge) if is_long else nest
    axis = _panelled(merged) if is_long else None
    if axis is None:
        yield nest
    elif _keeps_sums(merged, axis):
        yield from _in_panels(merged, axis)
    else:
        yield from _on_copies(nest, lambda view: _axis(merge(view)) == axis)


def _on_copies(nest: Nest, is_transposed: Callable[[View], bool]) -> Iterator[Statement]:
    """Copy the transposed operands of a nest, unless this changes its loops, with which sums may round differently."""
    *copies, copied = _on_panels(nest, is_transposed)
    if groups(copied) == groups(nest):
        for copy in copies:
            yield from _tiled(copy)
        yield copied
    else:
        yield nest


def _in_panels(nest: Nest, axis: int) -> Iterator[Statement]:
    """Run a nest in panels of rows, whose indices are those of an axis."""
    columns = len(nest.shape) - 1
    rows = max(_SIDE, *(_LINE // x.dtype.itemsize for x in _loads(nest) if _axis(x) == axis))
    widest = nest.shape[-1] if _reductions(nest) else _PANEL // rows
    lengths = [(a, 1) for a in range(columns) if a != axis] + [(axis, rows), (columns, widest)]
    yield from _cut(nest, [(a, length) for a, length in lengths if length < nest.shape[a]], axis)


def _is_plain(nest: Nest) -> bool:
    """Tell whether a nest may run part by part, in any order."""
    values = (x for part in nest.body for x in (part, *operands(part)))
    has_indices = any(isinstance(x, Gather | Scatter | Index) for x in values)
    is_apart_along = all(is_apart(nest, axis) for axis in range(len(nest.shape)) if nest.shape[axis] > 1)
    varying = any(view.varying for view in writes(nest))
    return is_apart_along and not (has_indices or varying or nest.sequential) and is_elementwise(nest)


def _reductions(nest: Nest) -> list[View]:
    return [part.view for part in nest.body if isinstance(part, Accumulate)]


def _merging(nest: Nest) -> tuple[tuple[int, ...], Narrow]:
    """Return the shape of a nest with one axis per loop, and the function from a view of all axes to one of these."""
    axes = [(math.prod(nest.shape[axis] for axis in group), group[-1]) for group in groups(nest)]
    shape = tuple(size for size, _ in axes)
    return shape, lambda view: replace(view, shape=shape, strides=tuple(view.strides[axis] for _, axis in axes))


def _mapped(nest: Nest, shape: tuple[int, ...], loaded: Narrow, written: Narrow) -> Nest:
    """Return a nest with other views as operands and targets."""
    new: dict[Operand, Operand] = {}
    body: list[Part] = []

    def found(x: Operand) -> Operand:
        return loaded(x) if isinstance(x, View) else new.get(x, x)

    for part in nest.body:
        match part:
            case Node():
                new[part] = node = replace(part, args=tuple(map(found, part.args)))
                body.append(node)
            case Store():
                body.append(replace(part, view=written(part.view), value=found(part.value)))
            case Accumulate():
                scratch = part.scratch and (written(part.scratch[0]), written(part.scratch[1]))
                body.append(replace(part, view=written(part.view), value=found(part.value), scratch=scratch))
            case Scatter():
                raise AssertionError("a scatter is not cut")
            case _:
                never(part)
    return Nest(shape, body)


def _loads(nest: Nest) -> list[View]:
    """List the different views that are operands of a body."""
    return [*dict.fromkeys(x for part in nest.body for x in operands(part) if isinstance(x, View))]


def _axis(view: View) -> int | None:
    """Return the axis along which the elements of a transposed operand are side by side; None for another operand."""
    *outer, last = view.strides
    near = [axis for axis, stride in enumerate(outer) if stride == 1]
    return near[0] if near and abs(last) * view.dtype.itemsize >= _LINE else None


def _panelled(nest: Nest) -> int | None:
    """Return the axis along which a nest is cut into panels."""
    axes = (axis for x in _loads(nest) if (axis := _axis(x)) is not None)
    if any(view.strides[-1] not in (0, 1) for view in writes(nest)):
        return None
    return next((axis for axis in axes if min(nest.shape[axis], nest.shape[-1]) >= _SIDE), None)


def _keeps_sums(nest: Nest, axis: int) -> bool:
    """Tell whether panels leave the terms of reductions in their order, and their rows of terms whole."""
    is_row = axis == 0 and len(nest.shape) == 2 and nest.shape[-1] <= _PANEL
    return all(is_row and view.strides[0] and not view.offset and not view.steps for view in _reductions(nest))


def _cut(nest: Nest, cuts: Sequence[tuple[int, int]], axis: int) -> Iterator[Statement]:
    """Cut a nest along some axes into parts of some lengths, and run each on panels of its transposed operands."""
    if not cuts:
        yield from _on_panels(nest, lambda view: _axis(view) == axis)
        return
    (cut, length), *others = cuts
    for found in ranges(cut, nest.shape[cut], min(length, nest.shape[cut])):
        part, *copies = narrowed(nest, found, 1, {})
        body = [*_cut(part, others, axis), *copies]
        yield from [Loop(found.counter, 1, body)] if found.counter else body


def _on_panels(nest: Nest, is_transposed: Callable[[View], bool]) -> Iterator[Nest]:
    """Copy the transposed operands of a nest, unless that is all that it does; then run it on the copies."""
    is_copy = isinstance(nest.body[0], Store) and len(nest.body) == 1
    panels = {x: _panel(x, groups(nest)) for x in _loads(nest) if is_transposed(x) and not is_copy}
    yield from (Nest(nest.shape, [Store(panel, x)]) for x, panel in panels.items())
    yield _mapped(nest, nest.shape, lambda view: panels.get(view, view), lambda view: view)


def _panel(view: View, loops: Sequence[Sequence[int]]) -> View:
    """Return memory for the elements of a view, with its rows an odd number of cache lines apart."""
    line, strides, size = _LINE // view.dtype.itemsize, [0] * len(view.shape), 1
    for loop in reversed(loops):
        for axis in reversed([axis for axis in loop if view.strides[axis]]):
            strides[axis], size = size, size * view.shape[axis]
        if loop is loops[-1]:
            size = (-(-size // line) | 1) * line
    return View(Buffer(view.dtype, size, view.varying), view.shape, tuple(strides))
