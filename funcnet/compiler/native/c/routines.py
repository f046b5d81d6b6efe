"""Factorisations and triangular systems in C: loops over the matrices of a batch around a call."""

import math

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.lapack import lapack
from funcnet.compiler.native.c.writer import NAMES, Place, Writer
from funcnet.compiler.native.cost import operations
from funcnet.compiler.native.routines import Routine

_VECTOR = 64  # bytes of the vectors for one right-hand side on every machine, as they fix the rounding of its sums
_SMALL = 4  # rows and columns of a matrix for which vectors of neighbouring elements do not pay


def routine(writer: Writer, r: Routine) -> None:
    """Print the call of a routine for each matrix of a batch."""
    if not math.prod(r.matrix.shape) and not r.results:
        return
    batch = r.matrix.shape[:-2]
    for axis, size in enumerate(batch):
        writer.open(f"for (i64 b{axis} = 0; b{axis} < {size}; ++b{axis})")
    if operations(r, writer.target) > writer.target.poll_between:
        writer.stop()
    place = [f"b{axis}" for axis in range(len(batch))]
    if r.is_by_lane:
        lapack(writer, r, place)
    else:
        writer.put(f"{_PRINTERS[r.name](writer, r, place)};")
    for _ in batch:
        writer.close()


def _kind(writer: Writer, matrix: View) -> str:
    """Return the type with which a routine computes: of lanes, scalars, or neighbouring elements."""
    if matrix.varying or min(matrix.shape[-2:]) <= 1 or matrix.shape[-2] <= _SMALL:
        return writer.type(matrix)
    return f"w{writer.target.width(matrix.shape[-1], matrix.dtype)}{NAMES[matrix.dtype]}"


def _pointer(writer: Writer, view: View, batch: Place) -> str:
    """Return the address of the first element of a matrix of a batch."""
    place = [*batch, *(0 for _ in view.shape[len(batch) :])]
    return f"{writer.name(view.buffer)} + {writer.address(view, place)}"


def _factor(writer: Writer, r: Routine, place: Place) -> str:
    rows, columns = r.matrix.shape[-2:]
    kind = _kind(writer, r.matrix)
    sizes = (rows, columns) if r.name == "lu" else (rows,)
    results = [_pointer(writer, view, place) for view in r.results]
    stop = ["control"] * (kind[0] == "w")
    return writer.call(
        r.name, kind, _pointer(writer, r.matrix, place), *map(str, (*sizes, r.matrix.strides[-2])), *results, *stop
    )


def _solve(writer: Writer, r: Routine, place: Place) -> str:
    (rows, columns), (triangle,) = r.matrix.shape[-2:], r.operands
    kind, flags = _kind(writer, r.matrix), [*map(int, r.options)]
    pointers, strides = (_pointer(writer, v, place) for v in (r.matrix, triangle)), triangle.strides[-2:]
    x, t = pointers
    if r.matrix.varying:
        name = "solve" if triangle.varying else "solve_shared"
    else:
        name = "solve_one" if columns == 1 and rows > _SMALL else "solve"
    if name == "solve_one":
        width = min(_VECTOR // r.matrix.dtype.itemsize, 1 << (rows - 1).bit_length())
        kind = f"w{width}{NAMES[r.matrix.dtype]}"
        return writer.call(name, kind, x, str(rows), t, *map(str, (*strides, *flags)))
    sizes, stop = (rows, columns, r.matrix.strides[-2]), ["control"] * (kind[0] == "w")
    return writer.call(name, kind, x, *map(str, sizes), t, *map(str, (*strides, *flags)), *stop)


def _permute(writer: Writer, r: Routine, place: Place) -> str:
    (pivots,), sizes = r.operands, (*r.matrix.shape[-2:], r.matrix.strides[-2])
    matrix, order = (_pointer(writer, view, place) for view in (r.matrix, pivots))
    options = (pivots.shape[-1], *map(int, r.options))
    return writer.call("permute", writer.type(r.matrix), matrix, *map(str, sizes), order, *map(str, options))


_PRINTERS = {"cholesky": _factor, "lu": _factor, "solve": _solve, "permute": _permute}
