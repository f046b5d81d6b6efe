"""Teams: a long statement becomes a section whose parts the threads of a run share.

A nest is cut along one axis, a product along its rows, its columns or a batch axis, a loop over rows or strips between
its steps. The parts depend on shapes alone, and the partial results of a reduction are combined in their order, so that
results have the same bits with any number of threads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from funcnet.compiler.native import long_sums
from funcnet.compiler.native.buffers import View, whole
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.control import Case, Repeat
from funcnet.compiler.native.cost import total
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Cumulate,
    Gather,
    Index,
    Loop,
    LoopProgram,
    Nest,
    Section,
    Sort,
    Statement,
    operands,
)
from funcnet.compiler.native.outlining import lines
from funcnet.compiler.native.ranges import Range, is_apart, narrowed, ranges
from funcnet.compiler.native.strips import is_elementwise
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.times import time

_SIDE = 256  # rows or columns of a part of a call of BLAS, which packs the other matrix for each part
_FEW = 8  # parts, with which another axis need not be tried
_ROWS = 64  # of a part that packs columns of the other matrix


def share(program: LoopProgram, target: Target) -> LoopProgram:
    """Cut the long statements of a program, including those in the bodies of loops, into parts for several threads."""
    return replace(program, statements=[*_shared(program.statements, target)])


def _shared(statements: Sequence[Statement], target: Target) -> Iterator[Statement]:
    for statement in statements:
        nanoseconds = total([statement], target, time)
        if nanoseconds < target.team:
            yield statement
        elif isinstance(statement, Loop) and _is_shared(statement):
            is_one = lines(statement.body, target) <= target.inline  # else it needs functions of its own, for gcc
            yield Section(statement.body, statement.counter) if is_one else statement
        elif isinstance(statement, Loop | Repeat | Case):
            yield replace(statement, body=[*_shared(statement.body, target)])
        else:
            yield from _cut(statement, min(target.parts, int(nanoseconds / target.part)), target)


def _is_shared(loop: Loop) -> bool:
    """Tell whether threads share a loop over rows or strips; if it is short, those inside it may be longer."""
    is_inner = not any(isinstance(statement, Loop) for statement in loop.body)
    return not loop.counter.is_step and loop.counter.length > (1 if is_inner else _FEW)


def _cut(statement: Statement, count: int, target: Target) -> Iterator[Statement]:
    """Cut a statement into about `count` parts, if it can be."""
    if isinstance(statement, Nest):
        yield from _cut_nest(statement, count)
    elif isinstance(statement, Contract):
        yield from _cut_product(statement, count, target)
    elif isinstance(statement, Sort | Cumulate):
        yield from _cut_lines(statement, count)
    else:
        yield statement


def _part(found: Range, body: list[Statement]) -> Iterator[Statement]:
    """Yield the statements of a range: a section for all equal parts."""
    yield from [Section(body, found.counter)] if found.counter else body


def _length(size: int, count: int, multiple: int = 1, least: int = 1) -> int:
    """Return the length of about `count` equal parts of a size, a multiple of some number; 0 if there are none.

    The rest has at least `least` elements; a length without a rest is preferred.
    """
    most = -(-size // (count * multiple)) * multiple
    lengths = [n for n in range(max(multiple, most // 2 // multiple * multiple), 2 * most, multiple) if 2 * n <= size]
    fitting = [n for n in lengths if size % n == 0 or size % n >= least]
    return min(fitting, key=lambda n: (size % n > 0, abs(n - most)), default=0)


def _longest(sizes: dict[int, int]) -> int | None:
    """Return the first axis with enough indices, or the longest one."""
    return next((a for a, n in sizes.items() if n >= _FEW), max(sizes, key=lambda a: sizes[a], default=None))


# Nests


def _cut_nest(nest: Nest, count: int) -> Iterator[Statement]:
    """Cut a nest along one axis; each part reduces into memory of its own."""
    reductions = [part.view for part in nest.body if isinstance(part, Accumulate)]
    is_free = is_elementwise(nest) and not nest.sequential and not any(v.offset or v.steps for v in reductions)
    axes = {a: n for a, n in enumerate(nest.shape) if n > 1 and not _counts(nest, a) and is_apart(nest, a)}
    axis = _longest(axes) if is_free else None
    if axis is None:
        yield nest
        return
    size, is_last = nest.shape[axis], axis == len(nest.shape) - 1
    length = _length(size, count, 64 if is_last and size >= 64 * count else 1)
    if not length:
        yield nest
        return
    partials: dict[Accumulate, tuple[View, View]] = {}
    for found in ranges(axis, size, length):
        yield from _part(found, [*narrowed(nest, found, -(-size // length), partials)])
    for part, (target, values) in partials.items():
        reduced = replace(part, view=target, value=values, scratch=long_sums.scratch(target, part.op))
        yield Nest(values.shape, [reduced])


def _counts(nest: Nest, axis: int) -> bool:
    """Tell whether the index along an axis is a value in a nest, other than an index of a gather."""
    parts = [part for part in nest.body if not isinstance(part, Gather)]
    return any(x == Index(axis) for part in parts for x in operands(part))


# Products, sorts and running sums


def _cut_product(product: Contract, count: int, target: Target) -> Iterator[Statement]:
    """Cut a product along a batch axis, its columns or its rows; parts of a few rows do not pack columns again."""
    *batch, rows, columns = product.out.shape
    width = target.vector // product.out.dtype.itemsize
    least, tile = (width, 4 * width) if product.method in (Method.WIDE, Method.PANELS) else (1, 8)
    options = {axis: _length(n, count) for axis, n in enumerate(batch)}
    if product.method is Method.BLAS:
        sides = {len(batch): rows, len(batch) + 1: columns}
        options |= {axis: _length(n, min(count, n // _SIDE), 64) for axis, n in sides.items() if n >= 2 * _SIDE}
    else:
        options[len(batch) + 1] = _length(columns, count, tile, least)
        most = rows // _ROWS if product.method is Method.PANELS else count
        options[len(batch)] = _length(rows, min(count, most), 8) if most else 0
    parts = {axis: product.out.shape[axis] // length for axis, length in options.items() if length}
    axis = _longest(parts)
    if axis is None:
        yield product
        return
    for found in ranges(axis, product.out.shape[axis], options[axis]):
        yield from _part(found, [_product(product, found)])


def _product(product: Contract, found: Range) -> Contract:
    rows = len(product.out.shape) - 2
    panel = product.panel and whole(replace(product.panel.buffer), product.panel.shape)
    left = product.left if found.axis == rows + 1 else found.of(product.left)
    of_right = found if found.axis < rows else replace(found, axis=len(product.right.shape) - 1)
    right = product.right if found.axis == rows else of_right.of(product.right)
    return replace(product, out=found.of(product.out), left=left, right=right, panel=panel)


def _cut_lines(statement: Sort | Cumulate, count: int) -> Iterator[Statement]:
    """Cut a sort or a running reduction along another axis than its own."""
    axis = _longest({a: n for a, n in enumerate(statement.source.shape) if a != statement.axis and n > 1})
    are_columns = axis == len(statement.source.shape) - 1  # several of which run at once, in vectors
    length = 0 if axis is None else _length(statement.source.shape[axis], count, 64 if are_columns else 1)
    if axis is None or not length:
        yield statement
        return
    for found in ranges(axis, statement.source.shape[axis], length):
        yield from _part(found, [_lines(statement, found)])


def _lines(statement: Sort | Cumulate, found: Range) -> Statement:
    source = found.of(statement.source)
    if isinstance(statement, Cumulate):
        return replace(statement, source=source, out=found.of(statement.out))
    values, indices = found.of(statement.values), found.of(statement.indices)
    keys, order = (replace(view, buffer=replace(view.buffer)) for view in (statement.keys, statement.order))
    return replace(statement, source=source, values=values, indices=indices, keys=keys, order=order)
