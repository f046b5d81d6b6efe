"""Fourier transforms in C: passes over blocks of columns, as many as a vector holds; see `complex_numbers.radices`."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from funcnet.compiler.complex_numbers.radices import columns_at_once, divided, padded, radices
from funcnet.compiler.native.c.writer import NAMES, Writer
from funcnet.compiler.native.cost import operations
from funcnet.compiler.native.routines import Routine


def fourier(writer: Writer, r: Routine) -> None:
    """Print the transforms of a batch of arrays: of one axis, or of the columns of matrices."""
    batch, _, n, columns = r.matrix.shape
    if not math.prod(r.matrix.shape):
        return
    writer.open("")
    for name, view in zip(("x", "work", "middle", "longer"), (r.matrix, *r.work), strict=False):
        writer.put(f"{writer.type(view)} *const {name} = {writer.name(view.buffer)} + {view.offset};")
    printer = _Printer(writer, r)
    printer.tables()
    writer.open(f"for (i64 b = 0; b < {batch}; ++b)")
    if operations(r, writer.target) > writer.target.poll_between:
        writer.stop()
    parts = [f"x + b * {2 * n * columns} + {i * n * columns}" for i in (0, 1)]
    if printer.size > n:
        printer.convolve(parts, n)
    else:
        printer.run(parts)
    writer.close()
    writer.close()


class _Printer:
    """Prints the passes of transforms.

    Attributes:
        kind: The type of an element: a scalar, or a vector of lanes or of neighbouring elements.
        width: How many columns it holds.
        size: The length of the transforms.
        rows, columns: The matrix whose columns are transformed and then, if it is an axis, its rows.
        is_axis: Whether the matrix is one.
    """

    def __init__(self, writer: Writer, r: Routine) -> None:
        self.writer, self.scalar = writer, NAMES[r.matrix.dtype]
        *_, self.n, columns = r.matrix.shape
        self.is_axis, self.size = columns == 1, padded(self.n) if columns == 1 else self.n
        self.rows, self.columns = divided(self.size) if self.is_axis else (self.size, columns)
        self.kind, self.width = writer.type(r.matrix), 1
        if not r.matrix.varying:
            self.width = columns_at_once(self.size, columns, writer.target.vector // r.matrix.dtype.itemsize)
        if self.width > 1:
            self.kind = f"w{self.width}{self.scalar}"
        self.length = r.work[0].shape[0] // (4 * self.width)

    def tables(self) -> None:
        """Print the tables, which the first run computes; threads that do at the same time find the same."""
        is_matrix = self.is_axis and self.columns > 1
        for size in sorted({self.rows, self.columns if is_matrix else 1} - {1}):
            with self.table(f"w{size}", 2 * size):
                self.scalars("fourier_roots", f"w{size}", 1, 1, size, size)
        if is_matrix:
            with self.table("turns", 2 * self.size):
                self.scalars("fourier_roots", "turns", 0, self.rows, self.columns, self.size)
        if self.size > self.n:
            with self.table("chirp", 2 * self.n):
                self.scalars("fourier_chirp", "chirp", self.n)
            with self.table("filter", 2 * self.size):
                self.scalars("fourier_filter", "chirp", self.n, "longer", self.size)
                self.run(self.longer)
                self.writer.put(f"for (i64 i = 0; i < {2 * self.size}; ++i) filter[i] = longer[i];")

    @contextmanager
    def table(self, name: str, size: int) -> Iterator[None]:
        """Print a table around the statements that compute it."""
        self.writer.put(f"static {self.scalar} {name}[{size}];")
        self.writer.put(f"static int has_{name};")
        self.writer.open(f"if (!__atomic_load_n(&has_{name}, __ATOMIC_ACQUIRE))")
        yield
        self.writer.put(f"__atomic_store_n(&has_{name}, 1, __ATOMIC_RELEASE);")
        self.writer.close()

    @property
    def longer(self) -> list[str]:
        """Both parts of an axis that is padded."""
        return ["longer", f"longer + {self.size}"]

    def convolve(self, parts: list[str], n: int) -> None:
        """Transform an axis by a convolution, as a product of longer transforms."""
        self.scalars("fourier_times", *parts, "chirp", n, *self.longer, self.size)
        self.run(self.longer)
        self.scalars("fourier_times", *self.longer, "filter", self.size, *self.longer, self.size)
        self.run(self.longer[::-1])  # the inverse
        self.scalars("fourier_times", *self.longer, "chirp", n, *parts, n)

    def run(self, parts: list[str]) -> None:
        """Transform both parts of an axis or of columns, in place."""
        if self.is_axis and self.columns > 1:
            middle = ["middle", f"middle + {self.size}"]
            self.transform(parts, middle, self.rows, self.columns, turned=True)
            self.transform(middle, parts, self.columns, self.rows, transposed=True)
        else:
            self.transform(parts, parts, self.rows, self.columns)

    def transform(
        self, source: list[str], to: list[str], n: int, columns: int, *, turned: bool = False, transposed: bool = False
    ) -> None:
        """Transform the columns of a matrix, or its rows as columns; multiply them by further roots."""
        count, c, start = str(self.width), self.writer.fresh("c"), self.writer.fresh("s")
        self.writer.open(f"for (i64 {start} = 0; {start} < {columns}; {start} += {self.width})")
        first, rest = start, columns - self.width
        if columns % self.width and source == to:
            count = f"({rest} < {start} ? {columns} - {start} : {self.width})"
        elif columns % self.width:  # the last columns, some for the second time
            first = f"{rest} < {start} ? {rest} : {start}"
        self.writer.put(f"const i64 {c} = {first};")
        for part, scratch in zip(source, self.scratch(0), strict=True):
            if transposed and self.width > 1:
                self.transpose(f"{part} + {c} * {n}", scratch, n, count)
            else:
                place, pitch = (f"{part} + {c} * {n}", 1) if transposed else (f"{part} + {c}", columns)
                self.call("fourier_read", place, pitch, n, count, scratch)
        found = self.scratch(self.passes(n))
        if turned:
            self.call("fourier_turns", *found, n, f"turns + {c}", columns, n * columns, count)
        for part, scratch in zip(to, found, strict=True):
            self.call("fourier_write", scratch, n, f"{part} + {c}", columns, count)
        self.writer.close()

    def passes(self, n: int) -> int:
        """Print the passes over elements in scratch, from one half to the other; return the last half."""
        half, product = 0, 1
        for radix in radices(n):
            sizes = (n, product, f"w{n}")
            if radix in (2, 4, 8):
                self.call(f"fourier{radix}", *self.scratch(half), *self.scratch(1 - half), *sizes)
            else:
                self.call("fourier_odd", *self.scratch(half), *self.scratch(1 - half), *sizes, radix)
            half, product = 1 - half, product * radix
        return half

    def scratch(self, half: int) -> list[str]:
        """Return the memory of both parts in one half of the scratch."""
        return [f"({self.kind} *)work + {(2 * half + i) * self.length}" for i in (0, 1)]

    def transpose(self, source: str, to: str, n: int, count: str) -> None:
        """Read rows into columns."""
        bits = f"i{self.scalar[1:]}"
        arguments = (f"(const {bits} *)({source})", n, f"({bits} *)({to})", self.width, n, count)
        self.writer.put(f"{self.writer.call('transpose', f'w{self.width}{bits}', *map(str, arguments))};")

    def scalars(self, name: str, *arguments: str | int) -> None:
        """Print a call of a C function on arrays of scalars."""
        self.writer.put(f"{self.writer.call(name, self.scalar, *map(str, arguments))};")

    def call(self, name: str, *arguments: str | int) -> None:
        """Print a call of a C function on elements."""
        self.writer.put(f"{self.writer.call(name, self.kind, *map(str, arguments))};")
