"""The loops of a nest in C, with separate loops for long reductions."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.conversions import Conversions
from funcnet.compiler.native.c.primitives import PRIMITIVES
from funcnet.compiler.native.c.sums import ERRORS, SUMS, Vectors
from funcnet.compiler.native.c.writer import NAMES
from funcnet.compiler.native.long_sums import BLOCK
from funcnet.compiler.native.loop_ir import Accumulate, Gather, Index, Node, Scatter, Store, operands, writes


class NestWriter(Conversions):
    """Prints the loops of one nest."""

    def print(self) -> None:
        """Print the nest, and again with functions of all arguments, which runs if one was far."""
        self.far = {dtype: self.writer.fresh("far") for dtype in self.nearby()}
        if not self.far:
            self.attempt()
            return
        for dtype, name in self.far.items():
            self.writer.put(f"{NAMES[dtype].replace('f', 'i')} {name} = !FUSED;")
        self.writer.open("if (FUSED)")
        self.attempt()
        self.writer.close()
        self.writer.open(f"if ({' | '.join(self.far.values())})")
        NestWriter(self.writer, self.nest).attempt()
        self.writer.close()

    def nearby(self) -> set[torch.dtype]:
        """Return the dtypes of functions that are faster for near arguments, if the nest may run twice."""
        body, changed = self.nest.body, {view.buffer for view in writes(self.nest)}
        read = {x.buffer for part in body for x in operands(part) if isinstance(x, View)}
        read |= {part.view.buffer for part in body if isinstance(part, Gather)}
        is_small = math.prod(self.sizes) <= self.writer.target.unroll
        if is_small or self.nest.sequential or changed & read or any(isinstance(part, Scatter) for part in body):
            return set()
        nodes = (part for part in body if isinstance(part, Node) and not part.varying and part.op in PRIMITIVES)
        return {node.dtype for node in nodes if PRIMITIVES[node.op].near and node.dtype.is_floating_point}

    def attempt(self) -> None:
        """Print the start values of the reductions, then the loops."""
        for s in self.accumulations():
            self.start(s)
        with self.flag(), self.hidden_strides():
            self.loops()

    @contextmanager
    def flag(self) -> Iterator[None]:
        """Declare a flag for indices out of range, if there are any indices, and report it at the end of the nest."""
        if self.wrong:
            self.writer.put(f"i64 {self.wrong} = 0;")
        yield
        if self.wrong:
            self.writer.put(f"flags_ |= {self.wrong} != 0;")

    @contextmanager
    def hidden_strides(self) -> Iterator[None]:
        """Hide the last level's strides: gcc 12 takes a load of every 16th element for a part of 16 vectors.

        It then does not vectorise loops over values of several sizes, or of as many steps as a vector has elements.
        """
        for stride in sorted(self.single_strides()):
            self.writer.strides[stride] = self.writer.fresh("s")
            self.writer.put(f"const i64 {self.writer.strides[stride]} = hidden({stride});")
        yield
        self.writer.strides = {}

    def single_strides(self) -> set[int]:
        """Return the strides of loads on the last level, except where neighbours fill most of the gaps."""
        if not self.sizes or self.lanes_vary():
            return set()
        read = {x for part in self.nest.body for x in operands(part) if isinstance(x, View)}
        views = read | {part.view for part in self.nest.body if isinstance(part, Store | Accumulate)}
        places = Counter((self.strides(x)[-1], x.buffer) for x in views)
        shared = {stride for (stride, _), count in places.items() if count > 1 and 2 * count >= stride}
        return {stride for x in read if (stride := self.strides(x)[-1]) > 1} - shared

    def loops(self) -> None:
        """Print the loops, or the body at every index of a small nest."""
        if math.prod(self.sizes) <= self.writer.target.unroll:
            for place in itertools.product(*(range(size) for size in self.sizes)):
                self.writer.open("")
                self.once(place)
                self.writer.close()
        else:
            self.from_level(0, [])

    def start(self, part: Accumulate) -> None:
        """Fill the target of a reduction with its identity."""
        buffer = part.view.buffer
        value = (
            self.writer.splat(self.writer.constant(part.identity), buffer.dtype)
            if buffer.varying
            else self.writer.constant(part.identity)
        )
        if buffer.size <= self.writer.target.unroll:
            for i in range(buffer.size):
                self.writer.put(f"{self.writer.name(buffer)}[{i}] = {value};")
        else:
            self.writer.put(f"for (i64 i = 0; i < {buffer.size}; ++i) {self.writer.name(buffer)}[i] = {value};")

    def from_level(self, level: int, place: list[str]) -> None:
        """Print the loops from one level inwards; reductions whose targets they do not index are in registers."""
        if level == len(self.sizes):
            self.once(place)
            return
        begun = [s for s in self.cuts if s.scratch and self.strides(s.view).index(0) == level]
        held = [s for s in self.accumulations() if s not in self.sums and not any(self.strides(s.view)[level:])]
        start = self.expand([*place, *[0] * len(self.sizes[level:])])
        self.check_indices(level, start)
        for s in begun:
            self.clear(s, ERRORS, level, place)
        for s in held:
            self.load(s, level, start)
        self.at_level(level, place)
        for s in held:
            self.unload(s, start)
        for s in begun:
            self.finish(s, level, place)

    def at_level(self, level: int, place: list[str]) -> None:
        """Print the loop of one level: plain, interleaved or in blocks, as its sums require."""
        cut = [s for s, at in self.cuts.items() if at == level]
        if self.sums and self.interleaves(level):
            self.interleaved(level, place, cut)
        elif cut:
            self.blocks(level, place, cut)
        elif width := self.tail(level):
            with self.tailed(level, place, width) as end:
                self.loop(level, place, "0", end)
        else:
            with self.stretches(level, self.sizes[level]) as (first, end):
                self.loop(level, place, first, end)

    def loop(self, level: int, place: list[str], first: str, end: str) -> None:
        """Print the loop over the indices of one level from first to end."""
        i, is_last = f"i{level}", level == len(self.sizes) - 1
        if is_last and (count := self.stage_size()):
            first = self.stages(place, first, end, count)
        if is_last and (not self.nest.sequential or self.writes_rows()):
            self.writer.put("VECTORISE")
        self.writer.open(f"for (i64 {i} = {first}; {i} < {end}; ++{i})")
        self.from_level(level + 1, [*place, i])
        if not is_last and self.reduces(level) and self.is_irregular():
            self.writer.put("KEEP_SCALAR")
        self.writer.close()

    def stages(self, place: list[str], first: str, end: str, count: int) -> str:
        """Print a loop over the last level that runs `count` indices per iteration; return the first index after it."""
        j = self.writer.fresh("j")
        self.writer.put(f"i64 {j} = {first};")
        self.writer.open(f"for (; {j} + {count} <= {end}; {j} += {count})")
        self.staged(place, j, count)
        self.writer.close()
        return j

    def writes_rows(self) -> bool:
        """Tell whether every scatter writes different elements at all indices of the last level."""
        scatters = [part for part in self.nest.body if isinstance(part, Scatter)]
        axis, last = self.groups[-1][-1], len(self.groups)
        places = [[*zip(part.indices, part.view.strides, strict=True)] for part in scatters]
        return all(
            any(x == Index(axis) and stride for x, stride in place)
            and all(self.depth(x) < last or isinstance(x, Index) for x, _ in place)
            for place in places
        )

    def reduces(self, level: int) -> bool:
        """Tell whether a reduction runs over a level and all levels inside it."""
        return any(not any(self.strides(s.view)[level:]) for s in self.accumulations())

    def is_irregular(self) -> bool:
        """Tell whether the last level reads elements with a negative stride or at computed indices.

        gcc 12 may vectorise an outer loop around it, and then reads the wrong elements.
        """
        read = [value for part in self.nest.body for value in (part, *operands(part))]
        return any(isinstance(x, Gather) or (isinstance(x, View) and self.strides(x)[-1] < 0) for x in read)

    def interleaved(self, level: int, place: list[str], cut: list[Accumulate]) -> None:
        """Print a long inner reduction of scalars as several interleaved ones, which the C compiler vectorises."""
        size, rest = self.sizes[level], self.sizes[level] % self.ways
        names = {s: self.writer.fresh("w") for s in self.sums}
        plain = [s for s in names if s not in cut]
        for s in plain:
            self.partial(s, names[s])
        vectors = self.vectors(cut)
        if width := self.tail(level):
            with self.positions(names), self.tailed(level, place, width) as end:
                self.steps(level, place, names, "0", end)
        elif cut:
            self.steps_in_blocks(level, place, names, vectors)
        else:
            with self.stretches(level, size - rest, self.ways) as (first, end):
                self.steps(level, place, names, first, end)
            self.last_step(level, place, names)
        for s in plain:
            self.halve(s, names[s])
            self.writer.put(f"{self.sums[s]} = {self.combine(s, self.sums[s], f'{names[s]}[0]')};")
        for s in cut:
            self.fold(s, [vector[1:] for vector in vectors if vector[0] is s])

    def steps(self, level: int, place: list[str], names: dict[Accumulate, str], first: str, end: str) -> None:
        """Print a loop over the last level that runs several indices per iteration."""
        self.writer.open(f"for (i64 j = {first}; j < {end}; j += {self.ways})")
        self.at_once(level, place, names, "j")
        self.writer.close()

    def last_step(self, level: int, place: list[str], names: dict[Accumulate, str]) -> None:
        """Print the last indices at the last positions of one more step; its other ones do not count, or do not run."""
        size, rest = self.sizes[level], self.sizes[level] % self.ways
        if rest and self.only_reduces():
            self.skipped = self.ways - rest
            self.at_once(level, place, names, str(size - self.ways))
            self.skipped = 0
        elif rest:
            with self.positions(names), self.elements(self.ways - rest, self.ways):
                self.writer.put(f"const i64 i{level} = {size - self.ways} + w;")
                self.once([*place, f"i{level}"])

    def only_reduces(self) -> bool:
        """Tell whether the nest may run twice at an index: it writes nothing, and its reductions are in registers."""
        return all(isinstance(part, Node) or part in self.sums for part in self.nest.body)

    def at_once(self, level: int, place: list[str], names: dict[Accumulate, str], first: str) -> None:
        """Print one step of an interleaved reduction."""
        with self.positions(names):
            if self.stage_size():
                self.staged(place, first, self.ways)
            else:
                with self.elements(0, self.ways, self.unroll()):
                    self.writer.put(f"const i64 i{level} = {first} + w;")
                    self.once([*place, f"i{level}"])

    @contextmanager
    def positions(self, names: dict[Accumulate, str]) -> Iterator[None]:
        """Reduce into position w of interleaved reductions."""
        totals = dict(self.sums)
        self.sums.update({s: f"{name}[w]" for s, name in names.items()})
        yield
        self.sums.update(totals)

    # Long sums

    def steps_in_blocks(self, level: int, place: list[str], names: dict[Accumulate, str], vectors: Vectors) -> None:
        """Print interleaved sums in blocks; the last indices are a block of their own."""
        size, rest = self.sizes[level], self.sizes[level] % self.ways
        with self.block(level, size - rest, BLOCK * self.ways) as (first, end), self.totals(names, vectors):
            self.steps(level, place, names, first, end)
        if rest:
            self.writer.open("")
            with self.totals(names, vectors):
                self.last_step(level, place, names)
            self.writer.close()

    @contextmanager
    def totals(self, names: dict[Accumulate, str], vectors: Vectors) -> Iterator[None]:
        """Declare the sums of a block, and add them to the totals at its end, vector by vector."""
        for s in dict.fromkeys(vector[0] for vector in vectors):
            self.partial(s, names[s])
        yield
        for s, total, error, at in vectors:
            block = f"*(const {self.vector(s)} *)&{names[s]}[{at}]"
            self.writer.put(f"{total} = {self.writer.call('compensate', self.vector(s), total, block, f'&{error}')};")

    def blocks(self, level: int, place: list[str], cut: list[Accumulate]) -> None:
        """Print the loop of one level in blocks; the sums of each block are added to the totals at its end."""
        held, outside = ([s for s in cut if (s in self.sums) == here] for here in (True, False))
        for s in outside:
            self.clear(s, SUMS, level, place)
            self.in_scratch.add(s)
        length = max(1, BLOCK // max(self.chain(s, level + 1) for s in cut))
        with self.block(level, self.sizes[level], length) as (first, end):
            with self.registers(held):
                self.loop(level, place, first, end)
            for s in outside:
                self.join(s, level, place)
        self.in_scratch.difference_update(outside)

    @contextmanager
    def block(self, level: int, size: int, length: int) -> Iterator[tuple[str, str]]:
        """Print a loop over blocks of the indices of one level; yield the first index and the end of a block."""
        first = f"b{level}"
        end = f"{first} + {length}"
        self.writer.open(f"for (i64 {first} = 0; {first} < {size}; {first} += {length})")
        # the bounds have to be constants: gcc then unrolls the block and keeps its sums in registers
        if level == self.polls[0]:
            self.writer.stop(f"{first} % {length * max(1, self.polls[1] // length)} == 0 && ")
        yield first, f"({end} < {size} ? {end} : {size})"
        self.writer.close()
