"""Rules of factorisations and linear systems: copies that routines overwrite.

Cholesky factors are upper triangular in memory, and lower ones are transposed views of them. Systems have the unknowns
on the right: X A = B is Aᵀ Xᵀ = Bᵀ.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.control import STEPS, Failure
from funcnet.compiler.native.loop_ir import Const, Index, Operand
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Emit, Splat, Value
from funcnet.compiler.native.routines import Routine


def _cholesky(lowering: Lowering, x: Value, *, upper: bool = False, **_: object) -> list[Value]:
    a = _copy(lowering, x if upper else transposed(lowering.view(x)), x.shape)
    info = lowering.temporary(x.shape[:-2], x.dtype, a.varying)
    lowering.scope.add(Routine("cholesky", a, (info,)), a, info)
    return [a if upper else transposed(a), _cast(lowering, info, torch.int32)]


def _cholesky_solve(lowering: Lowering, b: Value, factor: Value, upper: bool = False) -> Value:
    return _solved_by_cholesky(lowering, b, lowering.view(factor), upper)


def _cholesky_inverse(lowering: Lowering, factor: Value, upper: bool = False) -> Value:
    identity = lowering.map(factor.shape, lambda emit: emit.cast(_equal(emit, len(factor.shape)), factor.dtype))
    return _solved_by_cholesky(lowering, identity, lowering.view(factor), upper)


def _solved_by_cholesky(lowering: Lowering, b: Value, factor: View, upper: bool) -> View:
    """Solve by the factor and by its transpose."""
    lower = transposed(factor) if upper else factor
    x = _copy(lowering, b, lowering.op.outputs[0].shape, factor)
    _solve(lowering, x, lower)
    _solve(lowering, x, transposed(lower), upper=True)
    return x


def _solve_triangular(
    lowering: Lowering, a: Value, b: Value, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Value:
    triangle, shape = lowering.view(a), lowering.op.outputs[0].shape
    if not left:
        triangle, b, shape = transposed(triangle), transposed(lowering.view(b)), (*shape[:-2], shape[-1], shape[-2])
    x = _copy(lowering, b, shape, triangle)
    _solve(lowering, x, triangle, upper=upper == left, unit=unitriangular)
    return x if left else transposed(x)


def _triangular_solve(
    lowering: Lowering, b: Value, a: Value, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> list[Value]:
    triangle, (shape, other) = lowering.view(a), (var.shape for var in lowering.op.outputs)
    x = _copy(lowering, b, shape, triangle)
    part = transposed(triangle) if transpose else triangle
    _solve(lowering, x, part, upper=upper != transpose, unit=unitriangular)
    return [x, triangle.expand(other)]


def _lu_factor(lowering: Lowering, x: Value, *, pivot: bool = True, **_: object) -> list[Value]:
    if not pivot:
        raise UnsupportedError(f"{lowering.op.target} without pivots: the native backend has no rule for it")
    *batch, rows, columns = x.shape
    a = _copy(lowering, x, x.shape)
    pivots, info = (
        lowering.temporary(shape, x.dtype, a.varying) for shape in ((*batch, min(rows, columns)), (*batch,))
    )
    lowering.scope.add(Routine("lu", a, (pivots, info)), a, pivots, info)
    return [a, *(_cast(lowering, view, torch.int32) for view in (pivots, info))]


def _lu_solve(
    lowering: Lowering, lu: Value, pivots: Value, b: Value, *, left: bool = True, adjoint: bool = False
) -> Value:
    factors, shape = lowering.view(lu), lowering.op.outputs[0].shape
    if not left:
        b, shape = transposed(lowering.view(b)), (*shape[:-2], shape[-1], shape[-2])
    is_varying = factors.varying or lowering.view(pivots).varying
    x = _copy(lowering, b, shape, varying=is_varying)
    if adjoint == left:  # (P L U)ᵀ
        other = transposed(factors)
        _solve(lowering, x, other)
        _solve(lowering, x, other, upper=True, unit=True)
        _permute(lowering, x, pivots, reverse=True)
    else:
        _permute(lowering, x, pivots, reverse=False)
        _solve(lowering, x, factors, unit=True)
        _solve(lowering, x, factors, upper=True)
    return x if left else transposed(x)


def _lu_unpack(
    lowering: Lowering, lu: Value, pivots: Value, unpack_data: bool = True, unpack_pivots: bool = True
) -> list[Value]:
    order, lower, upper = (var.shape for var in lowering.op.outputs)
    rank, (*_, rows, columns) = len(lu.shape), lu.shape
    results: list[Value] = [Splat(Const(0, lu.dtype), shape) for shape in (order, lower, upper)]
    if unpack_pivots:
        identity = lowering.map(order, lambda emit: emit.cast(_equal(emit, rank), lu.dtype))
        matrix = _copy(lowering, identity, order, varying=lowering.view(pivots).varying)
        _permute(lowering, matrix, pivots, reverse=True)
        results[0] = matrix
    if unpack_data:
        view, size = lowering.view(lu), min(rows, columns)

        def of_lower(emit: Emit, x: Operand) -> Operand:
            strict = emit("where", emit("gt", Index(rank - 2), Index(rank - 1)), x, 0)
            return emit("where", _equal(emit, rank), 1, strict, dtype=x.dtype)

        def of_upper(emit: Emit, x: Operand) -> Operand:
            return emit("where", emit("le", Index(rank - 2), Index(rank - 1)), x, 0)

        results[1:] = [
            lowering.map(lower, of_lower, replace(view, shape=(*view.shape[:-1], size))),
            lowering.map(upper, of_upper, replace(view, shape=(*view.shape[:-2], size, columns))),
        ]
    return results


def check_errors(lowering: Lowering, info: Value, name: str, *, is_matrix: bool) -> list[Value]:
    """Raise after the run if a factorisation failed."""
    failure, shape = Failure(name, info.shape), info.shape
    if failure.count == 0:
        return []

    def number(emit: Emit, info: Operand) -> Operand:
        """Number the failures; those of the first matrix are the least."""
        place: Operand = Const(0, torch.int64)
        for axis, size in enumerate(shape):
            place = emit("add", emit("mul", place, size), Index(axis))
        step = emit.cast(info, torch.int64)
        found = emit("minimum", emit("add", emit("mul", place, STEPS), step), failure.count - 1)
        return emit("where", emit("eq", step, 0), Const(failure.count, torch.int64), found)

    first = lowering.reduce("minimum", lowering.map(shape, number, info), range(len(shape)), failure.count)
    lowering.check(first, failure)
    return []


def _equal(emit: Emit, rank: int) -> Operand:
    """Tell whether an element is on the diagonal of a matrix."""
    return emit("eq", Index(rank - 2), Index(rank - 1))


def _cast(lowering: Lowering, view: View, dtype: torch.dtype) -> Value:
    return lowering.map(view.shape, lambda emit, x: emit.cast(x, dtype), view)


def transposed(x: View) -> View:
    """Exchange the last two axes."""
    shape, strides = ((*sizes[:-2], sizes[-1], sizes[-2]) for sizes in (x.shape, x.strides))
    return replace(x, shape=shape, strides=strides)


def _copy(
    lowering: Lowering, x: Value, shape: Sequence[int], triangle: View | None = None, *, varying: bool = False
) -> View:
    """Return a copy of matrices with room after each row, for vectors; it varies if the matrices or the triangle do."""
    varying |= varies(x) or (triangle is not None and triangle.varying)
    columns = shape[-1]
    room = 0 if varying or columns == 1 else lowering.target.width(columns, x.dtype) - 1
    copy = replace(lowering.temporary((*shape[:-1], columns + room), x.dtype, varying), shape=tuple(shape))
    lowering.store(copy, x)
    return copy


def varies(x: Value) -> bool:
    """Tell whether a value differs between lanes."""
    if isinstance(x, Splat):
        return False
    return x.varying if isinstance(x, View) else x.node.varying


def _solve(lowering: Lowering, x: View, triangle: View, *, upper: bool = False, unit: bool = False) -> None:
    """Multiply x by the inverse of a triangle."""
    is_dense = triangle.varying or 1 in triangle.strides[-2:]
    read = _readable(lowering, triangle) if is_dense else lowering.dense(triangle)
    read = read.expand((*x.shape[:-2], *triangle.shape[-2:]))
    lowering.scope.add(Routine("solve", x, (), (read,), (upper, unit)), x)


def _permute(lowering: Lowering, x: View, pivots: Value, *, reverse: bool) -> None:
    """Exchange rows of x, one after another."""
    read = lowering.view(lowering.map(pivots.shape, lambda emit, p: emit.cast(p, x.dtype), pivots))
    if x.varying and not read.varying:
        varying = lowering.temporary(read.shape, read.dtype, True)
        lowering.store(varying, read)
        read = varying
    read = _readable(lowering, read).expand((*x.shape[:-2], pivots.shape[-1]))
    lowering.scope.add(Routine("permute", x, (), (read,), (reverse,)), x)


def _readable(lowering: Lowering, view: View) -> View:
    """Copy a result of lanes: its lanes have gaps between them."""
    return lowering.dense(view) if view.varying and view.buffer.kind == "output" else view


RULES: dict[str, Rule] = {
    "linalg_cholesky_ex": _cholesky,
    "cholesky_solve": _cholesky_solve,
    "cholesky_inverse": _cholesky_inverse,
    "linalg_solve_triangular": _solve_triangular,
    "triangular_solve": _triangular_solve,
    "linalg_lu_factor_ex": _lu_factor,
    "linalg_lu_solve": _lu_solve,
    "lu_unpack": _lu_unpack,
    "_linalg_check_errors": check_errors,
}
