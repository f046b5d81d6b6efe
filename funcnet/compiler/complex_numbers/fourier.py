"""Fourier transforms of short axes, as products with small matrices.

A call of torch takes longer than such a transform. With n = p q, the index of an element is j = q j1 + j2, and that of
a coefficient is k = k1 + p k2:

    X[k] = sum over j2 of w_q^(j2 k2) w_n^(j2 k1) (sum over j1 of w_p^(j1 k1) x[j]),  w_n = exp(-2 pi i / n)

Source:
    Cooley, Tukey (1965), An algorithm for the machine calculation of complex Fourier series.
"""

import math
from collections.abc import Sequence

import torch

from funcnet._torch import Operation
from funcnet.compiler.complex_numbers.parts import Emitter, Pair, Real
from funcnet.compiler.complex_numbers.separation import Rule, Separation
from funcnet.compiler.program import Apply, Var, emit

aten = torch.ops.aten
_FACTOR = 8  # the largest factor that is a product of primes
_PRIME = 31  # the largest prime
_MOST = 1 << 18  # multiplications of the transform of a vector, in whose time torch is called
_MOST_OF_ROWS = 1 << 16  # of several vectors, which are transposed


def _forward_or_back(separation: Separation, op: Apply) -> bool:
    """Transform complex numbers."""
    x, dims, normalization, is_forward = op.args
    if not _is_short(x.shape, dims):
        return False
    emitter = separation.emitter(op)
    parts = [part.var for part in separation.pair(x, emitter)]
    for dim in dims:
        parts = _transformed(emitter, parts, dim, -1 if is_forward else 1)
    re, im = _scaled(emitter, parts, x.shape, dims, normalization)
    separation.bind(op.outputs[0], Pair(re, im))
    return True


def _of_real(separation: Separation, op: Apply) -> bool:
    """Transform real numbers, the last axis first; the first half of it is kept."""
    x, dims, normalization, is_half = op.args
    if not _is_short(x.shape, dims):
        return False
    emitter = separation.emitter(op)
    parts = _transformed(emitter, [emitter.cast(x)], dims[-1], -1)
    if is_half:
        parts = [_slice(emitter, part, dims[-1], 0, x.shape[dims[-1]] // 2 + 1) for part in parts]
    for dim in dims[:-1]:
        parts = _transformed(emitter, parts, dim, -1)
    re, im = _scaled(emitter, parts, x.shape, dims, normalization)
    separation.bind(op.outputs[0], Pair(re, im))
    return True


def _to_real(separation: Separation, op: Apply) -> bool:
    """Transform the first half of the coefficients of real numbers back to these, along the last axis at last."""
    x, dims, normalization, _ = op.args
    shape = op.outputs[0].shape
    if not _is_short(shape, dims):
        return False
    emitter = separation.emitter(op)
    parts = [part.var for part in separation.pair(x, emitter)]
    for dim in dims[:-1]:
        parts = _transformed(emitter, parts, dim, 1)
    parts = _with_conjugates(emitter, parts, dims[-1], shape[dims[-1]])
    parts = _transformed(emitter, parts, dims[-1], 1, results=1)
    separation.name(op, _scaled(emitter, parts, shape, dims, normalization)[0].var)
    return True


def _is_short(shape: Sequence[int], dims: Sequence[int]) -> bool:
    """Tell whether products are faster than a call of torch."""
    size, factors = math.prod(shape), [_factors(shape[dim]) for dim in dims]
    most = _MOST if all(shape[dim] == size for dim in dims) else _MOST_OF_ROWS
    return 0 < size * sum(4 * factor for each in factors for factor in each or (math.inf,)) <= most


def _factors(n: int) -> list[int]:
    """Return small factors of n; none if it has a large prime factor."""
    if n <= _FACTOR:
        return [n]
    factor = next((k for k in (*range(_FACTOR, 1, -1), *range(_FACTOR, _PRIME + 1)) if n % k == 0), None)
    rest = [1] if n == factor else [] if factor is None else _factors(n // factor)
    return [factor, *(k for k in rest if k > 1)] if factor is not None and rest else []


def _transformed(emitter: Emitter, parts: Sequence[Var], dim: int, sign: int, results: int = 2) -> list[Var]:
    """Transform an axis of a real array, or of both parts; the sign is that of the exponents."""
    shape = parts[0].shape
    n, rest = shape[dim], (*shape[:dim], *shape[dim:][1:])
    order = [dim % len(shape), *(axis for axis in range(len(shape)) if axis != dim % len(shape))]
    rows = [emitter(aten.permute.default, part, order, shape=(n, *rest)) for part in parts]
    x = _view(emitter, _cat(emitter, rows, 0), (len(parts) * n, math.prod(rest)))
    y = _view(emitter, _product(emitter, x, n, sign, results), (results, n, *rest))
    back = sorted(range(len(shape)), key=order.__getitem__)
    columns = [emitter(aten.select.int, y, 0, i, shape=(n, *rest)) for i in range(results)]
    return [emitter(aten.permute.default, column, back, shape=shape) for column in columns]


def _product(emitter: Emitter, x: Var, n: int, sign: int, results: int) -> Var:
    """Transform the columns of a matrix, which holds one part or one on top of the other."""
    p, *others = _factors(n)
    parts, q, size = x.shape[0] // n, n // p, x.shape[1]
    rows = 2 if others else results
    matrix = _matrix(emitter, p, sign, rows, parts)
    y = _view(emitter, x, (parts * p, q * size))
    y = emitter(aten.mm.default, matrix, y, shape=(rows * p, q * size))
    if not others:
        return y
    y = _turned(emitter, _view(emitter, y, (2, p, q, size)), sign)
    y = _product(emitter, _view(emitter, y, (2 * q, p * size)), q, sign, results)
    return _view(emitter, y, (results * n, size))


def _turned(emitter: Emitter, y: Var, sign: int) -> Var:
    """Multiply by the powers of w_n, and exchange both axes of each part."""
    _, p, q, size = y.shape
    cosine, sine = (Real(part, emitter) for part in _roots(emitter, p, q, p * q, sign, (p, q, 1)))
    re, im = (Real(emitter(aten.select.int, y, 0, i, shape=(p, q, size)), emitter) for i in (0, 1))
    turned = re * cosine - im * sine, re * sine + im * cosine
    moved = [emitter(aten.permute.default, part.var, [1, 0, 2], shape=(q, p, size)) for part in turned]
    return _cat(emitter, moved, 0)


def _matrix(emitter: Emitter, n: int, sign: int, rows: int, columns: int) -> Var:
    """Return the matrix of a transform, in blocks: from one or both parts to one or both."""
    cosine, sine = _roots(emitter, n, n, n, sign, (n, n))
    blocks = [[cosine, emitter(aten.neg.default, sine, shape=(n, n))], [sine, cosine]]
    return _cat(emitter, [_cat(emitter, row[:columns], 1) for row in blocks[:rows]], 0)


def _roots(emitter: Emitter, rows: int, columns: int, n: int, sign: int, shape: tuple[int, ...]) -> tuple[Var, Var]:
    """Return the parts of exp(sign 2 pi i j k / n) for j < rows and k < columns."""
    whole, wide = (Emitter(emitter.ops, dtype, emitter.like) for dtype in (torch.int64, torch.float64))
    options = {"dtype": torch.int64, "device": emitter.like.device}
    j, k = (
        emit(emitter.ops, aten.arange.start_step, (0, size, 1), (size,), torch.int64, emitter.like, options)
        for size in (rows, columns)
    )
    turns = whole(aten.mul.Tensor, whole(aten.unsqueeze.default, j, 1, shape=(rows, 1)), k, shape=(rows, columns))
    for target, number in ((aten.add.Tensor, n // 2), (aten.remainder.Scalar, n), (aten.sub.Tensor, n // 2)):
        turns = whole(target, turns, number, shape=(rows, columns))  # small angles are more accurate
    angle = wide(aten.mul.Tensor, wide.cast(turns), sign * 2 * math.pi / n, shape=(rows, columns))
    both = (wide(target, angle, shape=(rows, columns)) for target in (aten.cos.default, aten.sin.default))
    cosine, sine = (_view(emitter, emitter.cast(part), shape) for part in both)
    return cosine, sine


def _with_conjugates(emitter: Emitter, parts: Sequence[Var], dim: int, n: int) -> list[Var]:
    """Append the coefficients of negative frequencies, which are the conjugates of those of positive ones."""
    found = []
    for part, sign in zip(parts, (1, -1), strict=True):
        tail = _slice(emitter, part, dim, 1, (n + 1) // 2)
        tail = emitter(aten.flip.default, tail, [dim], shape=tail.shape)
        tail = tail if sign == 1 else emitter(aten.neg.default, tail, shape=tail.shape)
        found.append(_cat(emitter, [part, tail], dim))
    return found


def _scaled(
    emitter: Emitter, parts: Sequence[Var], shape: Sequence[int], dims: Sequence[int], normalization: int
) -> list[Real]:
    """Divide by nothing, by the square root of the number of elements, or by this number."""
    scale = math.prod(shape[dim] for dim in dims) ** -(0, 0.5, 1)[normalization]
    return [Real(part, emitter) * Real(scale, emitter) if normalization else Real(part, emitter) for part in parts]


def _cat(emitter: Emitter, parts: Sequence[Var], dim: int) -> Var:
    if len(parts) == 1:
        return parts[0]
    shape = [*parts[0].shape]
    shape[dim] = sum(part.shape[dim] for part in parts)
    return emitter(aten.cat.default, [*parts], dim, shape=tuple(shape))


def _slice(emitter: Emitter, x: Var, dim: int, start: int, end: int) -> Var:
    shape = [*x.shape]
    shape[dim] = end - start
    return emitter(aten.slice.Tensor, x, dim, start, end, shape=tuple(shape))


def _view(emitter: Emitter, x: Var, shape: tuple[int, ...]) -> Var:
    return emitter(aten.view.default, x, [*shape], shape=shape)


RULES: dict[Operation, Rule] = {
    aten._fft_c2c.default: _forward_or_back,
    aten._fft_r2c.default: _of_real,
    aten._fft_c2r.default: _to_real,
}
