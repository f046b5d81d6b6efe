"""The reductions of a nest in C: their registers or buffers, and long sums in blocks."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.body import Body
from funcnet.compiler.native.c.primitives import PRIMITIVES, Kind
from funcnet.compiler.native.c.writer import Place, Writer
from funcnet.compiler.native.long_sums import LONG, is_float_sum
from funcnet.compiler.native.loop_ir import Accumulate, Gather, Nest, Node, Part, Scatter, operands

_FUNCTIONS = {Kind.TEXT: 16, Kind.LIBM: 64}  # times of functions, in arithmetic operations
_SHORT, _ROWS = 8, range(32, 1 << 16)  # elements of rows too short for vectors; numbers of such rows in a cache
SUMS, ERRORS = 0, 1  # positions in the scratch of a long sum
_EXACT = 256  # bytes of interleaved reductions: several vectors, since each waits for the one before
_ROUNDED, _LONG = 32, 512  # interleaved float sums, and the terms that pay for them
Vectors = list[tuple[Accumulate, str, str, int]]  # per sum: vectors of totals and of errors, their first index


def price(part: Part) -> int:
    """Estimate the time of a part of a body, in arithmetic operations."""
    if isinstance(part, Node) and part.op in PRIMITIVES:
        return _FUNCTIONS.get(PRIMITIVES[part.op].kind, 1)
    return 1


class Sums(Body):
    """The body of a nest, and the registers or buffers of its reductions.

    A long sum is cut into blocks at one level of the loops. If the sum is in a register from this level inwards, so is
    the sum of a block. Otherwise the sums of a block are in scratch, and loops over the kept axes add them to the
    totals.
    """

    def __init__(self, writer: Writer, nest: Nest):
        super().__init__(writer, nest)
        if self.has_short_rows():
            self.groups[-2:] = reversed(self.groups[-2:])
        self.sizes = [math.prod(nest.shape[axis] for axis in group) for group in self.groups]
        self.ways = self.interleaved_reductions()
        cuts = {s: self.cut_level(s) for s in self.accumulations()}
        self.cuts = {s: level for s, level in cuts.items() if level is not None}
        self.polls = self.poll_level()
        self.errors: dict[Accumulate, str] = {}  # registers of the rounding errors of long sums
        self.in_scratch: set[Accumulate] = set()  # sums whose blocks are now in scratch

    def interleaved_reductions(self) -> int:
        """Return the number of interleaved reductions of a long one of scalars; it fixes the rounding of a float sum.

        More than one vector of them hides the latency of an operation. They are a power of two. That of float sums
        does not depend on the dtypes of other values in the nest, so that their bits do not either.
        """
        least, size = self.writer.target.partial, self.sizes[-1] if self.sizes else 1
        if all(_is_exact(s) for s in self.accumulations()):
            return max(least, min(_EXACT // self.widest(), 1 << (size // 2).bit_length() >> 1))
        return max(least, _ROUNDED if size >= _LONG else 0)

    def widest(self) -> int:
        """Return the bytes of the widest operand of the body."""
        return max((x.dtype.itemsize for part in self.nest.body for x in operands(part)), default=1)

    def unroll(self) -> int:
        """Return the vectors per step of interleaved reductions, which gcc keeps in registers if they are written out.

        By a smaller number gcc 12 vectorises across the steps of a block, or not at all.
        """
        is_cheap = sum(map(price, self.nest.body)) < _FUNCTIONS[Kind.TEXT]
        return max(1, self.ways * self.widest() // self.writer.target.vector) if is_cheap else 1

    def has_short_rows(self) -> bool:
        """Tell whether the nest reduces rows too short for vectors, so that a loop over rows should be inside.

        The terms of each row keep their order. Without reductions, gcc unrolls the loop over a short row by itself.
        """
        sizes = [math.prod(self.nest.shape[axis] for axis in group) for group in self.groups[-2:]]
        if len(sizes) < 2 or sizes[1] > _SHORT or sizes[0] not in _ROWS or self.nest.sequential or self.lanes_vary():
            return False
        is_plain = not any(isinstance(part, Gather | Scatter) for part in self.nest.body)
        kinds = {tuple(map(bool, self.strides(s.view)[-2:])) for s in self.accumulations()}
        return is_plain and kinds == {(True, False)} and sum(map(price, self.nest.body)) >= _FUNCTIONS[Kind.TEXT]

    def poll_level(self) -> tuple[int, int]:
        """Return the level whose loop reads the stop flag, and the number of its steps between two reads."""
        most = self.writer.target.poll // (self.writer.lanes if self.lanes_vary() else 1)
        inner = sum(price(part) for part in self.nest.body)
        for level in reversed(range(len(self.sizes))):
            if inner * self.sizes[level] > most:
                return level, max(most // inner, 1)
            inner *= self.sizes[level]
        return -1, 0

    def stretches(self, level: int, size: int, multiple: int = 1) -> AbstractContextManager[tuple[str, str]]:
        """Print a loop over stretches if the level reads the stop flag; yield the first index and the end of each."""
        at, length = self.polls
        return self.writer.stretches("0", size, max(length // multiple, 1) * multiple if at == level else size)

    def accumulations(self) -> Iterator[Accumulate]:
        """Yield the reductions of the nest."""
        return (part for part in self.nest.body if isinstance(part, Accumulate))

    def strides(self, view: View) -> list[int]:
        """Return the strides of the groups of axes, each that of its last axis."""
        return [view.strides[group[-1]] for group in self.groups]

    def interleaves(self, level: int) -> bool:
        """Tell whether sums in registers are interleaved along a level: the last level, for scalars."""
        last = level == len(self.sizes) - 1
        return last and not self.lanes_vary() and self.sizes[level] >= 2 * self.ways

    def chain(self, s: Accumulate, level: int) -> int:
        """Return the number of successive additions from a level inwards."""
        lengths = [1 if stride else size for size, stride in zip(self.sizes, self.strides(s.view), strict=True)]
        if self.interleaves(len(lengths) - 1) and not self.strides(s.view)[-1]:
            lengths[-1] = -(-lengths[-1] // self.ways) + self.ways.bit_length() - 1  # the last are added pairwise
        return math.prod(lengths[level:])

    def cut_level(self, s: Accumulate) -> int | None:
        """Return the level at which a long sum is cut into blocks; None if it is not."""
        if not is_float_sum(s.view, s.op):
            return None
        return next((level for level in reversed(range(len(self.sizes))) if self.chain(s, level) > LONG), None)

    def load(self, s: Accumulate, level: int, start: Place) -> None:
        """Load a reduction into a register, with another one for the rounding errors of adding its blocks."""
        kind = self.writer.type(s.view)
        self.sums[s] = self.writer.fresh("s")
        self.writer.put(f"{kind} {self.sums[s]} = {self.writer.load(self.target(s), start)};")
        if self.cuts.get(s, -1) >= level:
            self.errors[s] = self.writer.fresh("e")
            error = self.writer.load(s.scratch[ERRORS], start) if s.scratch else self.zero(s)
            self.writer.put(f"{kind} {self.errors[s]} = {error};")

    def unload(self, s: Accumulate, start: Place) -> None:
        """Store a reduction to memory."""
        total, error = self.sums.pop(s), self.errors.pop(s, "")
        if error and s.scratch:
            self.writer.store(s.scratch[ERRORS], start, error)
        elif error:
            total = self.writer.call("total", self.writer.type(s.view), total, error)
        self.writer.store(self.target(s), start, total)

    @contextmanager
    def registers(self, sums: Sequence[Accumulate]) -> Iterator[None]:
        """Keep the sums of a block in registers of their own, and add them to the totals at its end."""
        totals = {s: self.sums[s] for s in sums}
        for s in sums:
            self.sums[s] = self.writer.fresh("s")
            self.writer.put(f"{self.writer.type(s.view)} {self.sums[s]} = {self.zero(s)};")
        yield
        parts = {s: self.sums[s] for s in sums}
        self.sums.update(totals)
        for s, part in parts.items():
            self.add(s, part)

    def add(self, s: Accumulate, part: str) -> None:
        """Add the sum of a block to a total in a register."""
        text = self.writer.call("compensate", self.writer.type(s.view), self.sums[s], part, f"&{self.errors[s]}")
        self.writer.put(f"{self.sums[s]} = {text};")

    def fold(self, s: Accumulate, vectors: list[tuple[str, str, int]]) -> None:
        """Add interleaved sums pairwise, then add their sum to the total."""
        halves, kind = self.writer.fresh("w"), self.vector(s)
        self.writer.array(self.writer.type(s.view), halves, self.ways)
        for total, error, at in vectors:
            self.writer.put(f"*({kind} *)&{halves}[{at}] = {self.writer.call('total', kind, total, error)};")
        self.halve(s, halves)
        self.add(s, f"{halves}[0]")

    def halve(self, s: Accumulate, name: str) -> None:
        """Combine interleaved reductions pairwise into the first of them."""
        size = self.ways
        while size := size // 2:
            step = self.combine(s, f"{name}[w]", f"{name}[w + {size}]")
            if size >= 4:
                self.writer.put("VECTORISE")
                self.writer.put("UNROLL(1)")  # else gcc 12 unrolls it and computes maxima with branches
            self.writer.put(f"for (int w = 0; w < {size}; ++w) {name}[w] = {step};")

    def vectors(self, sums: Sequence[Accumulate]) -> Vectors:
        """Declare vectors for the totals and errors of interleaved sums; return them with the first index of each."""
        found = []
        for s in sums:
            for at in range(0, self.ways, self.width(s)):
                found.append((s, self.writer.fresh("s"), self.writer.fresh("e"), at))
                self.writer.put(f"{self.vector(s)} {found[-1][1]} = {{0}}, {found[-1][2]} = {{0}};")
        return found

    def vector(self, s: Accumulate) -> str:
        """Return the vector type of interleaved sums."""
        return f"w{self.width(s)}{self.writer.type(s.view)}"

    def width(self, s: Accumulate) -> int:
        """Return the number of interleaved sums per vector of the machine."""
        return min(self.ways, self.writer.target.vector // s.view.dtype.itemsize)

    def clear(self, s: Accumulate, which: int, level: int, place: list[str]) -> None:
        """Set the sums or errors in scratch to zero."""
        assert s.scratch
        with self.across(s, level, place) as at:
            self.writer.store(s.scratch[which], at, self.zero(s))

    def join(self, s: Accumulate, level: int, place: list[str]) -> None:
        """Add the sums of a block in scratch to the totals, and set them to zero."""
        assert s.scratch
        sums, errors = s.scratch
        with self.across(s, level, place) as at:
            terms = self.writer.load(s.view, at), self.writer.load(sums, at), f"&{self.writer.load(errors, at)}"
            self.writer.store(s.view, at, self.writer.call("compensate", self.writer.type(s.view), *terms))
            self.writer.store(sums, at, self.zero(s))

    def finish(self, s: Accumulate, level: int, place: list[str]) -> None:
        """Add the errors in scratch to the totals."""
        assert s.scratch
        with self.across(s, level, place) as at:
            terms = self.writer.load(s.view, at), self.writer.load(s.scratch[ERRORS], at)
            self.writer.store(s.view, at, self.writer.call("total", self.writer.type(s.view), *terms))

    @contextmanager
    def across(self, s: Accumulate, level: int, place: list[str]) -> Iterator[Place]:
        """Print loops over the kept axes from a level inwards."""
        strides = self.strides(s.view)
        kept = [inner for inner in range(level, len(self.sizes)) if strides[inner]]
        common = self.writer.target.common_vector
        for inner in kept:
            if inner == kept[-1]:
                self.writer.put("VECTORISE")
                if common < self.sizes[inner] < 2 * common:
                    self.writer.put("UNROLL(1)")  # else gcc 12 computes the elements beyond a full vector one by one
            self.writer.open(f"for (i64 i{inner} = 0; i{inner} < {self.sizes[inner]}; ++i{inner})")
        yield self.expand([*place, *(f"i{a}" if a in kept else 0 for a in range(level, len(self.sizes)))])
        for _ in kept:
            self.writer.close()

    def target(self, s: Accumulate) -> View:
        """Return the view in which a reduction without a register is accumulated."""
        return s.scratch[SUMS] if s.scratch and s in self.in_scratch else s.view

    def zero(self, s: Accumulate) -> str:
        """Return the identity of a reduction."""
        zero = self.writer.constant(s.identity)
        return self.writer.splat(zero, s.view.dtype) if s.view.varying else zero

    def partial(self, s: Accumulate, name: str) -> None:
        """Declare interleaved reductions."""
        self.writer.array(self.writer.type(s.view), name, self.ways)
        self.writer.put(f"for (int w = 0; w < {self.ways}; ++w) {name}[w] = {self.writer.constant(s.identity)};")


def _is_exact(s: Accumulate) -> bool:
    """Tell whether the order of a reduction does not matter."""
    return not s.view.dtype.is_floating_point or s.op in ("maximum", "minimum")
