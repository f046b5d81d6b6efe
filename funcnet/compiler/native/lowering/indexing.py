"""Rules of gathers, scatters, joins and padding."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.loop_ir import Const, Gather, Index, Nest, Operand, Scatter, Store
from funcnet.compiler.native.lowering import views
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Number, Splat, Value, varies

Place = Callable[..., Sequence[Operand]]  # (emit, *indices) -> one operand per axis


def _gathered(lowering: Lowering, source: Value, shape: Sequence[int], place: Place, *indices: Value) -> Value:
    """Compute out[i] = source[place(i)], where place(emit, *indices) returns one operand per axis of the source."""
    view = lowering.view(source)

    def formula(emit: Emit, *operands: Operand) -> Operand:
        where = place(emit, *(emit.cast(operand, torch.int64) for operand in operands))
        return emit.append(
            Gather("gather", tuple(where), view.dtype, view.varying or any(p.varying for p in where), view)
        )

    return lowering.map(shape, formula, *indices, after=[view])


def gather(lowering: Lowering, x: Value, dim: int, index: Value, **_: object) -> Value:
    return _gathered(lowering, x, index.shape, _at(dim, len(x.shape)), index)


def _index_select(lowering: Lowering, x: Value, dim: int, index: Value) -> Value:
    if not x.shape:
        return x
    along = _trail(lowering.view(index), len(x.shape) - 1 - dim % len(x.shape))
    return _gathered(lowering, x, lowering.op.outputs[0].shape, _at(dim, len(x.shape)), along)


def _layout(lowering: Lowering, x: Value, indices: Sequence[Value | None]) -> tuple[tuple[int, ...], Place, list[View]]:
    """Return the shape of x[indices], the place in x of each of its elements, and the indices aligned with its axes."""
    used = [axis for axis, index in enumerate(indices) if index is not None]
    chosen = [index for index in indices if index is not None]
    if any(index.dtype == torch.bool for index in chosen):
        raise UnsupportedError(f"{lowering.op.target} by a mask: its result has no fixed shape")
    common = torch.broadcast_shapes(*(index.shape for index in chosen))
    adjacent = used == list(range(used[0], used[-1] + 1))
    start = used[0] if adjacent else 0
    kept = [axis for axis in range(len(x.shape)) if axis not in used]
    position = {axis: i if i < start else i + len(common) for i, axis in enumerate(kept)}
    aligned = [_trail(lowering.view(index), len(kept) - start) for index in chosen]
    sizes = [x.shape[axis] for axis in kept]

    def place(emit: Emit, *operands: Operand) -> list[Operand]:
        found = dict(zip(used, operands, strict=True))
        return [found[axis] if axis in found else Index(position[axis]) for axis in range(len(x.shape))]

    return (*sizes[:start], *common, *sizes[start:]), place, aligned


def _trail(view: View, count: int) -> View:
    return replace(view, shape=view.shape + (1,) * count, strides=view.strides + (0,) * count)


def _index(lowering: Lowering, x: Value, indices: Sequence[Value | None]) -> Value:
    shape, place, aligned = _layout(lowering, x, indices)
    return _gathered(lowering, x, shape, place, *aligned)


def _scattered(
    lowering: Lowering,
    base: Value,
    shape: Sequence[int],
    place: Place,
    value: Value | Number,
    indices: Sequence[Value],
    op: str | None,
) -> Value:
    """Return a copy of base with value written, or combined by op, at place(i), in the order of i."""
    operands = [lowering.view(index) for index in indices]
    source = value if isinstance(value, Number | Splat) else lowering.view(value)
    varying = any(view.varying for view in (*operands, *((source,) if isinstance(source, View) else ())))
    out = lowering.output(varying or varies(base))
    lowering.store(out, base)
    nest = Nest(tuple(shape), sequential=True)
    emit = Emit(nest)
    where = place(emit, *(emit.cast(view.expand(nest.shape), torch.int64) for view in operands))
    nest.body.append(Scatter(out, tuple(where), emit.cast(lowering.operand(source, nest), out.dtype), op))
    lowering.scope.add(nest, out)
    return out


def _index_put(
    lowering: Lowering, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False, *_: object
) -> Value:
    shape, place, aligned = _layout(lowering, x, indices)
    return _scattered(lowering, x, shape, place, values, aligned, "add" if accumulate else None)


def _at(axis: int, rank: int) -> Place:
    """Return the place of an element: the index on one axis, where it must not be negative, its own on the others."""
    return lambda emit, i: [_not_negative(emit, i) if a == axis % rank else Index(a) for a in range(rank)]


def _not_negative(emit: Emit, index: Operand) -> Operand:
    """Move negative indices far out of range."""
    return emit("where", emit("lt", index, 0), Const(1 << 62, torch.int64), index)


_COMBINED = {"add": "add", "sum": "add", "multiply": "mul", "prod": "mul", "amax": "maximum", "amin": "minimum"}


def _scatter(
    lowering: Lowering, x: Value, dim: int, index: Value, source: Value | Number, reduce: str | None = None
) -> Value:
    if not isinstance(source, Number | Splat):
        source = replace(lowering.view(source), shape=index.shape)
    op = None if reduce is None else _COMBINED[reduce]
    return _scattered(lowering, x, index.shape, _at(dim, len(x.shape)), source, [index], op)


def _scatter_add(lowering: Lowering, x: Value, dim: int, index: Value, source: Value) -> Value:
    return _scatter(lowering, x, dim, index, source, "add")


def _scatter_reduce(
    lowering: Lowering, x: Value, dim: int, index: Value, source: Value, reduce: str, *, include_self: bool = True
) -> Value:
    if reduce not in _COMBINED or not include_self or x.dtype == torch.bool:
        raise UnsupportedError(f"{lowering.op.target} of {x.dtype} with reduce={reduce!r}: left to torch")
    return _scatter(lowering, x, dim, index, source, reduce)


def _cat(lowering: Lowering, values: Sequence[Value], dim: int = 0) -> Value:
    out, start = lowering.output(any(varies(value) for value in values)), 0
    for value in values:
        if value.shape != (0,) or len(out.shape) == 1:
            part = views.narrow(out, dim, start, value.shape[dim])
            if isinstance(value, View) and math.prod(part.shape) > lowering.target.unroll:
                # in a nest of its own: copies of two arrays at a time are slower
                lowering.scope.add(Nest(part.shape, [Store(part, value)]), out)
            else:
                lowering.store(part, value)
            start += value.shape[dim]
    return out


def _pad(lowering: Lowering, x: Value, widths: Sequence[int], value: Number = 0) -> Value:
    """Pad with a number; negative widths crop."""
    out = lowering.output(varies(x))
    pad_into(lowering, out, x, [*zip(widths[-2::-2], widths[::-2], strict=True)], Const(value, x.dtype))
    return out


def pad_into(lowering: Lowering, out: View, x: Value, widths: Sequence[tuple[int, int]], fill: Const) -> None:
    """Store x, padded before and after its last axes, to a view; negative widths crop."""
    part, crops = out, any(width < 0 for pair in widths for width in pair)
    source: Value = lowering.view(x) if crops else x
    for axis, (left, right) in enumerate(widths, len(x.shape) - len(widths)):
        size = max(0, x.shape[axis] + min(left, 0) + min(right, 0))
        for start, width in ((0, left), (max(left, 0) + size, right)):
            if width > 0:
                border = views.narrow(part, axis, start, width)
                lowering.store(border, Splat(fill, border.shape))
        if isinstance(source, View):
            source = views.narrow(source, axis, max(0, -left), size)
        part = views.narrow(part, axis, max(0, left), size)
    lowering.store(part, source)


def _slice_scatter(
    lowering: Lowering,
    x: Value,
    source: Value,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value:
    """Return a copy of x with a slice replaced by source."""
    chosen = range(x.shape[dim])[slice(start, end, step)]
    if len(chosen) == 1:
        at = Index(dim % len(x.shape))
        return lowering.map(
            x.shape, lambda emit, old, new: emit("where", emit("eq", at, chosen.start), new, old), x, source
        )
    out = lowering.output(varies(x) or varies(source))
    lowering.store(out, x)
    part = views._slice(out, dim, start, end, step)
    lowering.scope.add(Nest(part.shape, [Store(part, lowering.view(source).expand(part.shape))]), out)
    return out


def _repeat(lowering: Lowering, x: Value, repeats: Sequence[int]) -> Value:
    """Tile: view each axis of the result as a pair, along the first of which x is repeated."""
    out, source = lowering.output(varies(x)), lowering.view(x)
    shape = (1,) * (len(repeats) - len(x.shape)) + x.shape
    pairs = out.reshape([n for pair in zip(repeats, shape, strict=True) for n in pair])
    rows = source.reshape([n for size in shape for n in (1, size)])
    assert pairs is not None and rows is not None
    lowering.store(pairs, rows.expand(pairs.shape))
    return out


READS: dict[str, Rule] = {
    "gather": gather,
    "index_select": _index_select,
    "index": _index,
    "cat": _cat,
    "constant_pad_nd": _pad,
    "slice_scatter": _slice_scatter,
    "repeat": _repeat,
}
WRITES: dict[str, Rule] = {
    "index_put": _index_put,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "scatter_reduce": _scatter_reduce,
}
