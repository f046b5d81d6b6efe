"""Matrix products in C: written out if tiny, else in tiles whose sums stay in registers."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from funcnet.compiler.native import blas
from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c import blocks
from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.contract import Contract, Method

_SIDE = 512  # rows and columns of a part of a product for which BLAS is nearly as fast as for the whole
_STRIP = 16  # elements of each column that are packed together, at least a cache line
COLUMN, TILE, WIDE = 32, 128, 256  # most terms of a sum without blocks: of single elements, tiles, vectors


def contract(writer: Writer, product: Contract) -> None:
    """Print one product, inside loops over its batch axes."""
    *batch, rows, columns = product.out.shape
    if product.multiplications <= writer.target.tiny_product:
        for indices in itertools.product(*(range(size) for size in batch)):
            _unrolled(writer, product, list(indices), rows, columns)
        return
    for axis, size in enumerate(batch):
        writer.open(f"for (i64 b{axis} = 0; b{axis} < {size}; ++b{axis})")
    place = [f"b{axis}" for axis in range(len(batch))]
    ways = {Method.TILES: _tiled, Method.WIDE: _wide, Method.PANELS: _wide, Method.BLAS: _blas}
    ways[product.method](writer, product, place, rows, columns)
    for _ in batch:
        writer.close()


def _poll(writer: Writer, product: Contract) -> None:
    """Read the stop flag once per row of tiles if the product takes long."""
    if product.multiplications > writer.target.poll * writer.target.product_speed // 4:
        writer.stop()


def _unrolled(writer: Writer, product: Contract, batch: Sequence[str | int], rows: int, columns: int) -> None:
    for i, j in itertools.product(range(rows), range(columns)):
        kind = writer.type(product.out)
        total = writer.fresh("s")
        writer.put(f"{kind} {total} = {_zero(writer, product)};")
        for k in itertools.product(*map(range, product.inner)):
            a, b = (
                _read(writer, product, product.left, [*batch, i, *k]),
                _read(writer, product, product.right, [*batch, *k, j]),
            )
            step = (
                f"{a} * {b}" if math.prod(product.inner) == 1 else writer.call("fma", kind, a, b, total)
            )  # starts at 0, so that a sum of terms -0 is 0
            writer.put(f"{total} = {step};")
        writer.store(product.out, [*batch, i, j], total)


def _read(writer: Writer, product: Contract, view: View, place: Sequence[str | int]) -> str:
    text = writer.load(view, place)
    return writer.splat(text, view.dtype) if product.out.varying and not view.varying else text


def _zero(writer: Writer, product: Contract) -> str:
    return writer.splat("0", product.out.dtype) if product.out.varying else "0"


def _tile_size(rows: int, columns: int, registers: int) -> tuple[int, int]:
    """Choose rows and columns of a tile that fits the registers, by the loads and multiplications of all tiles."""

    def cost(tile: tuple[int, int]) -> int:
        parts = itertools.product(*map(_parts, (rows, columns), tile))
        return sum((i1 - i0) // m * ((j1 - j0) // n) * (m + n + m * n) for (i0, i1, m), (j0, j1, n) in parts)

    tiles = [
        (m, n) for m in range(1, 9) for n in range(1, 9) if m <= rows and n <= columns and m * n + n + 1 <= registers
    ]
    return min(tiles, key=cost)


def _parts(size: int, step: int) -> list[tuple[int, int, int]]:
    """Split a range into full steps and a remainder: (first, end, step)."""
    full = size - size % step
    return [(0, full, step)] * (full > 0) + [(full, size, size - full)] * (full < size)


def _tiled(writer: Writer, product: Contract, batch: Sequence[str | int], rows: int, columns: int) -> None:
    """Print a product in tiles of elements, smaller ones at the edges."""
    target = writer.target
    registers = target.vector_registers if product.out.varying else target.scalar_registers
    tall, wide = _tile_size(rows, columns, registers)
    for height, width in itertools.product(_parts(rows, tall), _parts(columns, wide)):
        _tiles(writer, product, batch, height, width)


def _tiles(
    writer: Writer,
    product: Contract,
    batch: Sequence[str | int],
    rows: tuple[int, int, int],
    columns: tuple[int, int, int],
) -> None:
    """Print all tiles of one size."""
    kind, m, n = writer.type(product.out), rows[2], columns[2]
    writer.open(f"for (i64 i = {rows[0]}; i < {rows[1]}; i += {m})")
    _poll(writer, product)
    writer.open(f"for (i64 j = {columns[0]}; j < {columns[1]}; j += {n})")
    sums = [[f"s{r}_{c}" for c in range(n)] for r in range(m)]
    most, ks = TILE if product.out.shape[-1] > 1 else COLUMN, blocks.indices(product.inner)
    with blocks.summed(writer, kind, sums, _zero(writer, product), product.inner, most) as totals:
        for c in range(n):
            writer.put(f"const {kind} r{c} = {_read(writer, product, product.right, [*batch, *ks, f'(j + {c})'])};")
        for r in range(m):
            writer.put(f"const {kind} a{r} = {_read(writer, product, product.left, [*batch, f'(i + {r})', *ks])};")
            for c in range(n):
                writer.put(f"{sums[r][c]} = {writer.call('fma', kind, f'a{r}', f'r{c}', sums[r][c])};")
    for r, c in itertools.product(range(m), range(n)):
        writer.store(product.out, [*batch, f"(i + {r})", f"(j + {c})"], totals[r][c])
    writer.close()
    writer.close()


def _blas(writer: Writer, product: Contract, batch: Sequence[str | int], rows: int, columns: int) -> None:
    """Print a call of torch's BLAS, whose matrices are column-major: it computes out^T = right^T left^T.

    It runs in the caller's floating-point mode, because its threads outlive the call and keep the mode they start in.
    """
    scalar, (inner,) = writer.type(product.out), product.inner
    writer.used.add(("gemm", scalar))
    writer.open("")
    names = []
    for name, view in (("b", product.right), ("a", product.left)):
        found = blas.layout(view)
        assert found is not None
        writer.put(f"const int ld{name} = {found[1]};")
        names.append(found[0])
    writer.put(f"const {scalar} one = 1, zero = 0;")
    with _calls(writer, rows, columns, inner, product.out.dtype.itemsize) as (i, j, m, n):
        out, left, right = (
            writer.load(view, [*batch, *at])
            for view, at in ((product.out, (i, j)), (product.left, (i, 0)), (product.right, (0, j)))
        )
        writer.put(f"const int m = {m}, n = {n}, k = {inner}, ldc = {max(product.out.strides[-2], columns)};")
        writer.put("set_mode(mode_);")
        writer.put(
            f'gemm_{scalar}("{names[0]}", "{names[1]}", &n, &m, &k, &one, &{right}, &ldb, &{left}, &lda, &zero, '
            f"&{out}, &ldc);"
        )
        writer.put("set_mode(mode_ | FLUSHED);")
    writer.close()


@contextmanager
def _calls(
    writer: Writer, rows: int, columns: int, inner: int, size: int
) -> Iterator[tuple[str | int, str | int, str | int, str | int]]:
    """The calls of one product, which cannot be stopped: yields the first row and column of each, and how many."""
    most = writer.target.poll_product // (inner * size)
    if rows * columns <= most:
        yield 0, 0, rows, columns
        return
    height = _part(rows, most // min(math.isqrt(most), columns))
    width = _part(columns, most // height)
    with writer.stretches("0", rows, height) as (i, end), writer.stretches("0", columns, width) as (j, stop):
        yield i, j, f"{end} - {i}", f"{stop} - {j}"


def _part(size: int, most: int) -> int:
    """Cut a range into equal parts of some vectors each, and not too short for BLAS."""
    parts = -(-size // max(_SIDE, most))
    return -(-size // (64 * parts)) * 64


def _wide(writer: Writer, product: Contract, batch: Sequence[str | int], rows: int, columns: int) -> None:
    """Print a product of shared matrices by vectors of neighbouring columns.

    The last vector of a row overlaps the one before it unless it fits; of a vector wider than the row, a part is used.
    """
    width = writer.target.width(columns, product.out.dtype)
    vectors = -(-columns // width)
    tall, wide = _tile_size(rows, vectors, writer.target.vector_registers)
    for j0, j1, n in _cut(_parts(vectors, wide), columns % width > 0):
        start, left = j0 * width, columns - j0 * width  # columns from here on
        if left < width <= columns:  # a vector alone in its tile overlaps the tile before it
            start, left = columns - width, width
        at = [min(c * width, max(left - width, 0)) for c in range(n)]
        writer.open(f"for (i64 j = {start}; j < {start + (j1 - j0) * width}; j += {n * width})")
        panel = None if product.panel is None else _packed(writer, product, batch, n * width, min(n * width, left))
        for part in _parts(rows, tall):
            _vectors(writer, replace(product, right=panel or product.right), batch, part, at, width)
        writer.close()


def _cut(parts: list[tuple[int, int, int]], ragged: bool) -> Iterator[tuple[int, int, int]]:
    """Yield the parts of a range; the last step is a part of its own if its vectors overlap."""
    for first, end, step in parts:
        alone = ragged and end == parts[-1][1] and end - first > step
        yield first, end - step if alone else end, step
        if alone:
            yield end - step, end, step


def _packed(writer: Writer, product: Contract, batch: Sequence[str | int], size: int, used: int) -> View:
    """Print a copy of `size` columns of right to contiguous memory, which stays in the cache for all rows of left."""
    assert product.panel is not None
    (inner,) = product.inner
    panel, right = replace(product.panel, shape=(inner, size), strides=(size, 1)), product.right
    scalar = writer.type(panel)
    writer.open("")
    to, source = writer.name(panel.buffer), writer.name(right.buffer)
    writer.put(f"{scalar} *restrict to = {to}; const {scalar} *restrict from = {source};")
    element = writer.address(right, [*batch, "k", "(j + c)"])
    copy = f"to[{writer.address(panel, ['k', 'c'])}] = from[{element}];"
    along = f"for (i64 c = 0; c < {used}; ++c)"
    if right.strides[-1] == 1:
        writer.put(f"for (i64 k = 0; k < {inner}; ++k) {along} {copy}")
    else:  # whole cache lines of each column
        writer.open(f"for (i64 b = 0; b < {inner}; b += {_STRIP})")
        writer.put(f"const i64 end = b + {_STRIP} < {inner} ? b + {_STRIP} : {inner};")
        writer.put(f"{along} for (i64 k = b; k < end; ++k) {copy}")
        writer.close()
    writer.close()
    return panel


def _vectors(
    writer: Writer,
    product: Contract,
    batch: Sequence[str | int],
    rows: tuple[int, int, int],
    at: Sequence[int],
    width: int,
) -> None:
    """Print the tiles of one height in a column of tiles, whose vectors begin at some columns of it."""
    out, left, right = product.out, product.left, product.right
    scalar, m, packed = writer.type(out), rows[2], product.panel is not None
    kind = f"w{width}{scalar}"
    writer.open(f"for (i64 i = {rows[0]}; i < {rows[1]}; i += {m})")
    _poll(writer, product)
    sums = [[f"s{r}_{c}" for c in range(len(at))] for r in range(m)]
    ks = blocks.indices(product.inner)
    with blocks.summed(writer, kind, sums, "{0}", product.inner, WIDE) as totals:
        for c, first in enumerate(at):
            place: Sequence[str | int] = [*ks, first] if packed else [*batch, *ks, f"(j + {first})"]
            writer.put(f"const {kind} r{c} = *(const {kind} *)&{writer.load(right, place)};")
        for r in range(m):
            writer.put(f"{kind} a{r} = {writer.load(left, [*batch, f'(i + {r})', *ks])} - ({kind}){{0}};")
            writer.put(f"IN_REGISTER(a{r})")
            for c in range(len(at)):
                writer.put(f"s{r}_{c} = {writer.call('fma', kind, f'a{r}', f'r{c}', f's{r}_{c}')};")
    for r, (c, first) in itertools.product(range(m), enumerate(at)):
        to = writer.load(out, [*batch, f"(i + {r})", f"(j + {first})"])
        if out.shape[-1] >= width:
            writer.put(f"*({kind} *)&{to} = {totals[r][c]};")
        else:  # gcc would keep the sum in memory, if it could see that a part of it is copied
            writer.put(f'{kind} c{r} = {totals[r][c]}; __asm__("" : "+m"(c{r}));')
            writer.put(f"__builtin_memcpy(&{to}, &c{r}, {out.shape[-1]} * sizeof({scalar}));")
    writer.close()


def parse(kind: str) -> tuple[int, str]:
    """Return the length and the element type of a vector type: w16f32 -> (16, f32)."""
    ((width, scalar),) = re.findall(r"^w(\d+)(\w+)$", kind)
    return int(width), scalar
