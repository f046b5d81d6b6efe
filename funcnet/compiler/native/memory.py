"""Memory planning: small temporaries are on the stack of the C function that uses them, others in a reused arena."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import torch

from funcnet.compiler.native.buffers import Buffer
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.control import Break, Case, Check, Repeat, TorchCall
from funcnet.compiler.native.loop_ir import (
    Cumulate,
    Loop,
    LoopProgram,
    Nest,
    Section,
    Sort,
    Statement,
    never,
    reads,
    scratch,
    writes,
)
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.native.target import Target

Holder = Loop | Repeat | Case | Section
Path = tuple[Holder, ...]


@dataclass(eq=False)
class _Life:
    """The loops that enclose all uses of a buffer, its first and last tick, and whether sections pass it on."""

    path: Path
    first: int
    last: int
    is_passed: bool


@dataclass(eq=False)
class Plan:
    """Where the temporaries of a kernel are.

    Attributes:
        locals: Those on the stack, by the loop, case or section that declares them; None: the function of a block.
        arena: The offset of each of the others, in bytes.
        size: The bytes of the arena.
        private: The offsets of those that each thread of a shared section needs for itself.
        private_size: The bytes of these, per thread.
        lanes: The lanes per block.
        word: Bytes of the widest float, and of a mask's element.
        slack: The bytes after each buffer that may be read.
    """

    locals: dict[Holder | None, list[Buffer]]
    arena: dict[Buffer, int]
    size: int
    lanes: int
    word: int
    slack: int
    private: dict[Buffer, int] = field(default_factory=dict)
    private_size: int = 0

    def room(self, buffer: Buffer) -> int:
        """Return the number of elements to allocate, slack included."""
        return max(buffer.size, 1) + -(-self.slack // self.width(buffer))

    def width(self, buffer: Buffer) -> int:
        """Return the bytes of an element; a mask of lanes is as wide as a vector of float64."""
        size = 8 if buffer.varying and buffer.dtype == torch.bool else buffer.dtype.itemsize
        return size * (self.lanes if buffer.varying else 1)


def plan(kernel: LoopProgram, target: Target, lanes: int | None = None) -> Plan:
    """Place every temporary and packed argument of a kernel, for some lanes per block or as many as a vector holds."""
    word = widest(kernel)
    lanes = (lanes or target.vector // word) if kernel.lanes else 1
    lives, found = _lives(kernel), Plan({}, {}, 0, lanes, word, target.slack)
    free = dict.fromkeys((_function(path) for _, path, _ in _ticks(kernel.statements, (), [0])), target.stacks)
    arena, private = _Arena(target.arena_alignment), _Arena(target.arena_alignment)
    for buffer, life in sorted(lives.items(), key=lambda item: item[1].first):
        size, function = found.room(buffer) * found.width(buffer), _function(life.path)
        if size <= target.stack and size <= free.get(function, 0) and not life.is_passed:
            free[function] -= size
            found.locals.setdefault(life.path[-1] if life.path else None, []).append(buffer)
        elif function and function.counter:
            found.private[buffer] = private.take(size, life)
        else:
            found.arena[buffer] = arena.take(size, life)
    found.size, found.private_size = arena.size, private.size
    return found


class _Arena:
    """Memory that is given out in the order of the first ticks of lives, and is free again after their last."""

    def __init__(self, alignment: int) -> None:
        self.alignment, self.size = alignment, 0
        self.gaps: list[tuple[int, int]] = []  # free ranges below `size`, in order, none next to another
        self.taken: list[tuple[int, int, int]] = []  # a heap of last ticks, and the ranges that they free

    def take(self, size: int, life: _Life) -> int:
        """Return the lowest offset with enough room."""
        while self.taken and self.taken[0][0] < life.first:
            self.free(*heappop(self.taken)[1:])
        size = -(-size // self.alignment) * self.alignment
        for i, (start, end) in enumerate(self.gaps):
            if end - start >= size:
                self.gaps[i : i + 1] = [(start + size, end)] if end - start > size else []
                break
        else:
            start = self.gaps.pop()[0] if self.gaps and self.gaps[-1][1] == self.size else self.size
            self.size = start + size
        heappush(self.taken, (life.last, start, start + size))
        return start

    def free(self, start: int, end: int) -> None:
        """Add a range to the gaps, joined with those next to it."""
        i = bisect(self.gaps, (start, end))
        if i < len(self.gaps) and self.gaps[i][0] == end:
            end = self.gaps.pop(i)[1]
        if i and self.gaps[i - 1][1] == start:
            start = self.gaps.pop(i - 1)[0]
            i -= 1
        self.gaps.insert(i, (start, end))


def _function(path: Path) -> Section | None:
    """Return the section around some statements; None if it is the function of a block."""
    return next((part for part in path if isinstance(part, Section)), None)


def widest(kernel: LoopProgram) -> int:
    """Return the bytes of the widest float."""
    return 8 if any(buffer.dtype == torch.float64 for buffer in _buffers(kernel)) else 4


def _lives(kernel: LoopProgram) -> dict[Buffer, _Life]:
    """Find the life of each buffer that needs memory; it covers the whole of a loop that uses an outer buffer."""
    uses: dict[Buffer, list[tuple[int, Path]]] = {b: [(0, ())] for b in kernel.inputs if b.varying}
    spans: dict[Holder, tuple[int, int]] = {}
    for tick, path, statement in _ticks(kernel.statements, (), [0]):
        for loop in path:
            spans[loop] = (spans.get(loop, (tick, tick))[0], tick)
        for view in (*reads(statement), *writes(statement), *scratch(statement)):
            if view.buffer.kind == "temporary" or view.buffer in uses:
                uses.setdefault(view.buffer, []).append((tick, path))
    return {buffer: _life(found, spans) for buffer, found in uses.items()}


def _life(uses: Sequence[tuple[int, Path]], spans: dict[Holder, tuple[int, int]]) -> _Life:
    path = uses[0][1]
    for _, other in uses:
        path = tuple(a for a, b in zip(path, other, strict=False) if a is b)
    ends = [spans[other[len(path)]] if len(other) > len(path) else (tick, tick) for tick, other in uses]
    is_passed = _function(path) is None and any(map(_function, (other for _, other in uses)))
    return _Life(path, min(first for first, _ in ends), max(last for _, last in ends), is_passed)


def _ticks(statements: Sequence[Statement], path: Path, clock: list[int]) -> Iterator[tuple[int, Path, Statement]]:
    """Number the statements other than loops in textual order; yield each with the loops around it."""
    for statement in statements:
        match statement:
            case Loop() | Repeat() | Case() | Section():
                if isinstance(statement, Case):
                    clock[0] += 1
                    yield clock[0], path, Check(statement.view, 0)  # reads the element before the body
                yield from _ticks(statement.body, (*path, statement), clock)
            case Nest() | Contract() | Cumulate() | Sort() | TorchCall() | Routine() | Check() | Break():
                clock[0] += 1
                yield clock[0], path, statement
            case _:
                never(statement)


def _buffers(kernel: LoopProgram) -> set[Buffer]:
    """Collect all buffers of a kernel."""
    used = {
        view.buffer
        for _, _, statement in _ticks(kernel.statements, (), [0])
        for view in (*reads(statement), *writes(statement), *scratch(statement))
    }
    return used | set(kernel.inputs) | set(kernel.outputs)
