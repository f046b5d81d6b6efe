"""Calls of LAPACK and others in C: for one matrix, or for that of each lane, which is copied before and after."""

import math
from collections.abc import Iterable

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.writer import NAMES, Place, Writer
from funcnet.compiler.native.loop_ir import Const
from funcnet.compiler.native.routines import Routine


def lapack(writer: Writer, r: Routine, place: Place) -> None:
    """Print the call for one matrix of a batch."""
    views = (r.matrix, *r.results, *r.operands)
    arrays = [f"{writer.name(view.buffer)} + {_address(writer, view, place)}" for view in views]
    if not r.matrix.varying:
        writer.put(_call(writer, r, arrays))
        return
    copies = [writer.name(copy.buffer) for copy in r.copies]
    pairs = [*zip(views, arrays, copies, strict=True)]
    writer.open("for (int l = 0; l < L; ++l)")
    for view, array, copy in (pairs[0], *pairs[1 + len(r.results) :]):
        writer.put(f"for (i64 e = 0; e < {_size(view, place)}; ++e) {copy}[e] = ({array})[e][l];")
    writer.put(_call(writer, r, copies))
    for view, array, copy in pairs[: 1 + len(r.results)]:
        writer.put(f"for (i64 e = 0; e < {_size(view, place)}; ++e) ({array})[e][l] = {copy}[e];")
    writer.close()


def _address(writer: Writer, view: View, place: Place) -> str:
    """Return the index of the first element of a matrix of a batch."""
    return writer.address(view, [*place, *(0 for _ in view.shape[len(place) :])])


def _size(view: View, place: Place) -> int:
    return math.prod(view.shape[len(place) :])


def _call(writer: Writer, r: Routine, arrays: Iterable[str]) -> str:
    """Return the call of the routine's C function on arrays of scalars."""
    dtype, work = r.matrix.dtype, [writer.name(view.buffer) for view in r.work]
    numbers = [writer.constant(Const(number, dtype)) for number in r.numbers]
    arguments = _ARGUMENTS[r.name](r, [*arrays], [*work, *numbers])
    return f"{writer.call(r.name, NAMES[dtype], *map(str, arguments))};"


def _eigh(r: Routine, arrays: list[str], work: list[str]) -> list[str | int]:
    (a, values, info), (floats, integers), (size, count) = arrays, work, (view.shape[0] for view in r.work)
    has_vectors, upper = r.options
    letters = [f'"{"V" if has_vectors else "N"}"', f'"{"U" if upper else "L"}"']
    return [a, r.matrix.shape[-1], values, info, floats, size, integers, count, *letters]


def _svd(r: Routine, arrays: list[str], work: list[str]) -> list[str | int]:
    (a, values, info, *vectors), (floats, integers), (n, m) = arrays, work, r.matrix.shape[-2:]
    sizes = [(view.shape[-2] * view.shape[-1], view.shape[-1]) for view in r.results[2:]]
    (u, v), ((us, _), (vs, rows)) = (vectors, sizes) if vectors else ((a, a), ((0, 1), (0, 1)))
    job = "N" if not vectors else "A" if r.options[0] else "S"
    return [a, m, n, values, info, u, us, v, vs, rows, floats, r.work[0].shape[0], integers, f'"{job}"']


def _reflect(r: Routine, arrays: list[str], work: list[str]) -> list[str | int]:
    (a, tau), (n, m) = arrays, r.matrix.shape[-2:]
    return [a, m, n, tau, *work, r.work[0].shape[0]]


def _multiply_reflectors(r: Routine, arrays: list[str], work: list[str]) -> list[str | int]:
    (a, tau), (n, m), count = arrays, r.matrix.shape[-2:], r.operands[0].shape[-1]
    return [a, m, n, count, tau, *work, r.work[0].shape[0]]


def _solve_least(r: Routine, arrays: list[str], work: list[str]) -> list[str | int]:
    (b, rank, a), (floats, integers, bound), (n, m) = arrays, work, r.operands[0].shape[-2:]
    k, rows = r.matrix.shape[-2:]
    return [a, m, n, b, k, rows, rank, bound, floats, r.work[0].shape[0], integers]


def _matrix_exp(r: Routine, arrays: list[str], work: list[str]) -> list[str | int]:
    return [arrays[0], r.matrix.shape[-1], *work]


_ARGUMENTS = {
    "eigh": _eigh,
    "svd": _svd,
    "reflect": _reflect,
    "multiply_reflectors": _multiply_reflectors,
    "solve_least": _solve_least,
    "matrix_exp": _matrix_exp,
}
