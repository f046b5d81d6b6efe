"""Fourier transforms in C: passes over blocks of columns, as many as a vector holds; see `complex_numbers.radices`."""

import math

from funcnet.compiler.complex_numbers.radices import columns_at_once, divided, radices
from funcnet.compiler.native.c.writer import NAMES, Writer
from funcnet.compiler.native.cost import operations
from funcnet.compiler.native.routines import Routine


def fourier(writer: Writer, r: Routine) -> None:
    """Print the transforms of a batch of arrays: of one axis, or of the columns of matrices."""
    batch, _, n, columns = r.matrix.shape
    if not math.prod(r.matrix.shape):
        return
    writer.open("")
    for name, view in zip(("x", "work", "middle"), (r.matrix, *r.work), strict=False):
        writer.put(f"{writer.type(view)} *const {name} = {writer.name(view.buffer)} + {view.offset};")
    printer, p, q = _Printer(writer, r), *(divided(n) if columns == 1 else (n, 1))
    for size in sorted({p, q} - {1}):
        printer.table(f"w{size}", 1, size)
    if q > 1:
        printer.table("turns", p, q)
    writer.open(f"for (i64 b = 0; b < {batch}; ++b)")
    if operations(r, writer.target) > writer.target.poll_between:
        writer.stop()
    parts = [f"x + b * {2 * n * columns} + {i * n * columns}" for i in (0, 1)]
    middle = [f"middle + {i * n}" for i in (0, 1)]
    if q > 1:
        printer.transform(parts, middle, p, q, turned=True)
        printer.transform(middle, parts, q, p, transposed=True)
    else:
        printer.transform(parts, parts, n, columns)
    writer.close()
    writer.close()


class _Printer:
    """Prints the passes of transforms.

    Attributes:
        kind: The type of an element: a scalar, or a vector of lanes or of neighbouring elements.
        width: How many columns it holds.
    """

    def __init__(self, writer: Writer, r: Routine) -> None:
        self.writer, self.scalar = writer, NAMES[r.matrix.dtype]
        *_, n, columns = r.matrix.shape
        self.kind, self.width = writer.type(r.matrix), 1
        if not r.matrix.varying:
            self.width = columns_at_once(n, columns, writer.target.vector // r.matrix.dtype.itemsize)
        if self.width > 1:
            self.kind = f"w{self.width}{self.scalar}"
        self.length = r.work[0].shape[0] // (4 * self.width)

    def table(self, name: str, rows: int, columns: int) -> None:
        """Print a table of roots, which the first run computes; threads that do at the same time find the same."""
        self.writer.put(f"static {self.scalar} {name}[{2 * rows * columns}];")
        self.writer.put(f"static int has_{name};")
        self.writer.open(f"if (!__atomic_load_n(&has_{name}, __ATOMIC_ACQUIRE))")
        arguments = (name, int(rows == 1), rows, columns, rows * columns)
        self.writer.put(f"{self.writer.call('fourier_roots', self.scalar, *map(str, arguments))};")
        self.writer.put(f"__atomic_store_n(&has_{name}, 1, __ATOMIC_RELEASE);")
        self.writer.close()

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

    def call(self, name: str, *arguments: str | int) -> None:
        """Print a call of a C function on elements."""
        self.writer.put(f"{self.writer.call(name, self.kind, *map(str, arguments))};")
