"""Loop-invariant code motion: move operations that depend on outside values alone out of a loop's body."""

from dataclasses import replace

from funcnet.compiler.decompositions.fallible import may_fail
from funcnet.compiler.program import Apply, Block, Op, Scan, Switch, While, inputs, map_blocks


def hoist(block: Block) -> Block:
    """Move the operations of a loop that depend on outside values alone before the loop; inner loops first.

    The body of a loop with a condition may never run, so an operation that may fail stays in it; its test always runs.
    """
    ops: list[Op] = []
    for op in block.ops:
        match op:
            case Scan():
                op = replace(op, body=_without_invariants(hoist(op.body), ops))
            case While():
                test = _without_invariants(hoist(op.test), ops)
                op = replace(op, test=test, body=_without_invariants(hoist(op.body), ops, is_certain=False))
            case Switch() | Apply():
                op = map_blocks(op, hoist)
        ops.append(op)
    return Block(block.params, ops, block.results)


def _without_invariants(body: Block, ops: list[Op], *, is_certain: bool = True) -> Block:
    """Return a body without its loop-invariant operations, which are appended to those before the loop."""
    inside, kept = set(body.params), list[Op]()
    for op in body.ops:
        moves = isinstance(op, Apply) and (is_certain or not may_fail(op)) and inside.isdisjoint(inputs(op))
        (ops if moves else kept).append(op)
        inside.update(() if moves else op.outputs)
    return Block(body.params, kept, body.results)
