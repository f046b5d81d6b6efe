"""Memory planning: small temporaries are on the stack of the C function that uses them, others in a reused arena."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from funcnet.compiler.native.buffers import Buffer
from funcnet.compiler.native.loop_ir import (
    Check,
    Contract,
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
from funcnet.compiler.native.target import Target

Path = tuple[Loop | Section, ...]


@dataclass(eq=False)
class _Life:
    """The loops that enclose all uses of a buffer, and its first and last tick."""

    path: Path
    first: int
    last: int


@dataclass(eq=False)
class Plan:
    """The temporaries declared in each loop or section (None: in the function of a block), the offsets and size of the
    arena, and the lanes per block."""

    locals: dict[Loop | Section | None, list[Buffer]]
    arena: dict[Buffer, int]
    size: int
    lanes: int
    slack: int

    def room(self, buffer: Buffer) -> int:
        """Return the number of elements to allocate, slack included."""
        return max(buffer.size, 1) + -(-self.slack // _width(buffer, self.lanes))


def plan(kernel: LoopProgram, target: Target) -> Plan:
    """Choose the number of lanes per block, and place every temporary and packed argument of a kernel."""
    lanes, lives = _lanes(kernel, target), _lives(kernel)
    found = Plan({}, {}, 0, lanes, target.slack)
    free = _stacks(kernel, target)
    for buffer, life in lives.items():
        size, function = found.room(buffer) * _width(buffer, lanes), _function(life.path)
        if size <= target.stack and size <= free.get(function, 0):
            free[function] -= size
            found.locals.setdefault(life.path[-1] if life.path else None, []).append(buffer)
        else:
            taken = [(found.arena[b], found.room(b) * _width(b, lanes)) for b in found.arena if _meet(lives[b], life)]
            found.arena[buffer] = offset = _gap(size, taken, target.arena_alignment)
            found.size = max(found.size, offset + size)
    return found


def _stacks(kernel: LoopProgram, target: Target) -> dict[Section | None, int]:
    """Return the bytes for temporaries on the stack of each C function; a block of sections has none of its own."""
    functions = {_function(path) for _, path, _ in _ticks(kernel.statements, (), [0])}
    return dict.fromkeys(functions - {None} or {None}, target.stacks)


def _function(path: Path) -> Section | None:
    """Return the section around some statements; None if it is the function of a block."""
    return next((part for part in path if isinstance(part, Section)), None)


def _lanes(kernel: LoopProgram, target: Target) -> int:
    """Return how many of the widest floats a vector holds."""
    wide = any(buffer.dtype == torch.float64 for buffer in _buffers(kernel))
    return target.vector // (8 if wide else 4) if kernel.lanes else 1


def _width(buffer: Buffer, lanes: int) -> int:
    """Return the bytes of an element; a mask of lanes is as wide as a vector of float64."""
    size = 8 if buffer.varying and buffer.dtype == torch.bool else buffer.dtype.itemsize
    return size * (lanes if buffer.varying else 1)


def _meet(a: _Life, b: _Life) -> bool:
    return a.first <= b.last and b.first <= a.last


def _gap(size: int, taken: Sequence[tuple[int, int]], alignment: int) -> int:
    """Find the lowest aligned offset with enough room between the taken ranges."""
    offset = 0
    for start, length in sorted(taken):
        if offset + size <= start:
            break
        offset = max(offset, -(-(start + length) // alignment) * alignment)
    return offset


def _lives(kernel: LoopProgram) -> dict[Buffer, _Life]:
    """Find the life of each buffer that needs memory; it covers the whole of a loop that uses an outer buffer."""
    uses: dict[Buffer, list[tuple[int, Path]]] = {b: [(0, ())] for b in kernel.inputs if b.varying}
    spans: dict[Loop | Section, tuple[int, int]] = {}
    for tick, path, statement in _ticks(kernel.statements, (), [0]):
        for loop in path:
            spans[loop] = (spans.get(loop, (tick, tick))[0], tick)
        for view in (*reads(statement), *writes(statement), *scratch(statement)):
            if view.buffer.kind == "temporary" or view.buffer in uses:
                uses.setdefault(view.buffer, []).append((tick, path))
    return {buffer: _life(found, spans) for buffer, found in uses.items()}


def _life(uses: Sequence[tuple[int, Path]], spans: dict[Loop | Section, tuple[int, int]]) -> _Life:
    path = uses[0][1]
    for _, other in uses:
        path = tuple(a for a, b in zip(path, other, strict=False) if a is b)
    ends = [spans[other[len(path)]] if len(other) > len(path) else (tick, tick) for tick, other in uses]
    return _Life(path, min(first for first, _ in ends), max(last for _, last in ends))


def _ticks(statements: Sequence[Statement], path: Path, clock: list[int]) -> Iterator[tuple[int, Path, Statement]]:
    """Number the statements other than loops in textual order; yield each with the loops around it."""
    for statement in statements:
        match statement:
            case Loop() | Section():
                yield from _ticks(statement.body, (*path, statement), clock)
            case Nest() | Contract() | Cumulate() | Sort() | Check():
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
