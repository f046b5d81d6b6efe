"""What the derivative of a loop would recompute is saved by the loop, if it is expensive and takes little memory.

A loop that runs backwards reads rows that an earlier loop of the same block has read or written: its inputs are flipped
inputs and outputs of that loop. An operation on such rows computes the value of an equal operation of the earlier loop
at the same step. That value becomes a further output of the earlier loop, and a further input of the later one.

Source:
    Frostig, Johnson, Maclaurin, Paszke, Radul (2021), Decomposing reverse-mode automatic differentiation: partial
    evaluation of a loop decides which values it saves.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch

from funcnet.compiler.program import Apply, Block, Op, Scan, Var, blocks, inputs

aten = torch.ops.aten
_MOST = 1 << 22  # bytes that one loop saves, or those of a block of lanes
_LANES = 16  # about, in a block
_VIEWS = {"view", "expand", "unsqueeze", "squeeze", "permute", "clone"}  # of all elements of the first argument
_CHEAP = _VIEWS | {"cat", "full", "_to_copy", "select", "slice", "slice_scatter", "flip"}
_CHEAP |= {"add", "sub", "mul", "div", "neg", "abs", "where", "relu", "sum", "amax", "amin", "maximum", "minimum"}
_CHEAP |= {"eq", "ne", "lt", "le", "gt", "ge"}


def save(block: Block, *, lanes: bool) -> bool:
    """Save values in the loops of a block, inner loops first; tell whether there were any."""
    most = _MOST // _LANES if lanes else _MOST
    found, ops, before = False, list[Op](), _Before()
    for op in block.ops:
        for inner in blocks(op):
            found |= save(inner, lanes=lanes)
        if isinstance(op, Scan):
            for first in before.loops(op):
                added = _Loops(first, op).save(before.rows(first, op), most)
                found |= bool(added)
                ops += added
        ops.append(op)
        before.note(op)
    block.ops = ops
    return found


class _Before:
    """The loops and flips of a block so far."""

    def __init__(self) -> None:
        self.flipped: dict[Var, Var] = {}
        self.written: dict[Var, Scan] = {}

    def note(self, op: Op) -> None:
        match op:
            case Apply() if op.target is aten.flip.default and [*op.args[1]] == [0]:
                self.flipped[op.outputs[0]] = op.args[0]
            case Scan():
                self.written.update(dict.fromkeys(op.outputs[len(op.init) :], op))
            case _:
                pass

    def loops(self, scan: Scan) -> list[Scan]:
        """List the loops whose outputs a loop reads in reverse."""
        found = (self.written.get(self.flipped.get(x, x)) for x in scan.xs if x in self.flipped)
        return [*dict.fromkeys(first for first in found if first is not None and first.length == scan.length)]

    def rows(self, first: Scan, second: Scan) -> dict[Var, Var]:
        """Return the values of the first loop that rows of the second one are."""
        carries = len(first.init)
        known = dict(zip(first.xs, first.body.params[carries:], strict=True))
        known |= dict(zip(first.outputs[carries:], first.body.results[carries:], strict=True))
        rows = zip(second.body.params[len(second.init) :], second.xs, strict=True)
        return {row: known[x] for row, source in rows if (x := self.flipped.get(source)) in known}


class _Loops:
    """A loop and a later one in reverse. `more` holds outputs that loops inside the first one do not yet have."""

    def __init__(self, first: Scan, second: Scan) -> None:
        self.first, self.second = first, second
        self.more: dict[Var, tuple[Scan, Var]] = {}

    def save(self, same: dict[Var, Var], most: int) -> list[Op]:
        """Save the values that the second loop would recompute; return the flips of them."""
        rows = {*same}
        self.match(self.first.body, self.second.body, same)
        chosen = _chosen(self.second.body, same, rows)
        size = sum(math.prod(var.shape) * var.dtype.itemsize for var in chosen)
        return [self.saved(var, same[var]) for var in chosen] if size * self.first.length <= most else []

    def saved(self, var: Var, known: Var) -> Apply:
        """Make a value of the first loop an input of the second one, instead of its own."""
        stack = self.output(self.first, known)
        flipped = Var(stack.shape, stack.dtype, stack.device)
        unused = Var(var.shape, var.dtype, var.device)
        for op in self.second.body.ops:
            op.outputs = tuple(unused if out is var else out for out in op.outputs)
        self.second.xs, body = (*self.second.xs, flipped), self.second.body
        body.params = (*body.params, var)
        return Apply(aten.flip.default, (stack, [0]), {}, (flipped,))

    def output(self, scan: Scan, known: Var) -> Var:
        """Return the output of a loop for a value in it."""
        if known in self.more:
            inner, value = self.more.pop(known)
            self.append(inner, value, known)
        written = dict(zip(scan.body.results[len(scan.init) :], scan.outputs[len(scan.init) :], strict=True))
        if known not in written:
            self.append(scan, known, Var((scan.length, *known.shape), known.dtype, known.device))
            return scan.outputs[-1]
        return written[known]

    def append(self, scan: Scan, value: Var, out: Var) -> None:
        if value in self.more:
            self.append(*self.more.pop(value), value)
        scan.body.results, scan.outputs = (*scan.body.results, value), (*scan.outputs, out)

    def match(self, first: Block, second: Block, same: dict[Var, Var]) -> None:
        """Find the values of the second block that the first one computes, too."""
        made = {_key(op, {}): op for op in first.ops if isinstance(op, Apply)}
        scans = [op for op in first.ops if isinstance(op, Scan)]
        for op in second.ops:
            if isinstance(op, Scan):
                any(self.match_scan(other, op, same) for other in scans)
            elif isinstance(op, Apply) and (other := made.get(_key(op, same))) and _is_pure(op):
                same.update(zip(op.outputs, other.outputs, strict=True))

    def match_scan(self, first: Scan, second: Scan, same: dict[Var, Var]) -> bool:
        """Do so for the outputs of a loop, if another one has the same carries."""
        init, xs = ([same.get(var, var) for var in values] for values in (second.init, second.xs))
        carries, given = len(init), dict(zip(first.xs, first.body.params[len(first.init) :], strict=True))
        if first.length != second.length or [*first.init] != init or not given.keys() >= {*xs}:
            return False
        inner = dict(zip(second.body.params, (*first.body.params[:carries], *map(given.__getitem__, xs)), strict=True))
        inner = same | inner
        self.match(first.body, second.body, inner)
        results = [inner.get(var) for var in second.body.results]
        if results[:carries] != [*first.body.results[:carries]]:
            return False
        same.update(zip(second.outputs[:carries], first.outputs[:carries], strict=True))
        written = dict(zip(first.body.results[carries:], first.outputs[carries:], strict=True))
        for out, value in zip(second.outputs[carries:], results[carries:], strict=True):
            if value is not None and value not in written:
                written[value] = Var(out.shape, out.dtype, out.device)
                self.more[written[value]] = first, value
            if value is not None:
                same[out] = written[value]
        return True


def _chosen(body: Block, same: dict[Var, Var], rows: Iterable[Var]) -> list[Var]:
    """Choose the values to save: those that other operations read, and that are expensive to compute from the rows."""
    made, varying, costly, read = dict[Var, Op](), {*rows}, set[Var](), [*body.results]
    for op in body.ops:
        if op.outputs and all(out in same for out in op.outputs):
            made.update(dict.fromkeys(op.outputs, op))
            if varying.isdisjoint(inputs(op)):  # `hoist` moves it out of the loop
                continue
            varying.update(op.outputs)
            if not _is_cheap(op) or not costly.isdisjoint(inputs(op)):
                costly.update(op.outputs)
        else:
            read += inputs(op)
    return [*dict.fromkeys(_source(var, made) for var in read if var in costly)]


def _source(var: Var, made: dict[Var, Op]) -> Var:
    """Return the value that a value is a view of."""
    op = made[var]
    while isinstance(op, Apply) and _name(op) in _VIEWS and op.args[0] in made:
        var = op.args[0]
        op = made[var]
    return var


def _is_cheap(op: Op) -> bool:
    return isinstance(op, Apply) and _name(op) in _CHEAP


def _is_pure(op: Apply) -> bool:
    return bool(op.outputs) and torch.Tag.nondeterministic_seeded not in op.target.tags


def _name(op: Apply) -> str:
    return op.target._schema.name.removeprefix("aten::")


def _key(op: Apply, same: dict[Var, Var]) -> Any:
    """Return what operations with the same results have in common."""
    return op.target, _frozen(op.args, same), _frozen([*op.kwargs.items()], same)


def _frozen(value: Any, same: dict[Var, Var]) -> Any:
    if isinstance(value, Var):
        return same.get(value, value)
    if isinstance(value, tuple | list):
        return tuple(_frozen(item, same) for item in value)
    return repr(value)
