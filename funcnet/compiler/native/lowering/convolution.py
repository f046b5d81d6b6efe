"""Convolutions as contractions over strided views of the input; windows are copied only where no strides describe them.

y[n, o, p] = Σ w[o, c, k] x[n, c, stride p + dilation k] is a matrix product with the axes c and k in its sum: each axis
of x gives an axis of the kernel and one of the positions, with two strides.

The vectors of the product run along the positions. With a stride of 1, the positions of all rows are one axis: those
between the end of a row and the begin of the next are computed, too, and not used. With another stride, the windows
are copied. In lanes, elements are vectors, and views need no copies.

The transpose with respect to x is the convolution by the flipped kernel, or, with a stride, a product for all windows,
which are added to x. That with respect to w is a product with all positions in its sum, in vectors of channels.

The axes are n: images, g: groups, o and c: channels of y and x per group, k…: of the kernel, p…: positions.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from funcnet.compiler.native.buffers import View, row_major
from funcnet.compiler.native.loop_ir import Const, Nest, Store
from funcnet.compiler.native.lowering.axes import Axes, contract, copied, new
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Splat, Value, varies
from funcnet.compiler.native.lowering.windows import Windows, padded

Sizes = Sequence[int]

_WASTE = 2  # most computed positions per used one, beyond which windows are copied
_FEW = 16  # positions of an image below which the images of a batch are joined
_CHUNK = 1 << 18  # bytes of the cotangents of some images, which stay in the cache for all elements of the kernel


def _kernel(rank: int) -> list[str]:
    return [f"k{axis}" for axis in range(rank)]


def _positions(rank: int) -> list[str]:
    return [f"p{axis}" for axis in range(rank)]


def _grouped(x: View, groups: int, axes: Sequence[str]) -> Axes:
    """Name the axes of a tensor, whose second one, or first of a kernel, is divided by groups."""
    return Axes(x, tuple(axes)).cut("o" if "o" in axes else "c", "g", groups)


def _windows(x: View, at: Windows, groups: int) -> Axes:
    rank = len(at.kernel)
    return _grouped(at.of(x), groups, ["n", "c", *_kernel(rank), *_positions(rank)])


def correlate(lowering: Lowering, x: Value, w: Axes, at: Windows) -> Axes:
    """Return y for an x of (n, g c, *size)."""
    groups = w.sizes["g"]
    if varies(x) or w.view.varying or not x.dtype.is_floating_point:
        return _by_views(lowering, _windows(padded(lowering, x, at), at, groups), w)
    if at.has_stride or at.length > _WASTE * math.prod(at.positions):
        return _by_copies(lowering, _windows(padded(lowering, x, at), at, groups), w)
    width = lowering.target.vector // x.dtype.itemsize
    joined = x.shape[0] > 1 and -(-at.length // width) * width > math.prod(at.room)
    return _by_shifts(lowering, _windows(padded(lowering, x, at, dense=True, joined=joined), at, groups), w, joined)


def _by_views(lowering: Lowering, x: Axes, w: Axes) -> Axes:
    """Multiply for each row of positions."""
    *outer, row = _positions(len(w.names) - 3)
    varying = x.view.varying or w.view.varying
    y = new(lowering, x.sizes | w.sizes, ["n", "g", "o", *outer, row], x.view.dtype, varying)
    contract(lowering, y, w, x, "o", row)
    return y


def _by_copies(lowering: Lowering, x: Axes, w: Axes) -> Axes:
    """Copy the windows; the positions of a copy are one axis, with those of all images if they are few."""
    positions = _positions(len(w.names) - 3)
    joined = x.sizes["n"] > 1 and math.prod(x.sizes[p] for p in positions) < _FEW
    outer, columns = ([], ["n", *positions]) if joined else (["n"], positions)
    windows = copied(lowering, x, *outer, "g", "c", *_kernel(len(positions)), *columns)
    y = new(lowering, x.sizes | w.sizes, [*outer, "g", "o", *columns], x.view.dtype, False)
    contract(lowering, y.join(columns, "p"), w, windows.join(columns, "p"), "o", "p")
    return y.order("n", "g", "o", *positions)


def _by_shifts(lowering: Lowering, x: Axes, w: Axes, joined: bool) -> Axes:
    """Multiply for all elements of x from the first to the last position."""
    positions = _positions(len(w.names) - 3)
    columns = ["n", *positions] if joined else positions
    length = 1 + sum((x.sizes[name] - 1) * x.strides[name] for name in columns)
    rest = [name for name in x.names if name not in columns]
    every = replace(
        x.over(rest, {}),
        shape=(*(x.sizes[name] for name in rest), length),
        strides=(*(x.strides[name] for name in rest), 1),
    )
    sizes = x.sizes | w.sizes | {"p": length}
    y = new(lowering, sizes, [*(["n"] if not joined else []), "g", "o", "p"], x.view.dtype, False)
    contract(lowering, y, w, Axes(every, (*rest, "p")), "o", "p")
    steps = {name: x.strides[name] for name in columns} | {name: y.strides[name] for name in y.names}
    names = ("n", "g", "o", *positions)
    return Axes(
        replace(y.view, shape=tuple(sizes[name] for name in names), strides=tuple(steps[name] for name in names)), names
    )


def spread(lowering: Lowering, y: Value, w: Axes, at: Windows) -> View:
    """Return the transpose of `correlate` with respect to x, (n, g c, *size), for a y of (n, g o, *positions)."""
    if at.has_stride:
        return _added(lowering, _columns(lowering, y, w, at), at)
    kernel = _kernel(len(at.kernel))
    start = sum((w.sizes[k] - 1) * w.strides[k] for k in kernel)
    strides = tuple(-step if name in kernel else step for name, step in w.strides.items())
    names = tuple({"o": "c", "c": "o"}.get(name, name) for name in w.names)
    flipped = Axes(replace(w.view, strides=strides, offset=w.view.offset + start), names)
    before = [r - b for r, b in zip(at.reach, at.before, strict=True)]
    back = replace(at, size=at.positions, positions=at.size, before=before)
    return _channels(correlate(lowering, y, copied(lowering, flipped, "g", "o", "c", *kernel), back))


def _columns(lowering: Lowering, y: Value, w: Axes, at: Windows) -> Axes:
    """Return Σ_o w[o, c, k] y[n, o, p]: the cotangents of all windows."""
    rank, groups = len(at.kernel), w.sizes["g"]
    kernel, positions = _kernel(rank), _positions(rank)
    joined = y.shape[0] > 1 and math.prod(at.positions) < _FEW
    outer, columns = ([], ["n", *positions]) if joined else (["n"], positions)
    source = _grouped(lowering.view(y), groups, ["n", "o", *positions])
    source = copied(lowering, source, *outer, "g", "o", *columns)
    rows = copied(lowering, w, "g", "o", "c", *kernel).join(["c", *kernel], "row")
    found = new(
        lowering, source.sizes | w.sizes, [*outer, "g", "c", *kernel, *columns], y.dtype, varies(y) or w.view.varying
    )
    joined_rows = found.join(["c", *kernel], "row").join(columns, "p")
    contract(lowering, joined_rows, rows, source.join(columns, "p"), "row", "p")
    return found


def _added(lowering: Lowering, columns: Axes, at: Windows) -> View:
    """Add the windows to a tensor of zeros."""
    sizes, varying = columns.sizes, columns.view.varying
    channels = sizes["g"] * sizes["c"]
    out = lowering.temporary((sizes["n"], channels, *at.room), columns.view.dtype, varying)
    lowering.store(out, Splat(Const(0, out.dtype), out.shape))
    windows = _windows(out, at, sizes["g"])
    names = [name for name in columns.names if name not in _positions(len(at.kernel)) and name != "n"]
    names = ["n", *names, *_positions(len(at.kernel))]
    target, source = windows.over(names, {}), columns.over(names, {})
    nest = Nest(target.shape)
    nest.body.append(Store(target, Emit(nest)("add", target, source)))
    lowering.scope.add(nest, out)
    return at.inside(out)


def by_weights(lowering: Lowering, x: Value, y: Value, at: Windows, groups: int) -> View:
    """Return the transpose of `correlate` with respect to w, (g o, c, *kernel)."""
    rank = len(at.kernel)
    names = ["g", "o", "c", *_kernel(rank)]
    source = padded(lowering, x, at)
    windows = _windows(source, at, groups)
    cotangents = _grouped(lowering.view(y), groups, ["n", "o", *_positions(rank)])
    if source.varying or cotangents.view.varying:
        total = new(lowering, windows.sizes | cotangents.sizes, names, source.dtype, True)
        contract(lowering, total, windows, cotangents, "c", "o")
    elif windows.sizes["c"] == cotangents.sizes["o"] == 1:
        total = _by_groups(lowering, source, cotangents, at)
    elif windows.sizes["c"] > cotangents.sizes["o"]:
        total = _over_positions(lowering, cotangents, _channels_last(lowering, source, at, groups), "o", "c", names)
    else:
        last = copied(lowering, cotangents, "n", "g", *_positions(rank), "o")
        row = "c" if windows.sizes["c"] >= at.kernel[-1] else names[-1]
        total = _over_positions(lowering, windows, last, row, "o", names)
    return total.join(["g", "o"], "channels").view


def _channels_last(lowering: Lowering, x: View, at: Windows, groups: int) -> Axes:
    """Return the windows of a padded x whose channels follow each other in memory."""
    space = [f"s{axis}" for axis in range(len(at.kernel))]
    images = copied(lowering, _grouped(x, groups, ["n", "c", *space]), "n", *space, "g", "c")
    return _windows(images.join(["g", "c"], "c").order("n", "c", *space).view, at, groups)


def _over_positions(lowering: Lowering, left: Axes, right: Axes, row: str, column: str, names: Sequence[str]) -> Axes:
    """Multiply over all positions of a part of the images at a time, then add the products of the parts."""
    parts = _parts(right.sizes["n"], right.view)
    left, right = (operand.cut("n", "b", parts) for operand in (left, right))
    rest = [name for name in names if name not in (row, column)]
    out = new(lowering, left.sizes | right.sizes, ["b", *rest, row, column], right.view.dtype, False)
    contract(lowering, out, left, right, row, column)
    total = out.view if parts == 1 else lowering.reduce("add", out.view, [0], 0, True)
    return copied(lowering, Axes(total, out.names).order("b", *names), "b", *names)


def _by_groups(lowering: Lowering, x: View, y: Axes, at: Windows) -> Axes:
    """Multiply element by element, in vectors of groups, if each group has one channel."""
    groups, rank = y.sizes["g"], len(at.kernel)
    last = copied(lowering, y, "n", *_positions(rank), "g", "o").order(*y.names)
    names = [*_kernel(rank), "n", *_positions(rank), "g", "o", "c"]
    windows = _channels_last(lowering, x, at, groups)
    factors = [operand.over(names, windows.sizes | y.sizes) for operand in (windows, last)]
    products = lowering.map(factors[0].shape, lambda emit, x, y: emit("mul", x, y), *factors)
    total = lowering.reduce("add", products, range(rank, 2 * rank + 1), 0)
    return copied(lowering, Axes(total, (*_kernel(rank), "g", "o", "c")), "g", "o", "c", *_kernel(rank))


def _parts(images: int, operand: View) -> int:
    """Divide the images into parts whose operands stay in the cache."""
    size = math.prod(operand.shape) * operand.dtype.itemsize
    return next(
        parts for parts in range(1, images + 1) if parts == images or (images % parts == 0 and size <= parts * _CHUNK)
    )


def _channels(x: Axes) -> View:
    """Join the axes of groups and channels of an image."""
    return x.join(["g", "c" if "c" in x.names else "o"], "channels").view


# Rules


def _convolution(
    lowering: Lowering,
    x: Value,
    w: Value,
    bias: Value | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    _: Sizes,
    groups: int,
) -> Value:
    shape = lowering.op.outputs[0].shape
    if 0 in (*x.shape, *w.shape, *shape):
        y: Value = Splat(Const(0, x.dtype), shape)
    elif transposed:
        y = spread(lowering, x, _weights(lowering, w, groups), _over(shape, w, x.shape, stride, dilation, padding))
    else:
        at = _over(x.shape, w, shape, stride, dilation, padding)
        y = _channels(correlate(lowering, x, _weights(lowering, w, groups), at))
    if bias is None:
        return y
    return lowering.map(shape, lambda emit, y, b: emit("add", y, b), y, _along_channels(lowering, bias, len(shape)))


def _convolution_backward(
    lowering: Lowering,
    grad: Value,
    x: Value,
    w: Value,
    _: object,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    __: Sizes,
    groups: int,
    mask: Sequence[bool],
) -> list[Value]:
    """Return the cotangents of x, w and bias; a placeholder where the mask does not ask for one."""
    found: list[Value] = [Splat(Const(0, var.dtype), var.shape) for var in lowering.op.outputs]
    if 0 in (*grad.shape, *x.shape, *w.shape):
        return found
    small, large = (x, grad) if transposed else (grad, x)
    at = _over(large.shape, w, small.shape, stride, dilation, padding)
    if mask[0]:
        weights = _weights(lowering, w, groups)
        found[0] = (
            _channels(correlate(lowering, grad, weights, at)) if transposed else spread(lowering, grad, weights, at)
        )
    if mask[1]:
        found[1] = replace(by_weights(lowering, large, small, at, groups), shape=w.shape, strides=row_major(w.shape))
    if mask[2]:
        found[2] = lowering.reduce("add", grad, [0, *range(2, len(grad.shape))], 0)
    return found


def _over(x: Sizes, w: Value, y: Sizes, stride: Sizes, dilation: Sizes, padding: Sizes) -> Windows:
    """Return the windows from shapes and options, which may have one number for all axes."""
    rank = len(x) - 2
    options = (list(sizes) * (rank // len(sizes)) for sizes in (stride, dilation, padding))
    return Windows(x[2:], w.shape[2:], y[2:], *options)


def _weights(lowering: Lowering, w: Value, groups: int) -> Axes:
    return _grouped(lowering.view(w), groups, ["o", "c", *_kernel(len(w.shape) - 2)])


def _along_channels(lowering: Lowering, bias: Value, rank: int) -> View:
    """View a value per channel as a tensor with axes of size 1 behind."""
    view, ones = lowering.view(bias), (1,) * (rank - 2)
    return replace(view, shape=(*view.shape, *ones), strides=(*view.strides, *(0 for _ in ones)))


RULES: dict[str, Rule] = {"convolution": _convolution, "convolution_backward": _convolution_backward}
