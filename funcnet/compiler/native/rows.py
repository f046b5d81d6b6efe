"""Row fusion: neighbouring nests that pass large arrays to each other become one loop over the rows of the arrays.

A softmax takes the maximum of each row, then the sum of its exponentials, then divides. Nest by nest, these are passes
over memory; in a loop over the rows, a row stays in the cache, and temporaries shrink to one row.
"""

import math
from collections import Counter as Multiset
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from funcnet.compiler.native.buffers import Buffer, Counter, View, whole
from funcnet.compiler.native.control import Break, Case, Repeat
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Gather,
    Index,
    Loop,
    LoopProgram,
    Nest,
    Node,
    Operand,
    Part,
    Scatter,
    Section,
    Statement,
    Store,
    never,
    operands,
    reads,
    sources,
    writes,
    written,
)
from funcnet.compiler.native.merging import transposed
from funcnet.compiler.native.target import Target

Uses = Multiset[Buffer]  # buffer -> number of statements that touch it


def fuse(program: LoopProgram, target: Target) -> LoopProgram:
    """Fuse the rows of neighbouring nests, including those in the bodies of loops."""
    return replace(program, statements=[*_fused(program.statements, _uses(program.statements), target)])


def _fused(statements: Sequence[Statement], uses: Uses, target: Target) -> Iterator[Statement]:
    """Gather nests into groups; other statements run before a group if neither depends on the other."""
    group = _Group(target)
    for statement in statements:
        if isinstance(statement, Loop | Repeat | Case):
            statement = replace(statement, body=[*_fused(statement.body, uses, target)])
        if isinstance(statement, Nest) and group.admits(statement):
            group.add(statement)
        elif group.nests and not isinstance(statement, Break) and group.is_independent(statement):
            yield statement
        else:
            yield from group.finish(uses)
            group = _Group(target)
            if isinstance(statement, Nest) and group.admits(statement):
                group.add(statement)
            else:
                yield statement
    yield from group.finish(uses)


def _uses(statements: Sequence[Statement]) -> Uses:
    """Count the statements that touch each buffer; those in the bodies of loops and branches count one by one."""
    found = Uses()
    for statement in statements:
        if isinstance(statement, Loop | Repeat | Case | Section):
            found.update(_uses(statement.body))
            found.update([statement.view.buffer] if isinstance(statement, Case) else [])
        else:
            found.update(_touched(statement))
    return found


def _touched(statement: Statement) -> set[Buffer]:
    return {view.buffer for view in (*reads(statement), *writes(statement))}


@dataclass(frozen=True)
class _Rows:
    """How a view maps rows to memory: the stride between two rows, and the steps of the loops around."""

    stride: int
    steps: tuple[tuple[Counter, int], ...]


Access = dict[Buffer, set[_Rows | None]]  # None: not by rows, or by rows that may share elements


def _access(nest: Nest) -> Access:
    """Return how a nest accesses each buffer."""
    found: Access = {}
    for part in nest.body:
        target = written(part)
        for view in (*sources(part), *([target] if target else [])):
            elsewhere = isinstance(part, Gather) and view is part.view and not _indexes_rows(part.args)
            found.setdefault(view.buffer, set()).add(None if elsewhere else _rows(view))
    return found


def _rows(view: View) -> _Rows | None:
    ends = [(size - 1) * stride for size, stride in zip(view.shape[1:], view.strides[1:], strict=True)]
    least, most = (view.offset + sum(pick(end, 0) for end in ends) for pick in (min, max))
    return _Rows(view.strides[0], view.steps) if least >= 0 and most < view.strides[0] else None


def _has_rows(part: Part, rows: int) -> bool:
    """Tell whether a part of a body can be written without the index of the first axis."""
    match part:
        case Gather():
            return _indexes_rows(part.args) or Index(0) not in part.args
        case Scatter():
            return _indexes_rows(part.indices) and part.value != Index(0)
        case Accumulate():
            return part.value != Index(0) and _rows(part.view) == _Rows(part.view.buffer.size // rows, ())
        case Node() | Store():
            return Index(0) not in operands(part)
        case _:
            return never(part)


def _indexes_rows(indices: Sequence[Operand]) -> bool:
    return indices[:1] == (Index(0),) and Index(0) not in indices[1:]


@dataclass
class _Group:
    """Nests whose iterations at one index of their first axis depend only on iterations at the same index."""

    target: Target
    nests: list[Nest] = field(default_factory=list)
    access: Access = field(default_factory=dict)
    changed: set[Buffer] = field(default_factory=set)

    def admits(self, nest: Nest) -> bool:
        """Tell whether a nest passes rows from or to the group, or can begin one."""
        if not nest.shape or not math.prod(nest.shape) or not all(_has_rows(p, nest.shape[0]) for p in nest.body):
            return False
        if transposed(nest):  # which is fast for many rows at once
            return False
        if not self.nests:
            return True
        if nest.shape[0] != self.nests[0].shape[0]:
            return False
        access, changed = _access(nest), self.changed | {view.buffer for view in writes(nest)}
        shared = {buffer: found | self.access[buffer] for buffer, found in access.items() if buffer in self.access}
        valid = all(len(found) == 1 and None not in found for buffer, found in shared.items() if buffer in changed)
        return valid and any(found != {None} for found in shared.values())

    def add(self, nest: Nest) -> None:
        """Add a nest that the group admits."""
        self.nests.append(nest)
        self.changed.update(view.buffer for view in writes(nest))
        for buffer, found in _access(nest).items():
            self.access.setdefault(buffer, set()).update(found)

    def is_independent(self, statement: Statement) -> bool:
        """Tell whether a statement may run before the group."""
        changes = {view.buffer for view in writes(statement)}
        return self.changed.isdisjoint(_touched(statement)) and self.access.keys().isdisjoint(changes)

    def finish(self, uses: Uses) -> Iterator[Statement]:
        """Yield the nests as one loop over rows if that pays; short ones at the ends run before or after it."""
        long = [i for i, nest in enumerate(self.nests) if math.prod(nest.shape[1:]) >= self.target.row]
        first, end = (long[0], long[-1] + 1) if long else (0, 0)
        inner = self.nests[first:end]
        if _passed(inner, self.target) < self.target.rows:
            yield from self.nests
            return
        yield from self.nests[:first]
        yield _RowLoop(inner, uses).loop(self.target)
        yield from self.nests[end:]


def _passed(nests: Sequence[Nest], target: Target) -> int:
    """Return the bytes of the arrays that at least two nests walk over."""
    size, counts = dict[Buffer, int](), Multiset[Buffer]()
    for nest in nests:
        views = [x for part in nest.body for x in (*operands(part), written(part)) if isinstance(x, View)]
        counts.update({view.buffer for view in views})
        for view in views:
            count = math.prod(n for n, stride in zip(view.shape, view.strides, strict=True) if stride)
            lanes = target.vector // 4 if view.varying else 1
            size[view.buffer] = max(size.get(view.buffer, 0), count * view.dtype.itemsize * lanes)
    return sum(size[buffer] for buffer, count in counts.items() if count > 1)


class _RowLoop:
    """Turns nests into a loop over the indices of their first axis."""

    def __init__(self, nests: Sequence[Nest], uses: Uses):
        self.nests, self.counter = nests, Counter(nests[0].shape[0], is_step=False)
        inside = _uses(nests)
        sums = {part.view.buffer for nest in nests for part in nest.body if isinstance(part, Accumulate)}
        self.kept = {buffer for buffer in sums if buffer.kind == "output" or inside[buffer] < uses[buffer]}
        self.shrunk = {
            buffer: Buffer(buffer.dtype, buffer.size // self.counter.length, buffer.varying)
            for buffer, count in inside.items()
            if buffer in sums or (buffer.kind == "temporary" and count == uses[buffer] and self.is_row_wise(buffer))
        }

    def is_row_wise(self, buffer: Buffer) -> bool:
        """Tell whether the nests access a buffer by its rows."""
        found = set[_Rows | None]().union(*(_access(nest).get(buffer, ()) for nest in self.nests))
        return found == {_Rows(buffer.size // self.counter.length, ())}

    def loop(self, target: Target) -> Loop:
        """Return the loop, with the rows of its rows fused in turn."""
        body = [statement for nest in self.nests for statement in self.statements(nest)]
        uses = _uses(body)
        own = Uses({row: uses[row] for row in self.shrunk.values()})  # other buffers may be used outside the loop
        return Loop(self.counter, body=[*_fused(body, own, target)])

    def statements(self, nest: Nest) -> Iterator[Nest]:
        """Yield a nest for one row, and copies of the reductions that are used after the loop."""
        new: dict[Operand, Operand] = {}
        yield Nest(nest.shape[1:], [self.part(part, new) for part in nest.body], nest.sequential)
        for part in nest.body:
            if isinstance(part, Accumulate) and part.view.buffer in self.kept:
                row = self.shrunk[part.view.buffer]
                one = whole(row, (row.size,))
                outside = replace(one, buffer=part.view.buffer, steps=((self.counter, row.size),))
                yield Nest(one.shape, [Store(outside, one)])

    def part(self, part: Part, new: dict[Operand, Operand]) -> Part:
        """Return a part of a body for one row; `new` maps the nodes of the body to those for one row."""
        match part:
            case Gather():
                rows = _indexes_rows(part.args)
                args = tuple(self.operand(x, new) for x in part.args[rows:])
                new[part] = gather = replace(part, args=args, view=self.row(part.view) if rows else part.view)
                return gather
            case Node():
                new[part] = node = replace(part, args=tuple(self.operand(x, new) for x in part.args))
                return node
            case Store():
                return Store(self.row(part.view), self.operand(part.value, new))
            case Accumulate():
                scratch = part.scratch and (self.row(part.scratch[0]), self.row(part.scratch[1]))
                return replace(part, view=self.row(part.view), value=self.operand(part.value, new), scratch=scratch)
            case Scatter():
                indices = tuple(self.operand(x, new) for x in part.indices[1:])
                return replace(part, view=self.row(part.view), value=self.operand(part.value, new), indices=indices)
            case _:
                return never(part)

    def operand(self, x: Operand, new: dict[Operand, Operand]) -> Operand:
        """Return an operand for one row."""
        if isinstance(x, View):
            return self.row(x)
        return replace(x, axis=x.axis - 1) if isinstance(x, Index) else new.get(x, x)

    def row(self, view: View) -> View:
        """Return the current row of a view."""
        row = View(view.buffer, view.shape[1:], view.strides[1:], view.offset, view.steps)
        if view.buffer in self.shrunk:
            return replace(row, buffer=self.shrunk[view.buffer])
        return replace(row, steps=(*view.steps, (self.counter, view.strides[0]))) if view.strides[0] else row
