"""The elements of rows beyond their full vectors, in C.

A C compiler computes most of them one by one, which takes longer than all others in a row of 31 elements. Here one more
vector, which overlaps the last full one, contains them. It is computed before the full ones, because these may
overwrite what it reads, and is stored after them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from funcnet.compiler.native.buffers import HALVES
from funcnet.compiler.native.c.primitives import PRIMITIVES, Kind
from funcnet.compiler.native.c.sums import Sums, price
from funcnet.compiler.native.c.writer import Place, Writer
from funcnet.compiler.native.loop_ir import Accumulate, Gather, Nest, Node, Part, Scatter, Store, operands
from funcnet.compiler.native.strips import is_elementwise

_CHEAPEST = 16  # arithmetic operations of a body
_LONGEST = 512  # elements of a row whose remainder matters
_LEAST = 4  # elements of a vector that beats single elements
_INSTRUCTIONS = ("sqrt", "floor", "ceil", "trunc", "round")  # functions of the C library that vectors have


class Tails(Sums):
    """The body of a nest, and the remainders of its rows."""

    def __init__(self, writer: Writer, nest: Nest):
        super().__init__(writer, nest)
        self.arrays: dict[Store | Accumulate, str] = {}  # the results of parts, in the vector that overlaps
        pays = not nest.sequential and sum(map(price, nest.body)) >= _CHEAPEST
        self.overlaps = pays and is_elementwise(nest) and all(map(_is_vectorised, nest.body))

    def tail(self, level: int) -> int:
        """Return the length of the vector that overlaps the last full one of a row; 0 if there is none."""
        size, is_last = self.sizes[level], level == len(self.sizes) - 1
        if not (is_last and self.overlaps) or size > _LONGEST:
            return 0
        if self.lanes_vary() or self.sums.keys() & self.cuts.keys():
            return 0
        width = min(self.writer.target.vector // self.widest(), 1 << (size.bit_length() - 1))
        if self.sums and self.interleaves(level):
            width = self.ways
        return width if width >= _LEAST and size % width else 0

    @contextmanager
    def tailed(self, level: int, place: list[str], width: int) -> Iterator[str]:
        """Compute the last vector of a row before a loop over the others, and store it after; yield the loop's end."""
        size = self.sizes[level]
        self.arrays = {part: self.writer.fresh("o") for part in self.nest.body if isinstance(part, Store | Accumulate)}
        for part, name in self.arrays.items():
            self.writer.array(self.writer.type(part.view), name, width)
        with self.elements(0, width):
            self.writer.put(f"const i64 i{level} = {size - width} + w;")
            self.once([*place, f"i{level}"])
        arrays, self.arrays = self.arrays, {}
        yield str(size - size % width)
        at = self.expand([*place, f"({size - width} + w)"])
        for part, name in arrays.items():
            self.store_tail(part, at, f"{name}[w]", width, size % width)

    def store_tail(self, part: Store | Accumulate, at: Place, text: str, width: int, rest: int) -> None:
        """Store a vector that overlaps, or add the terms in it that are in no full vector."""
        if isinstance(part, Store):
            with self.elements(0, width):
                self.write(part, at, text)
        elif part in self.sums:
            self.writer.open(f"for (int w = {width - rest}; w < {width}; ++w)")
            self.writer.put(f"{self.sums[part]} = {self.combine(part, self.sums[part], text)};")
            self.writer.close()
        else:
            for first, end in _pieces(width - rest, width):
                with self.elements(first, end):
                    self.write(part, at, self.combine(part, self.writer.load(self.target(part), at), text))

    @contextmanager
    def elements(self, first: int, end: int, unroll: int = 1) -> Iterator[None]:
        """Print a loop over elements of one vector, or of some that are written out."""
        self.writer.put("VECTORISE")
        self.writer.put(f"UNROLL({unroll})")
        self.writer.open(f"for (int w = {first}; w < {end}; ++w)")
        yield
        self.writer.close()

    def write(self, part: Store | Accumulate, place: Place, text: str) -> None:
        """Print a store, to memory or to the array of a vector that is stored later."""
        if part in self.arrays:
            self.writer.put(f"{self.arrays[part]}[w] = {text};")
        else:
            super().write(part, place, text)

    def accumulate(self, part: Accumulate, place: Place) -> None:
        """Print one step of a reduction, or the store of a term that is added later."""
        if part in self.arrays:
            self.write(part, place, self.read(part.value, place))
        else:
            super().accumulate(part, place)


def _pieces(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a range into pieces whose lengths are powers of two, each a vector."""
    while first < end:
        length = 1 << ((end - first).bit_length() - 1)
        yield first, first + length
        first += length


def _is_vectorised(part: Part) -> bool:
    """Tell whether C compilers use vectors for a part of a body."""
    if isinstance(part, Gather | Scatter) or any(x.dtype in HALVES for x in operands(part)):
        return False
    if not isinstance(part, Node) or part.op not in PRIMITIVES:
        return True
    row, is_float = PRIMITIVES[part.op], part.dtype.is_floating_point
    if row.kind is Kind.LIBM:
        return part.op in _INSTRUCTIONS
    return is_float or not row.by_lane
