"""Branches and loops whose condition differs between lanes: lanes compute together and select.

All branches run, under a mask of the lanes that take them, and each lane selects its result. A loop runs until its last
lane has stopped; a lane that has stopped keeps its carries. An operation that could fail gets harmless arguments in
lanes that do not need it. Where all lanes agree, a branch stays a branch.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch

from funcnet.compiler.decompositions.fallible import guarded
from funcnet.compiler.program import Apply, Block, Op, Scan, Switch, Var, While, emit, map_blocks, renamed

aten = torch.ops.aten


def predicate(block: Block, varying: Iterable[Var]) -> Block:
    """Replace the branches and loops whose condition varies."""
    return _Predication(varying).block(block, None)


class _Predication:
    """Rewrites blocks; the mask is true in the lanes that run a block, None for all."""

    def __init__(self, varying: Iterable[Var]) -> None:
        self.varying = set(varying)

    def block(self, block: Block, mask: Var | None) -> Block:
        ops: list[Op] = []
        self.extend(ops, block.ops, mask)
        return Block(block.params, ops, block.results)

    def extend(self, ops: list[Op], source: Sequence[Op], mask: Var | None) -> None:
        """Append the operations of a block."""
        for op in source:
            match op:
                case Apply():
                    ops.append(op if mask is None else guarded(op, mask, ops))
                case Switch() if op.index in self.varying:
                    self.select(op, mask, ops)
                case While() if mask is not None or op.test.results[0] in self.varying:
                    ops.append(self.masked(op, mask, ops))
                case Scan() | Switch() | While():
                    ops.append(map_blocks(op, partial(self.block, mask=mask)))

    def select(self, op: Switch, mask: Var | None, ops: list[Op]) -> None:
        """Append all branches, and the selection of each result."""
        takes = [_equals(ops, op.index, i) for i in range(len(op.branches))]
        for branch, own in zip(op.branches, takes, strict=True):
            self.extend(ops, branch.ops, _both(ops, mask, own))
        for out, *results in zip(op.outputs, *(branch.results for branch in op.branches), strict=True):
            found, *others = results
            for own, result in zip(takes[1:-1], others[:-1], strict=True):
                found = emit(ops, aten.where.self, (own, result, found), out.shape, out.dtype, out)
            ops.append(Apply(aten.where.self, (takes[-1], others[-1], found), {}, (out,)))

    def masked(self, op: While, mask: Var | None, ops: list[Op]) -> While:
        """Return a loop that carries the mask of the lanes that continue."""
        start = _both(ops, mask, self.tested(op, op.init, mask, ops))
        going, last = (Var((), torch.bool, start.device) for _ in range(2))
        body = self.block(op.body, going)
        pairs = zip(body.results, body.params, strict=True)
        new = [new if new is old else _where(body.ops, going, new, old) for new, old in pairs]
        results = *new, _both(body.ops, going, self.tested(op, new, going, body.ops))
        carries = tuple(Var(var.shape, var.dtype, var.device) for var in (*op.init, start))
        test, body = Block(carries, [], carries[-1:]), Block((*body.params, going), body.ops, results)
        return While((*op.init, start), test, body, (*op.outputs, last))

    def tested(self, op: While, carries: Sequence[Var], mask: Var | None, ops: list[Op]) -> Var:
        """Append a copy of a loop's test of some carries, and return its result."""
        names = dict(zip(op.test.params, carries, strict=True))
        copy = renamed(op.test, names)
        self.varying.update(new for old, new in names.items() if old in self.varying)
        self.extend(ops, copy.ops, mask)
        return copy.results[0]


def _equals(ops: list[Op], index: Var, i: int) -> Var:
    if index.dtype != torch.bool:
        return emit(ops, aten.eq.Scalar, (index, i), (), torch.bool, index)
    return index if i else emit(ops, aten.logical_not.default, (index,), (), torch.bool, index)


def _both(ops: list[Op], mask: Var | None, own: Var) -> Var:
    return own if mask is None else emit(ops, aten.logical_and.default, (mask, own), (), torch.bool, own)


def _where(ops: list[Op], mask: Var, new: Var, old: Var) -> Var:
    return emit(ops, aten.where.self, (mask, new, old), new.shape, new.dtype, new)
