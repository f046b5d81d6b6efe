"""Narrow statements to ranges of the indices along one axis."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from funcnet.compiler.native import long_sums
from funcnet.compiler.native.buffers import Buffer, Counter, View, whole
from funcnet.compiler.native.loop_ir import Accumulate, Gather, Index, Nest, Node, Operand, Part, Store


@dataclass(frozen=True)
class Range:
    """The indices of one part along an axis: `length` of them, from `start` and from the part's place on."""

    axis: int
    length: int
    start: int = 0
    counter: Counter | None = None

    def of(self, view: View, axis: int | None = None) -> View:
        """Return a view of these indices along an axis."""
        axis = self.axis if axis is None else axis
        stride = view.strides[axis]
        steps = ((self.counter, self.length * stride),) if self.counter and stride else ()
        shape = (*view.shape[:axis], self.length, *view.shape[axis + 1 :])
        return replace(view, shape=shape, offset=view.offset + self.start * stride, steps=(*view.steps, *steps))


def ranges(axis: int, size: int, length: int) -> Iterator[Range]:
    """Yield the range of all equal parts, and that of the rest, if any."""
    count, rest = divmod(size, length)
    yield Range(axis, length, 0, Counter(count, is_step=False))
    if rest:
        yield Range(axis, rest, count * length)


def is_apart(nest: Nest, axis: int) -> bool:
    """Tell whether a nest stores at different elements for different indices along an axis; windows may overlap."""
    for view in (part.view for part in nest.body if isinstance(part, Store)):
        reach, least = 0, abs(view.strides[axis])
        for stride, size in sorted(zip(map(abs, view.strides), view.shape, strict=True)):
            if size > 1 and least <= stride <= reach:
                return False
            reach += (size - 1) * stride
    return True


def narrowed(nest: Nest, found: Range, count: int, partials: dict[Accumulate, tuple[View, View]]) -> Iterator[Nest]:
    """Yield the nest for a range, and copies of its reductions to their places or to the partial results."""
    new: dict[Operand, Operand] = {}
    body: list[Part] = []
    copies: list[Nest] = []
    shape = (*nest.shape[: found.axis], found.length, *nest.shape[found.axis + 1 :])
    for part in nest.body:
        if isinstance(part, Accumulate):
            own = _own(found.of(part.view))
            value = _operand(part.value, found, new)
            body.append(replace(part, view=own, value=value, scratch=long_sums.scratch(own, part.op)))
            outside = _kept(found.of(part.view))
            if not part.view.strides[found.axis]:
                outside = _partial(part, outside, found, count, partials)
            copies.append(Nest(outside.shape, [Store(outside, whole(own.buffer, outside.shape))]))
        elif isinstance(part, Store):
            body.append(Store(found.of(part.view), _operand(part.value, found, new)))
        else:
            assert isinstance(part, Node)
            new[part] = node = _node(part, found, new)
            body.append(node)
    yield Nest(shape, body)
    yield from copies


def _node(node: Node, found: Range, new: dict[Operand, Operand]) -> Node:
    args = tuple(_operand(x, found, new) for x in node.args)
    if not isinstance(node, Gather):
        return replace(node, args=args)
    view = node.view
    for axis, x in enumerate(args):
        view = found.of(view, axis) if x == Index(found.axis) else view
    return replace(node, args=args, view=view)


def _operand(x: Operand, found: Range, new: dict[Operand, Operand]) -> Operand:
    return found.of(x) if isinstance(x, View) else new.get(x, x)


def _own(target: View) -> View:
    """Return a reduction's target in a buffer of its own, row-major along the kept axes."""
    strides, size = [0] * len(target.shape), 1
    for axis in reversed(range(len(target.shape))):
        if target.strides[axis]:
            strides[axis], size = size, size * target.shape[axis]
    return View(Buffer(target.dtype, size, target.varying), target.shape, tuple(strides))


def _kept(target: View) -> View:
    """Return a reduction's target without the reduced axes."""
    kept = [axis for axis, stride in enumerate(target.strides) if stride]
    shape, strides = (tuple(values[axis] for axis in kept) for values in (target.shape, target.strides))
    return replace(target, shape=shape, strides=strides)


def _partial(
    part: Accumulate, target: View, found: Range, count: int, partials: dict[Accumulate, tuple[View, View]]
) -> View:
    """Return the place of the partial result of a range, one of `count`."""
    size = math.prod(target.shape)
    if part not in partials:
        values = whole(Buffer(target.dtype, count * size, target.varying), (count, *target.shape))
        partials[part] = target.expand(values.shape), values
    place = whole(partials[part][1].buffer, target.shape)
    if found.counter:
        return replace(place, steps=((found.counter, size),))
    return replace(place, offset=(count - 1) * size)
