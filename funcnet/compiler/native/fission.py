"""Loop fission: split a nest over too many arrays, or with a long body, into several.

A processor prefetches only a few streams, and C compilers are superlinear in the length of a body. Lowering merges
computations of one shape into one nest, such as the updates of all leaves by an optimizer. Parts of the nest that share
only inputs can run one after another. A long chain of operations is cut by `strips`.
"""

import math
from collections.abc import Iterator

from funcnet.compiler.native.buffers import Buffer, View
from funcnet.compiler.native.c.primitives import lines
from funcnet.compiler.native.loop_ir import (
    LoopProgram,
    Nest,
    Node,
    Operand,
    Part,
    Statement,
    operands,
    reads,
    rewrite,
    sources,
    writes,
    written,
)
from funcnet.compiler.native.strips import cut
from funcnet.compiler.native.target import Target


def separate(program: LoopProgram, target: Target) -> LoopProgram:
    """Split every nest with too many streams or a long body, including those in the bodies of loops."""
    return rewrite(program, lambda statement: _parts(statement, target))


def _parts(statement: Statement, target: Target) -> Iterator[Statement]:
    if isinstance(statement, Nest):
        for nest in _separated(statement, target):
            yield from cut(nest, lines(nest.body), target)
    else:
        yield statement


def _separated(statement: Nest, target: Target) -> Iterator[Nest]:
    """Split a nest over too many arrays into nests that share only inputs."""
    most = target.streams if math.prod(statement.shape) >= target.short_nest else target.short_streams
    if len(_streams(statement)) <= most:
        yield statement
        return
    gathered, streams = Nest(statement.shape, [], statement.sequential), set[Buffer]()
    for chain in _chains(statement):
        if gathered.body and len(streams | _streams(chain)) > most:
            yield gathered
            gathered, streams = Nest(statement.shape, [], statement.sequential), set()
        gathered.body += chain.body
        streams |= _streams(chain)
    yield gathered


def _streams(nest: Nest) -> set[Buffer]:
    """Collect the arrays that a nest walks over; an array of one number is none of them."""
    return {view.buffer for view in (*reads(nest), *writes(nest)) if any(view.strides)}


def _chains(nest: Nest) -> list[Nest]:
    """Split a body into nests that share no node, and no array that one of them writes."""
    arrays = {view.buffer for view in writes(nest)}
    links = _Links()
    for part in nest.body:
        for x in _touched(part):
            if isinstance(x, Node) or x in arrays:
                links.join(part, x)
    bodies: dict[object, list[Part]] = {}
    for part in nest.body:
        bodies.setdefault(links.root(part), []).append(part)
    return [Nest(nest.shape, body, nest.sequential) for body in bodies.values()]


class _Links:
    """Sets of things that belong together, each with a root: the forest of union-find."""

    def __init__(self) -> None:
        self.parents: dict[object, object] = {}

    def root(self, x: object) -> object:
        while (parent := self.parents.get(x, x)) is not x:
            self.parents[x] = x = self.parents.get(parent, parent)
        return x

    def join(self, x: object, other: object) -> None:
        self.parents[self.root(other)] = self.root(x)


def _touched(part: Part) -> Iterator[Buffer | Operand]:
    """Yield the operands of a part of a body, and the arrays that it reads and writes."""
    yield from (x.buffer if isinstance(x, View) else x for x in operands(part))
    yield from (view.buffer for view in sources(part))
    if (view := written(part)) is not None:
        yield view.buffer
