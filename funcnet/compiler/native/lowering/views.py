"""Rules of operations that move no data: their results are strided views of the same buffer."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.buffers import View, whole
from funcnet.compiler.native.lowering.lower import Lowering, Rule, memory
from funcnet.compiler.native.lowering.values import Splat, Value, varies

Move = Callable[..., View]


def moved(move: Move) -> Rule:
    """Return the rule of a view operation. A splat stays a splat, and a value that keeps its shape is unchanged."""

    def rule(lowering: Lowering, x: Value, *args: object, **options: object) -> Value:
        if isinstance(x, Splat):
            return Splat(x.const, lowering.op.outputs[0].shape)
        return move(lowering.view(x), *args, **options)

    return rule


def _reshape(lowering: Lowering, x: Value, *_: object) -> Value:
    """Return the elements in another shape: as a view, or as a row-major copy if no strides describe it."""
    shape = lowering.op.outputs[0].shape
    if x.dtype != lowering.op.outputs[0].dtype:
        return _bits(lowering, x)
    if isinstance(x, Splat) or x.shape == shape:
        return Splat(x.const, shape) if isinstance(x, Splat) else x
    source = lowering.view(x)
    result = source.reshape(shape)
    if result is None:
        copy = lowering.temporary(x.shape, x.dtype, source.varying)
        lowering.store(copy, source)
        result = copy.reshape(shape)
    assert result is not None
    return result


def _bits(lowering: Lowering, x: Value) -> Value:
    """Reinterpret the bits as another dtype; between integers of one width, C's conversion does so."""
    dtype = lowering.op.outputs[0].dtype
    if x.dtype.itemsize != dtype.itemsize or any(d.is_floating_point or d == torch.bool for d in (x.dtype, dtype)):
        raise UnsupportedError(f"{lowering.op.target}: the native backend does not view {x.dtype} as {dtype}")
    return lowering.map(x.shape, lambda emit, x: emit.cast(x, dtype), x)


def _expand(lowering: Lowering, x: Value, *_: object, **__: object) -> Value:
    shape = lowering.op.outputs[0].shape
    if isinstance(x, Splat):
        return Splat(x.const, shape)
    return x if x.shape == shape else lowering.view(x).expand(shape)


def _slice(x: View, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> View:
    dim %= len(x.shape)
    chosen = range(x.shape[dim])[slice(start, end, step)]
    return _cut(x, dim, (len(chosen),), (x.strides[dim] * step,), chosen.start)


def _cut(x: View, dim: int, shape: tuple[int, ...], strides: tuple[int, ...], start: int) -> View:
    """Replace one axis by others, starting at an index of it."""
    return replace(
        x,
        shape=x.shape[:dim] + shape + x.shape[dim + 1 :],
        strides=x.strides[:dim] + strides + x.strides[dim + 1 :],
        offset=x.offset + start * x.strides[dim],
    )


def _select(x: View, dim: int, index: int) -> View:
    """Select an index and drop the axis."""
    return _cut(x, dim % len(x.shape), (), (), range(x.shape[dim])[index])


def narrow(x: View, dim: int, start: int, size: int) -> View:
    """Select a range of indices of an axis."""
    return _slice(x, dim, start, start + size)


def _unsqueeze(x: View, dim: int) -> View:
    dim %= len(x.shape) + 1
    return replace(x, shape=(*x.shape[:dim], 1, *x.shape[dim:]), strides=(*x.strides[:dim], 0, *x.strides[dim:]))


def _flip(x: View, dims: Sequence[int]) -> View:
    flipped = {dim % len(x.shape) for dim in dims} if x.shape else set()
    offset = sum((x.shape[d] - 1) * x.strides[d] for d in flipped)
    return replace(
        x, strides=tuple(-s if d in flipped else s for d, s in enumerate(x.strides)), offset=x.offset + offset
    )


def _diagonal(x: View, offset: int = 0, dim1: int = 0, dim2: int = 1) -> View:
    d1, d2 = dim1 % len(x.shape), dim2 % len(x.shape)
    size = max(0, min(x.shape[d1] + min(offset, 0), x.shape[d2] - max(offset, 0)))
    start = max(offset, 0) * x.strides[d2] - min(offset, 0) * x.strides[d1]
    rest = [axis for axis in range(len(x.shape)) if axis not in (d1, d2)]
    strides = (*(x.strides[axis] for axis in rest), x.strides[d1] + x.strides[d2])
    return replace(x, shape=(*(x.shape[axis] for axis in rest), size), strides=strides, offset=x.offset + start)


def _unfold(x: View, dim: int, size: int, step: int) -> View:
    if not x.shape:
        return replace(x, shape=(size,), strides=(0,))
    dim %= len(x.shape)
    count, stride = (x.shape[dim] - size) // step + 1, x.strides[dim]
    cut = _cut(x, dim, (count,), (stride * step,), 0)
    return replace(cut, shape=(*cut.shape, size), strides=(*cut.strides, stride))


def _as_strided(
    lowering: Lowering, x: Value, size: Sequence[int], stride: Sequence[int], offset: int | None = None
) -> Value:
    """View a tensor that owns its memory; tracing has made it row-major."""
    if isinstance(x, Splat):
        return Splat(x.const, tuple(size))
    rows = lowering.view(x)
    rows = rows if rows == whole(rows.buffer, rows.shape) else lowering.dense(rows)
    return View(rows.buffer, tuple(size), tuple(stride), offset or 0)


def _complex(lowering: Lowering, re: Value, im: Value) -> View:
    """Store two parts side by side; see `lower.memory`."""
    out = lowering.temporary(*memory(lowering.op.outputs[0]), varies(re) or varies(im))
    lowering.store(_select(out, -1, 0), re)
    lowering.store(_select(out, -1, 1), im)
    return out


RULES: dict[str, Rule] = {
    "view": _reshape,
    "squeeze": _reshape,
    "expand": _expand,
    "permute": moved(View.permute),
    "slice": moved(_slice),
    "select": moved(_select),
    "unsqueeze": moved(_unsqueeze),
    "flip": moved(_flip),
    "diagonal": moved(_diagonal),
    "unfold": moved(_unfold),
    "as_strided": _as_strided,
    "complex": _complex,
    **dict.fromkeys(("view_as_complex", "view_as_real"), lambda _, x: x),
}
