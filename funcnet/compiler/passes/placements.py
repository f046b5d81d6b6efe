"""Collect writes to slices of an array, and sums of arrays that are zero outside a slice.

Code that writes elements one by one, `y[i] = …`, and the gradient of code that reads them, `x[i]`, would copy the whole
array for each element. Here a value that is a base with other values in place of some slices is made once, by one
concatenation, when an operation reads it as a whole; reads of one of the slices go to the value in its place.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import torch

from funcnet._torch import Operation
from funcnet.compiler.program import Apply, Block, Op, Var, inputs, map_blocks, substitute, walk

_ATEN = torch.ops.aten
_CAT, _SCATTER, _SLICE = _ATEN.cat.default, _ATEN.slice_scatter.default, _ATEN.slice.Tensor
_FULL, _UNSQUEEZE = _ATEN.full.default, _ATEN.unsqueeze.default
_MOST = 4  # parts that one more term of a sum may overlap: more are added as arrays


class _Part(NamedTuple):
    """A value in place of the slice [start, end) of an axis: the sum of a number of terms."""

    start: int
    end: int
    value: Var
    terms: int = 1


@dataclass(frozen=True)
class _Placed:
    """A base with parts in place of some slices of an axis, in order; with several terms a sum of those, without bases.

    The last write, if it is not a sum, was that of a part to a value.
    """

    base: Var
    axis: int
    parts: tuple[_Part, ...]
    last: tuple[Var, _Part] | None = None
    terms: int = 1

    def overlapping(self, start: int, end: int) -> slice:
        """Return the range of the parts that share indices with [start, end)."""
        first = bisect_right(self.parts, start, key=lambda part: part.end)
        return slice(first, max(first, bisect_left(self.parts, end, key=lambda part: part.start)))

    def with_(self, at: slice, parts: Sequence[_Part]) -> "_Placed":
        """Return the same with other parts at a range of them."""
        return replace(self, parts=(*self.parts[: at.start], *parts, *self.parts[at.stop :]))


def place(block: Block) -> Block:
    """Collect the writes and sums of slices in a block, and in the blocks inside it."""
    targets = {op.target for op in walk(block) if isinstance(op, Apply)}
    return _placed(block, set()) if targets & {_SCATTER, _CAT} else block


def _placed(block: Block, zeros: set[Var]) -> Block:
    """Rewrite a block; `zeros` are the values known to be zero everywhere."""
    rewriting = _Rewriting(zeros)
    for op in block.ops:
        rewriting.add(op)
    for var in block.results:
        rewriting.make(var)
    return Block(block.params, rewriting.ops, block.results)


@dataclass
class _Rewriting:
    """The new operations of a block, and the known properties of its values."""

    zeros: set[Var]
    ops: list[Op] = field(default_factory=list)
    delayed: dict[Var, _Placed | Apply] = field(default_factory=dict)  # made when an operation reads them
    known: dict[Var, _Placed] = field(default_factory=dict)
    same: dict[Var, Var] = field(default_factory=dict)  # values with the same elements
    unsqueezed: dict[Var, tuple[Var, int]] = field(default_factory=dict)  # the value, and the new axis

    def add(self, op: Op) -> None:
        """Note an operation on slices, or append it after those that make the values which it reads."""
        if isinstance(op, Apply):
            op = replace(op, args=substitute(op.args, self.same))
            rule = None if op.kwargs and op.target != _FULL else _RULES.get(op.target)
            if rule is not None and rule(self, op):
                return
        self._append(map_blocks(op, partial(_placed, zeros=self.zeros)))

    def make(self, var: Var) -> None:
        """Append the operations that make a value, unless it has been made."""
        found = self.delayed.pop(var, None)
        match found:
            case Apply():
                self._append(found)
            case _Placed(_, axis, _, (before, part)) if before not in self.delayed:
                self._append(Apply(_SCATTER, (before, part.value, axis, part.start, part.end), {}, (var,)))
            case _Placed():
                pieces = [*self._pieces(found, var.shape[found.axis])]
                self._append(Apply(_CAT, (pieces, found.axis), {}, (var,)))

    def _append(self, op: Op) -> None:
        for var in inputs(op):
            self.make(var)
        self.ops.append(op)

    def _pieces(self, found: _Placed, size: int) -> Iterator[Var]:
        """Yield the parts and the slices of the base between them; a sum with zeros is never -0.0."""
        end = 0
        for start, stop, value, terms in (*found.parts, _Part(size, size, found.base)):
            if end < start:
                yield self.slice(found.base, found.axis, end, start)
            if start < size:
                yield value if terms == found.terms else self.sum(value, 0.0)
            end = stop

    def slice(self, x: Var, axis: int, start: int, end: int) -> Var:
        """Return a slice of a value along an axis."""
        if (start, end) == (0, x.shape[axis]):
            return x
        return self.result(_SLICE, (x, axis, start, end), (*x.shape[:axis], end - start, *x.shape[axis + 1 :]), x)

    def sum(self, x: Var, y: Var | float) -> Var:
        """Return x + y; if both have a new axis, the sum of the values before that."""
        inner, axis = self.unsqueezed.get(x, (x, None))
        other, other_axis = self.unsqueezed.get(y, (y, None)) if isinstance(y, Var) else (y, axis)
        if axis is None or axis != other_axis:
            return self.result(_ATEN.add.Tensor if isinstance(y, Var) else _ATEN.add.Scalar, (x, y), x.shape, x)
        return self.result(_UNSQUEEZE, (self.sum(inner, other), axis), x.shape, x)

    def result(self, target: Operation, args: tuple[Any, ...], shape: tuple[int, ...], like: Var) -> Var:
        """Add an operation; return its output, or the value that has the same elements."""
        out = Var(shape, like.dtype, like.device)
        self.add(Apply(target, args, {}, (out,)))
        return self.same.get(out, out)

    def place(self, out: Var, found: _Placed) -> bool:
        """Note that a value consists of parts; one part in place of all indices is the value."""
        part = found.parts[0]
        if (part.start, part.end) == (0, out.shape[found.axis]) and part.terms == found.terms:
            return self.equate(out, part.value)
        self.delayed[out] = self.known[out] = found
        return True

    def equate(self, out: Var, x: Var) -> bool:
        """Note that a value has the elements and the shape of another one; only blocks inside this one may read it."""
        self.same[out] = x
        self.delayed[out] = Apply(_ATEN.view.default, (x, [*x.shape]), {}, (out,))
        return True


def _full(rewriting: _Rewriting, op: Apply) -> bool:
    if str(op.args[1]) in ("0", "0.0"):  # not -0.0
        rewriting.zeros.add(op.outputs[0])
    return False


def _unsqueeze(rewriting: _Rewriting, op: Apply) -> bool:
    (x, dim), (out,) = op.args, op.outputs
    rewriting.unsqueezed[out] = x, dim % len(out.shape)
    rewriting.delayed[out] = op
    return True


def _squeeze(rewriting: _Rewriting, op: Apply) -> bool:
    """Undo an unsqueeze."""
    x, axes = op.args
    source, axis = rewriting.unsqueezed.get(x, (x, -1))
    return [dim % max(len(x.shape), 1) for dim in axes] == [axis] and rewriting.equate(op.outputs[0], source)


def _unchanged(rewriting: _Rewriting, op: Apply) -> bool:
    """Drop a flip or a sum of a single number."""
    x = op.args[0]
    return not x.shape and x.dtype == op.outputs[0].dtype and rewriting.equate(op.outputs[0], x)


def _select(rewriting: _Rewriting, op: Apply) -> bool:
    """Read an index of the value in its place, or of the base."""
    (x, dim, index), (out,) = op.args, op.outputs
    axis = dim % len(x.shape)
    at = range(x.shape[axis])[index]
    source, inserted = rewriting.unsqueezed.get(x, (x, -1))
    if axis == inserted:
        return rewriting.equate(out, source)
    found = _source(rewriting, x, axis, at, at + 1)
    return found is not None and rewriting.equate(
        out, rewriting.result(op.target, (found[0], axis, found[1]), out.shape, x)
    )


def _slice(rewriting: _Rewriting, op: Apply) -> bool:
    """Read a slice of the value in its place, or of the base."""
    x, axis, start, end, step = _chosen(op, 1)
    found = _source(rewriting, x, axis, start, end) if start < end and step == 1 else None
    if found is None:
        return False
    source, first = found
    return rewriting.equate(op.outputs[0], rewriting.slice(source, axis, first, first + end - start))


def _chosen(op: Apply, count: int) -> tuple[Any, ...]:
    """Return the first arguments of an operation on a slice, and the axis, start, end and step of the slice."""
    defaults: tuple[Any, ...] = (0, None, None, 1)
    dim, start, end, step = op.args[count:] + defaults[len(op.args) - count :]
    axis = dim % len(op.args[0].shape)
    chosen = range(op.args[0].shape[axis])[slice(start, end)]
    return (*op.args[:count], axis, chosen.start, chosen.stop, step)


def _source(rewriting: _Rewriting, x: Var, axis: int, start: int, end: int) -> tuple[Var, int] | None:
    """Return the value that alone holds the slice [start, end) of x, and where in it the slice starts."""
    found = rewriting.known.get(x)
    if found is None or found.axis != axis or found.terms > 1:
        return None
    parts = found.parts[found.overlapping(start, end)]
    if not parts:
        return found.base, start
    first = parts[0]
    is_inside = len(parts) == 1 and first.start <= start and end <= first.end
    return (first.value, start - first.start) if is_inside else None


def _scatter(rewriting: _Rewriting, op: Apply) -> bool:
    """Put a value in place of a slice."""
    x, value, axis, start, end, step = _chosen(op, 2)
    new, (out,) = _Part(start, end, value), op.outputs
    shape = (*x.shape[:axis], end - start, *x.shape[axis + 1 :])
    if step != 1 or start >= end or (value.shape, value.dtype) != (shape, x.dtype):
        return False
    before = rewriting.known.get(x) if x in rewriting.delayed else None
    if before is not None and before.axis == axis and before.terms == 1:
        at = before.overlapping(start, end)
        if all((part.start, part.end) == (start, end) for part in before.parts[at]):
            return rewriting.place(out, replace(before.with_(at, [new]), last=(x, new)))
    rewriting.make(x)
    return rewriting.place(out, _Placed(x, axis, (new,), (x, new)))


def _cat(rewriting: _Rewriting, op: Apply) -> bool:
    """Note the parts of a concatenation."""
    values, out = op.args[0], op.outputs[0]
    axis = (op.args[1] if len(op.args) > 1 else 0) % len(out.shape)
    if all(len(x.shape) == len(out.shape) and x.dtype == out.dtype and x.shape[axis] for x in values):
        ends = [*accumulate((x.shape[axis] for x in values), initial=0)]
        rewriting.known[out] = _Placed(out, axis, (*map(_Part, ends, ends[1:], values),))
    return False


def _add(rewriting: _Rewriting, op: Apply) -> bool:
    """Add values that are zero outside some slices."""
    (x, y, *_), (out,) = op.args, op.outputs
    a, b = (rewriting.known.get(each) if each in rewriting.delayed else None for each in (x, y))
    if a is None or b is None or not out.dtype.is_floating_point:
        return False
    if (x.shape, x.dtype, a.axis) != (y.shape, y.dtype, b.axis) or {a.base, b.base} - rewriting.zeros:
        return False
    total = _sum(rewriting, a, b)
    return total is not None and rewriting.place(out, total)


def _sum(rewriting: _Rewriting, a: _Placed, b: _Placed) -> _Placed | None:
    """Add the parts of b to those of a; None if that would cut arrays into too many of them."""
    total = replace(a, last=None, terms=a.terms + b.terms)
    for part in b.parts:
        at = total.overlapping(part.start, part.end)
        if at.stop - at.start > _MOST:
            return None
        total = total.with_(at, [*_sums(rewriting, total.parts[at], part, a.axis)])
    return total


def _sums(rewriting: _Rewriting, parts: Sequence[_Part], new: _Part, axis: int) -> Iterator[_Part]:
    """Yield the sums of a part and of the parts that it overlaps, on the intervals between their ends."""
    ends = sorted({end for part in (*parts, new) for end in (part.start, part.end)})
    for start, end in pairwise(ends):
        inside = [part for part in (*parts, new) if part.start <= start < part.end]
        pieces = [rewriting.slice(part.value, axis, start - part.start, end - part.start) for part in inside]
        yield _Part(start, end, reduce(rewriting.sum, pieces), sum(part.terms for part in inside))


_RULES: dict[Operation, Callable[[_Rewriting, Apply], bool]] = {
    _ATEN.add.Tensor: _add,
    _CAT: _cat,
    _ATEN.flip.default: _unchanged,
    _FULL: _full,
    _ATEN.select.int: _select,
    _SLICE: _slice,
    _SCATTER: _scatter,
    _ATEN.squeeze.dims: _squeeze,
    _ATEN.sum.dim_IntList: _unchanged,
    _UNSQUEEZE: _unsqueeze,
}
