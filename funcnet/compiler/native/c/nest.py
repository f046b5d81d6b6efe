"""The loops of a nest in C: their order, the registers of its reductions, and long sums in blocks."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from funcnet.compiler.native.c.body import Body, Place
from funcnet.compiler.native.long_sums import BLOCK, LONG, is_exactable
from funcnet.compiler.native.loop_ir import Accumulate, Nest, View

if TYPE_CHECKING:
    from funcnet.compiler.native.c.writer import Printer

UNROLL = 2  # iterations of a nest that are written out; the C compiler unrolls more where that pays
PARTIAL = 16  # interleaved sums of a long reduction of scalars
VECTOR = 8  # float32 numbers that most machines have vectors for
SUMS, ERRORS = 0, 1  # in the spare memory of a long sum
Vectors = list[tuple[Accumulate, str, str, int]]  # of a sum: a vector of totals and of errors, the first one's index


class Walk(Body):
    """The loops of one nest.

    A long sum is cut into blocks at one level of the loops. Where it lives in a register from there on inwards, a
    block has a register of its own, else spare memory, which is added to the total by loops over the kept axes.
    """

    def __init__(self, printer: "Printer", nest: Nest):
        super().__init__(printer, nest)
        self.sizes = [math.prod(nest.shape[axis] for axis in group) for group in self.groups]
        cuts = {s: self.cut_level(s) for s in self.accumulations()}
        self.cuts = {s: level for s, level in cuts.items() if level is not None}
        self.errors: dict[Accumulate, str] = {}  # the registers of long sums' rounding errors
        self.spared: set[Accumulate] = set()  # sums whose blocks are in spare memory now

    def print(self) -> None:
        """Written out if short, else loops."""
        if math.prod(self.sizes) <= UNROLL:
            for place in itertools.product(*(range(size) for size in self.sizes)):
                self.p.open("")
                self.once(place)
                self.p.close()
        else:
            self.loops(0, [])

    def accumulations(self) -> Iterator[Accumulate]:
        """The reductions of the nest."""
        return (part for part in self.nest.body if isinstance(part, Accumulate))

    def strides(self, view: View) -> list[int]:
        """Strides along the groups of axes, each that of its last axis."""
        return [view.strides[group[-1]] for group in self.groups]

    def interleaves(self, level: int) -> bool:
        """Whether sums in registers are interleaved along a level: the last one, of scalars."""
        last = level == len(self.sizes) - 1
        return last and not self.lanes_vary() and self.sizes[level] >= 2 * PARTIAL

    def chain(self, s: Accumulate, level: int) -> int:
        """Additions in a row from a level inwards."""
        lengths = [1 if stride else size for size, stride in zip(self.sizes, self.strides(s.view), strict=True)]
        if self.interleaves(len(lengths) - 1) and not self.strides(s.view)[-1]:
            lengths[-1] = lengths[-1] // PARTIAL + PARTIAL
        return math.prod(lengths[level:])

    def cut_level(self, s: Accumulate) -> int | None:
        """The level at which a long sum is cut into blocks."""
        if not is_exactable(s.view, s.op):
            return None
        return next((level for level in reversed(range(len(self.sizes))) if self.chain(s, level) > LONG), None)

    def loops(self, level: int, place: list[str]) -> None:
        """The loop of one group of axes; reductions that it does not index live in a register meanwhile."""
        if level == len(self.sizes):
            self.once(place)
            return
        begun = [s for s in self.cuts if s.spare and self.strides(s.view).index(0) == level]
        held = [s for s in self.accumulations() if s not in self.sums and not any(self.strides(s.view)[level:])]
        start = self.expand([*place, *[0] * len(self.sizes[level:])])
        for s in begun:
            self.clear(s, ERRORS, level, place)
        for s in held:
            self.load(s, level, start)
        self.walk(level, place)
        for s in held:
            self.unload(s, start)
        for s in begun:
            self.finish(s, level, place)

    def load(self, s: Accumulate, level: int, start: Place) -> None:
        """Hold a reduction in a register, and the rounding errors of adding its blocks in another."""
        kind = self.p.type(s.view)
        self.sums[s] = self.p.fresh("s")
        self.p.put(f"{kind} {self.sums[s]} = {self.p.load(self.target(s), start)};")
        if self.cuts.get(s, -1) >= level:
            self.errors[s] = self.p.fresh("e")
            self.p.put(f"{kind} {self.errors[s]} = {self.p.load(s.spare[ERRORS], start) if s.spare else self.zero(s)};")

    def unload(self, s: Accumulate, start: Place) -> None:
        """Write a reduction to memory."""
        total, error = self.sums.pop(s), self.errors.pop(s, "")
        if error and s.spare:
            self.p.store(s.spare[ERRORS], start, error)
        elif error:
            total = self.p.call("total", self.p.type(s.view), total, error)
        self.p.store(self.target(s), start, total)

    def walk(self, level: int, place: list[str]) -> None:
        """The loop of one level, in the parts that its sums need."""
        cut = [s for s, at in self.cuts.items() if at == level]
        if self.sums and self.interleaves(level):
            self.interleaved(level, place, cut)
        elif cut:
            self.blocks(level, place, cut)
        else:
            self.loop(level, place, "0", str(self.sizes[level]))

    def loop(self, level: int, place: list[str], first: str, end: str) -> None:
        """The indices of one level from first to end."""
        i = f"i{level}"
        if level == len(self.sizes) - 1 and not self.nest.sequential:
            self.p.put("VECTORISE")
        self.p.open(f"for (i64 {i} = {first}; {i} < {end}; ++{i})")
        self.loops(level + 1, [*place, i])
        self.p.close()

    def interleaved(self, level: int, place: list[str], cut: list[Accumulate]) -> None:
        """A long inner reduction of scalars as PARTIAL interleaved ones, which are vectors to the compiler."""
        size, rest = self.sizes[level], self.sizes[level] % PARTIAL
        names = {s: self.p.fresh("w") for s in self.sums}
        plain = [s for s in names if s not in cut]
        for s in plain:
            self.partial(s, names[s])
        vectors = self.vectors(cut)
        if cut:
            self.steps_in_blocks(level, place, names, vectors)
        else:
            self.steps(level, place, names, "0", str(size - rest))
        if rest:
            with self.registers(cut):
                self.p.open(f"for (i64 i{level} = {size - rest}; i{level} < {size}; ++i{level})")
                self.once([*place, f"i{level}"])
                self.p.close()
        for s in plain:
            step = self.combine(s, self.sums[s], f"{names[s]}[w]")
            self.p.put(f"for (int w = 0; w < {PARTIAL}; ++w) {self.sums[s]} = {step};")
        for s in cut:
            self.fold(s, [vector[1:] for vector in vectors if vector[0] is s])

    def partial(self, s: Accumulate, name: str) -> None:
        """Begin interleaved reductions."""
        self.p.array(self.p.type(s.view), name, PARTIAL)
        self.p.put(f"for (int w = 0; w < {PARTIAL}; ++w) {name}[w] = {self.p.constant(s.identity)};")

    def steps(self, level: int, place: list[str], names: dict[Accumulate, str], first: str, end: str) -> None:
        """PARTIAL indices of the last level at a time."""
        totals = dict(self.sums)
        self.p.open(f"for (i64 j = {first}; j < {end}; j += {PARTIAL})")
        self.p.put("VECTORISE")
        if level in self.cuts.values():
            self.p.put(
                "UNROLL(1)"
            )  # else gcc 12 may make vectors across the few steps of a block, at four times the cost
        self.p.open(f"for (int w = 0; w < {PARTIAL}; ++w)")
        self.p.put(f"const i64 i{level} = j + w;")
        self.sums.update({s: f"{name}[w]" for s, name in names.items()})
        self.once([*place, f"i{level}"])
        self.sums.update(totals)
        self.p.close()
        self.p.close()

    # Long sums

    def steps_in_blocks(self, level: int, place: list[str], names: dict[Accumulate, str], vectors: Vectors) -> None:
        """Interleaved sums of blocks, each of which is added to the totals vector by vector."""
        with self.block(level, self.sizes[level] - self.sizes[level] % PARTIAL, BLOCK * PARTIAL) as (first, end):
            for s in dict.fromkeys(vector[0] for vector in vectors):
                self.partial(s, names[s])
            self.steps(level, place, names, first, end)
            for s, total, error, at in vectors:
                block = f"*(const {self.vector(s)} *)&{names[s]}[{at}]"
                self.p.put(f"{total} = {self.p.call('compensate', self.vector(s), total, block, f'&{error}')};")

    def blocks(self, level: int, place: list[str], cut: list[Accumulate]) -> None:
        """The loop of one level in blocks, at the end of each of which their sums go into the totals."""
        held, spared = ([s for s in cut if (s in self.sums) == here] for here in (True, False))
        for s in spared:
            self.clear(s, SUMS, level, place)
            self.spared.add(s)
        length = max(1, BLOCK // max(self.chain(s, level + 1) for s in cut))
        with self.block(level, self.sizes[level], length) as (first, end):
            with self.registers(held):
                self.loop(level, place, first, end)
            for s in spared:
                self.join(s, level, place)
        self.spared.difference_update(spared)

    @contextmanager
    def block(self, level: int, size: int, length: int) -> Iterator[tuple[str, str]]:
        """A loop over blocks of the indices of one level: yields where each begins and ends."""
        first = f"b{level}"
        end = f"{first} + {length}"
        self.p.open(f"for (i64 {first} = 0; {first} < {size}; {first} += {length})")
        yield first, f"({end} < {size} ? {end} : {size})"
        self.p.close()

    @contextmanager
    def registers(self, sums: Sequence[Accumulate]) -> Iterator[None]:
        """Sums of a block in registers of their own, which are then added to the totals."""
        totals = {s: self.sums[s] for s in sums}
        for s in sums:
            self.sums[s] = self.p.fresh("s")
            self.p.put(f"{self.p.type(s.view)} {self.sums[s]} = {self.zero(s)};")
        yield
        parts = {s: self.sums[s] for s in sums}
        self.sums.update(totals)
        for s, part in parts.items():
            self.add(s, part)

    def add(self, s: Accumulate, part: str) -> None:
        """Add the sum of a block to a total in a register."""
        text = self.p.call("compensate", self.p.type(s.view), self.sums[s], part, f"&{self.errors[s]}")
        self.p.put(f"{self.sums[s]} = {text};")

    def fold(self, s: Accumulate, vectors: list[tuple[str, str, int]]) -> None:
        """Add interleaved sums by halves, which is short, then to the total."""
        halves, kind = self.p.fresh("w"), self.vector(s)
        self.p.array(self.p.type(s.view), halves, PARTIAL)
        for total, error, at in vectors:
            self.p.put(f"*({kind} *)&{halves}[{at}] = {self.p.call('total', kind, total, error)};")
        size = PARTIAL
        while size := size // 2:
            self.p.put(f"for (int w = 0; w < {size}; ++w) {halves}[w] += {halves}[w + {size}];")
        self.add(s, f"{halves}[0]")

    def vectors(self, sums: Sequence[Accumulate]) -> Vectors:
        """The machine's vectors for totals of interleaved sums and for their errors, and the first index of each."""
        found = []
        for s in sums:
            for at in range(0, PARTIAL, self.width(s)):
                found.append((s, self.p.fresh("s"), self.p.fresh("e"), at))
                self.p.put(f"{self.vector(s)} {found[-1][1]} = {{0}}, {found[-1][2]} = {{0}};")
        return found

    def vector(self, s: Accumulate) -> str:
        """The type of some of the interleaved sums."""
        return f"w{self.width(s)}{self.p.type(s.view)}"

    def width(self, s: Accumulate) -> int:
        """Interleaved sums in one of the machine's vectors."""
        return min(PARTIAL, self.p.vector // s.view.dtype.itemsize)

    def clear(self, s: Accumulate, which: int, level: int, place: list[str]) -> None:
        """Begin sums or errors in spare memory at zero."""
        assert s.spare
        with self.across(s, level, place) as at:
            self.p.store(s.spare[which], at, self.zero(s))

    def join(self, s: Accumulate, level: int, place: list[str]) -> None:
        """Add the sums of a block in spare memory to the totals, and begin the next block."""
        assert s.spare
        sums, errors = s.spare
        with self.across(s, level, place) as at:
            terms = self.p.load(s.view, at), self.p.load(sums, at), f"&{self.p.load(errors, at)}"
            self.p.store(s.view, at, self.p.call("compensate", self.p.type(s.view), *terms))
            self.p.store(sums, at, self.zero(s))

    def finish(self, s: Accumulate, level: int, place: list[str]) -> None:
        """Add the errors in spare memory to the totals."""
        assert s.spare
        with self.across(s, level, place) as at:
            terms = self.p.load(s.view, at), self.p.load(s.spare[ERRORS], at)
            self.p.store(s.view, at, self.p.call("total", self.p.type(s.view), *terms))

    @contextmanager
    def across(self, s: Accumulate, level: int, place: list[str]) -> Iterator[Place]:
        """Loops over the kept axes from a level inwards."""
        strides = self.strides(s.view)
        kept = [inner for inner in range(level, len(self.sizes)) if strides[inner]]
        for inner in kept:
            if inner == kept[-1]:
                self.p.put("VECTORISE")
                if VECTOR < self.sizes[inner] < 2 * VECTOR:
                    self.p.put("UNROLL(1)")  # else gcc 12 makes scalars of those beyond a whole vector
            self.p.open(f"for (i64 i{inner} = 0; i{inner} < {self.sizes[inner]}; ++i{inner})")
        yield self.expand([*place, *(f"i{a}" if a in kept else 0 for a in range(level, len(self.sizes)))])
        for _ in kept:
            self.p.close()

    def target(self, s: Accumulate) -> View:
        """Where a reduction that no register holds is accumulated."""
        return s.spare[SUMS] if s.spare and s in self.spared else s.view

    def zero(self, s: Accumulate) -> str:
        """The identity of a reduction."""
        zero = self.p.constant(s.identity)
        return self.p.splat(zero, s.view.dtype) if s.view.varying else zero
