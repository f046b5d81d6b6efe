"""Loop fission: split a nest over too many arrays into several, because a processor prefetches only a few streams.

Lowering merges computations of one shape into one nest, such as the updates of all leaves by an optimizer. Parts of the
nest that share only inputs can run one after another.
"""

import math
from collections.abc import Iterator

from funcnet.compiler.native.buffers import Buffer, View
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
from funcnet.compiler.native.target import Target


def separate(program: LoopProgram, target: Target) -> LoopProgram:
    """Split every long nest with too many streams, including those in the bodies of loops."""
    return rewrite(program, lambda statement: _parts(statement, target))


def _parts(statement: Statement, target: Target) -> Iterator[Statement]:
    if not isinstance(statement, Nest):
        yield statement
        return
    most = target.streams if math.prod(statement.shape) >= target.short_nest else target.short_streams
    if len(_streams(statement)) <= most:
        yield statement
        return
    gathered = Nest(statement.shape, [], statement.sequential)
    for chain in _chains(statement):
        longer = Nest(statement.shape, gathered.body + chain.body, statement.sequential)
        if gathered.body and len(_streams(longer)) > most:
            yield gathered
            longer = chain
        gathered = longer
    yield gathered


def _streams(nest: Nest) -> set[Buffer]:
    """Collect the arrays that a nest walks over; an array of one number is none of them."""
    return {view.buffer for view in (*reads(nest), *writes(nest)) if any(view.strides)}


def _chains(nest: Nest) -> list[Nest]:
    """Split a body into nests that share no node, and no array that one of them writes."""
    arrays = {view.buffer for view in writes(nest)}
    bodies: dict[object, list[Part]] = {}  # node or array -> the body that uses it
    for part in nest.body:
        links = [part, *(x for x in _touched(part) if isinstance(x, Node) or x in arrays)]
        body, *others = {id(bodies[x]): bodies[x] for x in links if x in bodies}.values() or [[]]
        for other in others:
            body.extend(other)
            bodies.update({x: body for x, its_body in bodies.items() if its_body is other})
        body.append(part)
        bodies.update(dict.fromkeys(links, body))
    return [Nest(nest.shape, body, nest.sequential) for body in {id(body): body for body in bodies.values()}.values()]


def _touched(part: Part) -> Iterator[Buffer | Operand]:
    """Yield the operands of a part of a body, and the arrays that it reads and writes."""
    yield from (x.buffer if isinstance(x, View) else x for x in operands(part))
    yield from (view.buffer for view in sources(part))
    if (view := written(part)) is not None:
        yield view.buffer
