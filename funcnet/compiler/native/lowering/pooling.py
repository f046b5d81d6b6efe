"""Pools as elementwise operations on the elements of the windows, and their transposes.

A position computes the elements of its window one after the other, those of a large one in a reduction. The transpose
writes to views of the input's cotangents, one per element of the windows; where windows overlap, a loop adds to them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import product

import torch

from funcnet.compiler.native.buffers import View, row_major
from funcnet.compiler.native.loop_ir import Const, Index, Nest, Operand, Store
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Number, Pending, Splat, Value, varies
from funcnet.compiler.native.lowering.views import narrow
from funcnet.compiler.native.lowering.windows import Sizes, Windows, padded

Element = Callable[..., Operand]  # (emit, distance of the element from the first one in the window, *operands)


def _over(
    lowering: Lowering, x: Value, y: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes = (1,)
) -> Windows:
    """Return the windows of the current operation; a size may be one number for all axes."""
    axes = 3 if "3d" in lowering.op.target._schema.name else 2
    kernel, stride, padding, dilation = (
        [*size] * (axes // len(size)) for size in (kernel, stride or kernel, padding, dilation)
    )
    return Windows(x.shape[-axes:], kernel, y[-axes:], stride, dilation, padding)


def _max_pool(
    lowering: Lowering,
    x: Value,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    dilation: Sizes = (1,),
    _: bool = False,
) -> list[Value]:
    """Return the first largest element of each window, or its last NaN, and the index of that element in x."""
    at = _over(lowering, x, lowering.op.outputs[0].shape, kernel, stride, padding, dilation)
    source = padded(lowering, x, at, _least(x.dtype))
    if at.are_large:
        return _max_of_large(lowering, _behind(source, at), at)
    elements, kind = _elements(source, at), _narrow(x.dtype, at)
    nest = lowering.nest(elements[0].shape, elements)
    emit = Emit(nest)
    best: Operand = elements[0]
    place = _skipped(emit, at, kind)
    for new, distance in zip(elements[1:], _distances(at)[1:], strict=True):
        larger = emit("or", emit("gt", new, best), emit("ne", new, new))
        best = emit("where", larger, new, best)
        place = emit("where", larger, Const(distance, kind), place, dtype=kind)
    index = emit.cast(_sum(emit, [place, *_origin(emit, at, kind)]), torch.int64)
    return [Pending(value, nest, lowering.scope) for value in (best, index)]


def _max_of_large(lowering: Lowering, windows: View, at: Windows) -> list[Value]:
    """Do the same in two passes over windows whose elements are the last axes."""
    rank, lead, end = len(at.kernel), len(windows.shape) - 2 * len(at.kernel), torch.iinfo(torch.int64).max
    best = _reduced(lowering, "maximum", windows, at, _least(windows.dtype), keep=True)

    def key(emit: Emit, x: Operand, best: Operand) -> Operand:
        """Return the index of a candidate; a NaN has a negative one, which is the smallest for the last NaN."""
        places = [_place(emit, at, axis, lead) for axis in range(rank)]
        index = _sum(emit, [emit("mul", p, unit) for p, unit in zip(places, row_major(at.size), strict=True)])
        hit: Operand = emit("eq", x, best)
        for place, size in zip(places, at.size, strict=True):
            hit = emit("and", hit, emit("and", emit("ge", place, 0), emit("lt", place, size)))
        found = emit("where", hit, index, Const(end, torch.int64), dtype=torch.int64)
        return emit("where", emit("ne", x, x), emit("sub", -1, index), found, dtype=torch.int64)

    keys = _reduced(lowering, "minimum", lowering.map(windows.shape, key, windows, best), at, end)
    index = lowering.map(
        keys.shape, lambda emit, k: emit("where", emit("lt", k, 0), emit("sub", -1, k), k, dtype=torch.int64), keys
    )
    return [replace(best, shape=keys.shape, strides=row_major(keys.shape)), index]


def _place(emit: Emit, at: Windows, axis: int, lead: int) -> Operand:
    """Return the index on an axis of x of an element of a window."""
    begin = emit("sub", emit("mul", Index(lead + axis), at.stride[axis]), at.before[axis])
    return emit("add", begin, emit("mul", Index(lead + len(at.kernel) + axis), at.dilation[axis]))


def _behind(x: View, at: Windows) -> View:
    """View the windows as (*, *positions, *kernel)."""
    windows, rank = at.of(x), len(at.kernel)
    lead = len(windows.shape) - 2 * rank
    return windows.permute((*range(lead), *range(lead + rank, lead + 2 * rank), *range(lead, lead + rank)))


def _reduced(lowering: Lowering, op: str, windows: Value, at: Windows, start: Number, keep: bool = False) -> View:
    """Reduce the last axes, those of the elements of the windows."""
    axes = range(len(windows.shape) - len(at.kernel), len(windows.shape))
    return lowering.reduce(op, windows, axes, start, keep)


def _narrow(dtype: torch.dtype, at: Windows) -> torch.dtype:
    """Return the dtype of indices in a plane, as wide as the elements if they fit."""
    return torch.int32 if dtype.itemsize <= 4 and 4 * math.prod(at.room) < 1 << 31 else torch.int64


def _least(dtype: torch.dtype) -> Number:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def _elements(x: View, at: Windows) -> list[View]:
    """View each element of the windows at all positions."""
    rank = len(at.kernel)
    windows = at.of(x)
    lead = len(windows.shape) - 2 * rank
    kept = [*range(lead), *range(lead + rank, lead + 2 * rank)]
    steps = windows.strides[lead : lead + rank]
    base = windows.permute(kept)
    return [replace(base, offset=base.offset + sum(map(math.prod, zip(k, steps, strict=True)))) for k in _places(at)]


def _places(at: Windows) -> list[tuple[int, ...]]:
    return [*product(*map(range, at.kernel))]


def _distances(at: Windows) -> list[int]:
    """Return the distance in x of each element of a window from its first one, in row-major order."""
    steps = [d * unit for d, unit in zip(at.dilation, row_major(at.size), strict=True)]
    return [sum(map(math.prod, zip(k, steps, strict=True))) for k in _places(at)]


def _begin(emit: Emit, at: Windows, axis: int, dtype: torch.dtype) -> Operand:
    """Return where a window begins on an axis of x; negative in the margin."""
    index = emit.cast(Index(len(emit.nest.shape) - len(at.size) + axis), dtype)
    begin = emit("mul", index, at.stride[axis])
    return emit("sub", begin, at.before[axis]) if at.before[axis] else begin


def _origin(emit: Emit, at: Windows, dtype: torch.dtype) -> list[Operand]:
    """Return the terms of the row-major index in x at which a window begins, margin included."""
    return [emit("mul", _begin(emit, at, axis, dtype), unit) for axis, unit in enumerate(row_major(at.size))]


def _skipped(emit: Emit, at: Windows, dtype: torch.dtype) -> Operand:
    """Return the distance from the first element of a window to the first one inside x."""
    parts: list[Operand] = [Const(0, dtype)]
    for axis, (step, unit) in enumerate(zip(at.dilation, row_major(at.size), strict=True)):
        if at.before[axis]:
            missing = emit("maximum", emit("neg", _begin(emit, at, axis, dtype)), 0)
            whole = emit("floordiv", emit("add", missing, step - 1), step) if step > 1 else missing
            parts.append(emit("mul", whole, step * unit))
    return _sum(emit, parts)


def _sum(emit: Emit, parts: Sequence[Operand]) -> Operand:
    return reduce(lambda a, b: emit("add", a, b), parts)


def _max_pool_backward(
    lowering: Lowering,
    grad: Value,
    x: Value,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    _: bool,
    index: Value,
) -> Value:
    """Give the cotangent of each window to the element that was the largest."""
    at = _over(lowering, x, grad.shape, kernel, stride, padding, dilation)

    kind = _narrow(x.dtype, at)

    def element(emit: Emit, distance: Operand | int, grad: Operand, index: Operand) -> Operand:
        origin = _sum(emit, _origin(emit, at, kind))
        hit = emit("eq", emit("sub", emit.cast(index, kind), origin), emit.cast(distance, kind))
        return emit("where", hit, grad, Const(0, grad.dtype), dtype=grad.dtype)

    return _spread(lowering, at, element, x.shape, grad, index)


def _avg_pool(
    lowering: Lowering,
    x: Value,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    _: bool = False,
    include: bool = True,
    divisor: int | None = None,
) -> Value:
    at = _over(lowering, x, lowering.op.outputs[0].shape, kernel, stride, padding)
    source = padded(lowering, x, at)
    parts = [_reduced(lowering, "add", _behind(source, at), at, 0)] if at.are_large else _elements(source, at)

    def mean(emit: Emit, *parts: Operand) -> Operand:
        total, count = _sum(emit, parts), _count(emit, at, x.dtype, include, divisor)
        return emit("div" if x.dtype.is_floating_point else "quotient", total, count)

    return lowering.map(parts[0].shape, mean, *parts)


def _avg_pool_backward(
    lowering: Lowering,
    grad: Value,
    x: Value,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    _: bool,
    include: bool,
    divisor: int | None,
) -> Value:
    at = _over(lowering, x, grad.shape, kernel, stride, padding)
    part = lowering.map(
        grad.shape, lambda emit, grad: emit("div", grad, _count(emit, at, grad.dtype, include, divisor)), grad
    )
    return _spread(lowering, at, lambda emit, _, part: part, x.shape, part)


def _count(emit: Emit, at: Windows, dtype: torch.dtype, include: bool, divisor: int | None) -> Operand | Number:
    """Return the number of elements that a mean divides by; those in the margins count if `include`."""
    inside = all(high <= low for low, high in at.margins)
    if divisor is not None or (inside and (include or not any(at.before))):
        return divisor or math.prod(at.kernel)
    counts: list[Operand] = []
    for axis, (kernel, size, margin) in enumerate(zip(at.kernel, at.size, at.before, strict=True)):
        begin = _begin(emit, at, axis, torch.int64)
        end = emit("minimum", emit("add", begin, kernel), size + margin if include else size)
        counts.append(emit("sub", end, begin if include else emit("maximum", begin, 0)))
    return emit.cast(reduce(lambda a, b: emit("mul", a, b), counts), dtype)


def _spread(lowering: Lowering, at: Windows, element: Element, shape: Sizes, *values: Value) -> Value:
    """Add element(distance) of each window to the element of x at that distance."""
    lead, varying = tuple(shape[: -len(at.size)]), any(map(varies, values))
    out = lowering.temporary((*lead, *at.room), values[0].dtype, varying)
    zero = Const(0, out.dtype)
    if at.overlap or at.are_large:
        lowering.store(out, Splat(zero, out.shape))
        _add(lowering, at, element, out, *values)
        return at.inside(out)
    is_tiling = list(at.stride) == list(at.kernel)
    if is_tiling:
        _fill_rest(lowering, out, [p * s for p, s in zip(at.positions, at.stride, strict=True)], zero)
    else:
        lowering.store(out, Splat(zero, out.shape))
    for part, distance in zip(_elements(out, at), _distances(at), strict=True):
        lowering.store(
            part, lowering.map(part.shape, _at_distance(element, distance), *values, after=[] if is_tiling else [out])
        )
    return at.inside(out)


def _at_distance(element: Element, distance: int) -> Callable[..., Operand]:
    """Return a function (emit, *operands) of an element at a known distance."""
    return lambda emit, *operands: element(emit, distance, *operands)


def _fill_rest(lowering: Lowering, x: View, ends: Sizes, fill: Const) -> None:
    """Fill the elements of x whose index on any of the last axes is not below an end."""
    for axis, end in enumerate(ends, len(x.shape) - len(ends)):
        if (size := x.shape[axis]) > end:
            rest = narrow(x, axis, end, size - end)
            lowering.store(rest, Splat(fill, rest.shape))
        x = narrow(x, axis, 0, end)


def _add(lowering: Lowering, at: Windows, element: Element, out: View, *values: Value) -> None:
    """Add in a loop over the kernel, whose axes are in front of those of the positions."""
    rank, windows = len(at.kernel), at.of(out)
    lead = len(windows.shape) - 2 * rank
    nest = Nest(windows.shape)
    emit = Emit(nest)
    steps = [d * unit for d, unit in zip(at.dilation, row_major(at.size), strict=True)]
    distance = _sum(emit, [emit("mul", Index(lead + axis), step) for axis, step in enumerate(steps)])
    views = [_repeated(lowering.view(value), lead, at.kernel) for value in values]
    nest.body.append(Store(windows, emit("add", windows, element(emit, distance, *views))))
    lowering.scope.add(nest, out)


def _repeated(view: View, lead: int, kernel: Sizes) -> View:
    """Insert axes along which elements repeat."""
    shape = (*view.shape[:lead], *kernel, *view.shape[lead:])
    return replace(view, shape=shape, strides=(*view.strides[:lead], *(0 for _ in kernel), *view.strides[lead:]))


_POOLS: dict[str, Rule] = {
    "max_pool{}d_with_indices": _max_pool,
    "max_pool{}d_with_indices_backward": _max_pool_backward,
    "avg_pool{}d": _avg_pool,
    "avg_pool{}d_backward": _avg_pool_backward,
}
# torch computes pools over one axis by those over two
RULES: dict[str, Rule] = {name.format(axes): rule for name, rule in _POOLS.items() for axes in (2, 3)}
