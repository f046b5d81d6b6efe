"""Cut a nest with a long body into several with short ones, which run one after another over strips of the indices.

A processor overlaps few iterations of a long body, so that a chain of operations takes the sum of their latencies, and
C compilers are superlinear in the length of a body. The values that cross a cut are stored, for one strip at a time, so
that they stay in the cache.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from funcnet.compiler.native.buffers import Buffer, Counter, View, whole
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Gather,
    Index,
    Loop,
    Nest,
    Node,
    Operand,
    Part,
    Scatter,
    Statement,
    Store,
    never,
    operands,
    writes,
)
from funcnet.compiler.native.target import Target

Narrow = Callable[[View], View]  # to the indices of one strip


def cut(nest: Nest, lines: int, target: Target) -> Iterator[Statement]:
    """Cut a nest with a long body, of some lines of C, unless it writes other elements than it reads."""
    in_strips = math.prod(nest.shape) >= target.short_nest and not _computes_indices(nest)
    is_chain = in_strips and len(nest.body) > 2 * target.chain and _depth(nest) > target.chain
    shortest, average = min(target.chain, target.body), max(1, lines) / max(1, len(nest.body))
    longest = int(target.body / average) if in_strips else min(int(target.body / average), target.short_body)
    most = target.chain if is_chain else max(shortest, longest)
    if len(nest.body) <= most or nest.sequential or not is_elementwise(nest):
        yield nest
        return
    body, sums = _without_sums(nest) if in_strips else (nest.body, [])
    bodies = _bodies(_writes_last(nest, body), most)
    size = target.strip // (target.vector // 4 if any(view.varying for view in writes(nest)) else 1)
    yield from _over_strips(nest.shape, bodies, size if in_strips else math.prod(nest.shape))
    yield from sums


def _depth(nest: Nest) -> int:
    """Return the length of the longest chain of dependent operations; short independent chains overlap anyway."""
    depths: dict[Operand, int] = {}
    for part in nest.body:
        if isinstance(part, Node):
            depths[part] = 1 + max((depths.get(x, 0) for x in part.args), default=0)
    return max(depths.values(), default=0)


def _computes_indices(nest: Nest) -> bool:
    values = (x for part in nest.body for x in (part, *operands(part)))
    return any(isinstance(x, Gather | Scatter | Index) for x in values)


def is_elementwise(nest: Nest) -> bool:
    """Tell whether a nest reads of the buffers that it writes only the elements at the same indices, before the write.

    A gather from such a buffer may read any element, and a store of one may follow the write.
    """
    written = {view.buffer: view for view in writes(nest)}
    loaded = [x for part in nest.body for x in operands(part) if isinstance(x, View)]
    moved = [part.value for part in nest.body if isinstance(part, Store)]
    moved += [part.view for part in nest.body if isinstance(part, Gather)]
    unsafe = any(isinstance(x, View) and x.buffer in written for x in moved)
    return not unsafe and all(written.get(view.buffer, view) == view for view in loaded)


def _without_sums(nest: Nest) -> tuple[list[Part], list[Nest]]:
    """Store the terms of the reductions, and reduce them in a nest of its own: each fills its target at its start."""
    terms: dict[Operand, View] = {}
    body, sums, changed = list[Part](), Nest(nest.shape), {view.buffer for view in writes(nest)}
    for part in nest.body:
        if not isinstance(part, Accumulate):
            body.append(part)
            continue
        term = part.value
        if term not in terms and (isinstance(term, Node) or (isinstance(term, View) and term.buffer in changed)):
            terms[term] = whole(Buffer(term.dtype, math.prod(nest.shape), term.varying), nest.shape)
            body.append(Store(terms[term], term))
        sums.body.append(replace(part, value=terms.get(term, term)))
    return body, [sums] if sums.body else []


def _writes_last(nest: Nest, body: Sequence[Part]) -> list[Part]:
    """Move the writes of buffers that the nest reads behind all its reads."""
    read = {x.buffer for part in nest.body for x in operands(part) if isinstance(x, View)}
    late = [isinstance(part, Store) and part.view.buffer in read for part in body]
    return [part for pick in (False, True) for part, is_late in zip(body, late, strict=True) if is_late == pick]


def _bodies(body: Sequence[Part], most: int) -> list[Sequence[Part]]:
    """Cut a body into some of at most `most` parts, where few values cross."""
    last = {x: i for i, part in enumerate(body) for x in operands(part) if isinstance(x, Node)}
    changes = [0] * (len(body) + 1)
    for i, part in enumerate(body):
        if isinstance(part, Node) and part in last:
            changes[i + 1] += 1
            changes[last[part] + 1] -= 1
    crossing, cuts = [*accumulate(changes)], [0]
    while len(body) - cuts[-1] > most:
        places = range(cuts[-1] + most // 2, cuts[-1] + most + 1)
        cuts.append(min(places, key=lambda place: (crossing[place], -place)))
    return [body[start:end] for start, end in pairwise([*cuts, len(body)])]


def _over_strips(shape: tuple[int, ...], bodies: Sequence[Sequence[Part]], most: int) -> Iterator[Statement]:
    """Run bodies one after another over strips of at most `most` elements, if a row of the last axis has no more."""
    if not shape or 0 in shape:
        yield from _nests(bodies, (shape, lambda view: view))
        return
    axis, inner = len(shape) - 1, 1
    while axis > 0 and inner * shape[axis] <= most:
        inner *= shape[axis]
        axis -= 1
    outer = [Counter(size, is_step=False) for size in shape[:axis]]
    length = _length(shape[axis], max(1, most // inner))
    count, rest = divmod(shape[axis], length)
    step = Counter(count, is_step=False)
    statements: list[Statement] = [_loop(step, _nests(bodies, _narrowed(shape, axis, [*outer, step], length)))]
    if rest:
        statements += _nests(bodies, _narrowed(shape, axis, outer, rest, length * count))
    for counter in reversed(outer):
        statements = [_loop(counter, statements)]
    yield from statements


def _loop(counter: Counter, body: list[Statement]) -> Loop:
    return Loop(counter, 1, body)


def _length(size: int, most: int) -> int:
    """Return the length of the strips of an axis: the largest that divides it, unless that is far below the most."""
    if size <= most:
        return size
    return next((length for length in range(most, most // 2, -1) if size % length == 0), most)


def _narrowed(
    shape: tuple[int, ...], axis: int, counters: Sequence[Counter], length: int, start: int = 0
) -> tuple[tuple[int, ...], Narrow]:
    """Return the shape of one strip, and the function from a view of all elements to that of the strip."""
    strip = (1,) * axis + (length, *shape[axis + 1 :])

    def narrow(view: View) -> View:
        strides = (*view.strides[:axis], length * view.strides[axis])
        steps = [(counter, stride) for counter, stride in zip(counters, strides, strict=False) if stride]
        offset = view.offset + start * view.strides[axis]
        return replace(view, shape=strip, offset=offset, steps=(*view.steps, *steps))

    return strip, narrow


def _nests(bodies: Sequence[Sequence[Part]], strip: tuple[tuple[int, ...], Narrow]) -> list[Statement]:
    """Return a nest per body; the values that later ones read are stored."""
    shape, narrow = strip
    home = {part: i for i, body in enumerate(bodies) for part in body}
    stored = {
        x: whole(Buffer(x.dtype, math.prod(shape), x.varying), shape)
        for body in bodies
        for part in body
        for x in operands(part)
        if isinstance(x, Node) and home[x] < home[part]
    }
    nests: list[Statement] = []
    for i, body in enumerate(bodies):
        new: dict[Operand, Operand] = {x: view for x, view in stored.items() if home[x] < i}
        parts: list[Part] = []
        for part in body:
            parts.append(changed := _substituted(part, new, narrow))
            if isinstance(part, Node) and isinstance(changed, Node):
                new[part] = changed
        nests.append(Nest(shape, [*parts, *(Store(stored[x], new[x]) for x in body if x in stored)]))
    return nests


def _substituted(part: Part, new: dict[Operand, Operand], narrow: Narrow) -> Part:
    """Replace the operands of a part of a body that have a new value, and narrow the others and the target."""

    def found(x: Operand) -> Operand:
        return new[x] if isinstance(x, Node) else narrow(x) if isinstance(x, View) else x

    match part:
        case Node():
            return replace(part, args=tuple(map(found, part.args)))
        case Store() | Accumulate():
            return replace(part, value=found(part.value), view=narrow(part.view))
        case Scatter():
            return replace(part, value=found(part.value), indices=tuple(map(found, part.indices)))
        case _:
            return never(part)
