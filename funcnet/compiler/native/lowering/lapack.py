"""Rules of factorisations by LAPACK: of matrices up to some size, of which larger ones are left to calls of torch.

LAPACK's matrices are column-major, so that they are transposes of row-major temporaries. The exponential of a matrix,
which LAPACK lacks, is here as well.
"""

import math

import torch

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.loop_ir import Const, Index, Operand
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.matrices import check_errors, transposed, varies
from funcnet.compiler.native.lowering.values import Emit, Splat, Value
from funcnet.compiler.native.routines import Routine

_MOST = 64  # rows of a matrix whose exponential a kernel computes; torch has faster products of larger ones


def _eigh(lowering: Lowering, x: Value, UPLO: str = "L", compute_v: bool = True) -> list[Value]:  # noqa: N803
    """Return the eigenvalues and eigenvectors of a symmetric matrix, of which one triangle is read."""
    upper, n = UPLO.upper() == "U", x.shape[-1]
    a = _columns(lowering, x, varying=varies(x))
    values, info = (lowering.temporary(shape, x.dtype, a.varying) for shape in (x.shape[:-1], x.shape[:-2]))
    letters = "V" if compute_v else "N", "U" if upper else "L"
    size, count = lowering.target.workspace("syevd", x.dtype, *letters, n, n)
    work = lowering.temporary((size,), x.dtype, False), lowering.temporary((count,), torch.int32, False)
    _add(lowering, Routine("eigh", a, (values, info), (), (compute_v, upper), work))
    _check(lowering, info, "linalg.eigh")
    return [values, transposed(a) if compute_v else _nothing(lowering, 1)]


def _svd(
    lowering: Lowering, x: Value, full_matrices: bool = False, compute_uv: bool = True, *, driver: str | None = None
) -> list[Value]:
    """Return the singular vectors, the singular values, and the other singular vectors."""
    if driver is not None:
        raise UnsupportedError(f"{lowering.op.target}: torch has no drivers for the CPU, and raises its error")
    *batch, m, n = x.shape
    rank, a = min(m, n), _columns(lowering, x, varying=varies(x))
    values, info = (lowering.temporary(shape, x.dtype, a.varying) for shape in ((*batch, rank), batch))
    sizes = (m, n) if full_matrices else (rank, rank)
    shapes = [(*batch, sizes[0], m), (*batch, n, sizes[1])] if compute_uv else []
    vectors = [lowering.temporary(shape, x.dtype, a.varying) for shape in shapes]
    job = "N" if not compute_uv else "A" if full_matrices else "S"
    rows = (m, sizes[1]) if compute_uv else (1, 1)
    size, _ = lowering.target.workspace("gesdd", x.dtype, job, m, n, m, *rows)
    work = lowering.temporary((size,), x.dtype, False), lowering.temporary((8 * rank,), torch.int32, False)
    _add(lowering, Routine("svd", a, (values, info, *vectors), (), (full_matrices,), work))
    _check(lowering, info, "linalg.svd")
    u, v = map(transposed, vectors) if compute_uv else (_nothing(lowering, 0), _nothing(lowering, 2))
    return [u, values, v]


def _qr(lowering: Lowering, x: Value, mode: str = "reduced") -> list[Value]:
    """Return Q, unless the mode is "r", and R."""
    (*batch, m, n), (a, tau) = x.shape, _reflectors(lowering, x)
    rank = min(m, n)
    rows = m if mode == "complete" else rank
    columns = transposed(a)
    triangle = lowering.map((*batch, rows, n), _of_upper, _part(columns, rows, n))
    if mode == "r":
        return [_nothing(lowering, 0), triangle]
    q = lowering.temporary((*batch, rows, m), x.dtype, a.varying)
    if rows > n:  # LAPACK overwrites the other columns
        lowering.store(q, Splat(Const(0, x.dtype), q.shape))
    lowering.store(_part(q, min(rows, n), m), _part(a, min(rows, n), m))
    return [_product(lowering, q, tau), triangle]


def _geqrf(lowering: Lowering, x: Value) -> list[Value]:
    a, tau = _reflectors(lowering, x)
    return [transposed(a), tau]


def _reflectors(lowering: Lowering, x: Value) -> tuple[View, View]:
    """Return the triangle and the reflectors of Q below it, in columns, and the scales of these."""
    *batch, m, n = x.shape
    a = _columns(lowering, x, varying=varies(x))
    tau = lowering.temporary((*batch, min(m, n)), x.dtype, a.varying)
    work = lowering.temporary(lowering.target.workspace("geqrf", x.dtype, m, n, m)[:1], x.dtype, False)
    _add(lowering, Routine("reflect", a, (tau,), (), (), (work,)))
    return a, tau


def _householder_product(lowering: Lowering, x: Value, tau: Value) -> Value:
    varying = varies(x) or varies(tau)
    scales = lowering.temporary(tau.shape, x.dtype, varying)
    lowering.store(scales, tau)
    return _product(lowering, _columns(lowering, x, varying=varying), scales)


def _product(lowering: Lowering, a: View, tau: View) -> View:
    """Overwrite reflectors by the first columns of their product."""
    n, m = a.shape[-2:]
    size, _ = lowering.target.workspace("orgqr", a.dtype, m, n, tau.shape[-1], m)
    _add(
        lowering,
        Routine("multiply_reflectors", a, (), (tau,), (), (lowering.temporary((size,), a.dtype, False),)),
    )
    return transposed(a)


def _least_squares(
    lowering: Lowering, x: Value, y: Value, rcond: float | None = None, *, driver: str | None = None
) -> list[Value]:
    """Return the solutions of least norm, nothing, the ranks, and nothing.

    All columns may be exchanged. torch 2.13 leaves it to uninitialised memory which ones may, so that the bits of its
    results differ between calls.
    """
    (*batch, m, n), (*others, _, k) = x.shape, y.shape
    if driver not in (None, "gelsy") or batch != others or not k:
        raise UnsupportedError(f"{lowering.op.target}: left to torch")
    a, rows = _columns(lowering, x, varying=varies(x) or varies(y)), max(m, n)
    b, rank = (lowering.temporary(shape, x.dtype, a.varying) for shape in ((*batch, k, rows), batch))
    if rows > m:
        lowering.store(b, Splat(Const(0, x.dtype), b.shape))
    lowering.store(_part(transposed(b), m, k), y)
    size, _ = lowering.target.workspace("gelsy", x.dtype, m, n, k, m, rows)
    work = lowering.temporary((size,), x.dtype, False), lowering.temporary((n,), torch.int32, False)
    bound = torch.finfo(x.dtype).eps * rows if rcond is None else rcond
    _add(lowering, Routine("solve_least", b, (rank,), (a,), work=work, numbers=(bound,)))
    count = lowering.map(rank.shape, lambda emit, x: emit.cast(x, torch.int64), rank)
    return [_part(transposed(b), n, k), _nothing(lowering, 1), count, _nothing(lowering, 3)]


def _matrix_exp(lowering: Lowering, x: Value) -> Value:
    """Return the exponentials of matrices."""
    n = x.shape[-1]
    if n == 1:
        return lowering.map(x.shape, lambda emit, x: emit("exp", x), x)
    if x.dtype not in (torch.float32, torch.float64) or n > _MOST or not math.prod(x.shape):
        raise UnsupportedError(f"{lowering.op.target}: left to torch")
    a = lowering.temporary(x.shape, x.dtype, varies(x))
    lowering.store(a, x)
    _add(lowering, Routine("matrix_exp", a, work=(lowering.temporary((5 * n * n,), x.dtype, False),)))
    return a


def _columns(lowering: Lowering, x: Value, *, varying: bool) -> View:
    """Return a copy of matrices as LAPACK reads them.

    Raises:
        UnsupportedError: They are empty or large, or LAPACK has other names on this machine.
    """
    target, (*batch, m, n) = lowering.target, x.shape
    if x.dtype not in target.lapack or max(m, n) > target.lapack_size or not math.prod(x.shape):
        raise UnsupportedError(f"{lowering.op.target}: left to torch")
    copy = lowering.temporary((*batch, n, m), x.dtype, varying)
    lowering.store(transposed(copy), x)
    return copy


def _add(lowering: Lowering, routine: Routine) -> None:
    """Add a routine, with memory for the matrices of one lane if they vary."""
    if routine.matrix.varying:
        batch, views = len(routine.matrix.shape) - 2, (routine.matrix, *routine.results, *routine.operands)
        shapes = [view.shape[batch:] for view in views]
        routine.copies = tuple(lowering.temporary(shape, routine.matrix.dtype, False) for shape in shapes)
    lowering.scope.add(routine, routine.matrix, *routine.results)


def _check(lowering: Lowering, info: View, name: str) -> None:
    """Raise after the run if a routine failed; in the lanes of an ensemble, its results are NaN instead."""
    if not lowering.lanes:
        check_errors(lowering, info, name, is_matrix=not info.shape)


def _nothing(lowering: Lowering, position: int) -> Value:
    """Return a result that is not asked for, which is empty."""
    var = lowering.op.outputs[position]
    return Splat(Const(0, var.dtype), var.shape)


def _part(view: View, rows: int, columns: int) -> View:
    """Return the first rows and columns of matrices."""
    return View(view.buffer, (*view.shape[:-2], rows, columns), view.strides, view.offset, view.steps)


def _of_upper(emit: Emit, x: Operand) -> Operand:
    """Return an element of the upper triangle, or zero."""
    rank = len(emit.nest.shape)
    return emit("where", emit("le", Index(rank - 2), Index(rank - 1)), x, 0)


def _unless_empty(rule: Rule) -> Rule:
    """Apply a rule unless all results are empty."""

    def run(lowering: Lowering, *args: object, **options: object) -> Value | list[Value]:
        if all(0 in var.shape for var in lowering.op.outputs):
            return [_nothing(lowering, i) for i in range(len(lowering.op.outputs))]
        return rule(lowering, *args, **options)

    return run


_RULES: dict[str, Rule] = {
    "_linalg_eigh": _eigh,
    "_linalg_svd": _svd,
    "linalg_qr": _qr,
    "geqrf": _geqrf,
    "linalg_householder_product": _householder_product,
    "linalg_lstsq": _least_squares,
    "linalg_matrix_exp": _matrix_exp,
}
RULES = {name: _unless_empty(rule) for name, rule in _RULES.items()}
