"""Fourier transforms in kernels, as an operation on both parts of an array; see `radices` for the axes.

The operation `funcnet::fourier` transforms the middle axis of arrays with three, without a scale.
"""

import math
from collections.abc import Sequence

import torch

from funcnet._torch import Operation
from funcnet.compiler.complex_numbers.parts import Emitter, Pair, Real
from funcnet.compiler.complex_numbers.radices import padded, radices
from funcnet.compiler.complex_numbers.separation import Rule, Separation
from funcnet.compiler.program import Apply, Var

aten = torch.ops.aten
_MOST = 1 << 20  # elements of an array, from which on torch is as fast with several threads
_SHORT = 16  # the most elements of an axis of neighbours that is transformed as columns
_LARGE = 8  # the largest radix of others
_FEW = 8  # the least columns that are

_LIBRARY = torch.library.Library("funcnet", "FRAGMENT")
_LIBRARY.define("fourier(Tensor re, Tensor im) -> (Tensor, Tensor)")
_LIBRARY.impl("fourier", lambda re, im: (torch.empty_like(re), torch.empty_like(im)), "Meta")


def _forward_or_back(separation: Separation, op: Apply) -> bool:
    """Transform complex numbers."""
    x, dims, normalization, is_forward = op.args
    if not _is_for_kernels(separation, x.shape, dims):
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
    if not _is_for_kernels(separation, x.shape, dims):
        return False
    emitter = separation.emitter(op)
    x = emitter.cast(x)
    parts = _transformed(emitter, [x, emitter.full(x.shape, 0.0)], dims[-1], -1)
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
    if not _is_for_kernels(separation, shape, dims):
        return False
    emitter = separation.emitter(op)
    parts = [part.var for part in separation.pair(x, emitter)]
    for dim in dims[:-1]:
        parts = _transformed(emitter, parts, dim, 1)
    parts = _with_conjugates(emitter, parts, dims[-1], shape[dims[-1]])
    parts = _transformed(emitter, parts, dims[-1], 1)
    separation.name(op, _scaled(emitter, parts, shape, dims, normalization)[0].var)
    return True


def _is_for_kernels(separation: Separation, shape: Sequence[int], dims: Sequence[int]) -> bool:
    """Tell whether a kernel transforms these axes faster than torch."""
    are_short = not separation.has_lanes or all(padded(shape[dim]) == shape[dim] for dim in dims)
    return are_short and 0 < math.prod(shape) <= _MOST


def _transformed(emitter: Emitter, parts: Sequence[Var], dim: int, sign: int) -> list[Var]:
    """Transform an axis of both parts; the sign is that of the exponents."""
    shape = parts[0].shape
    dim %= len(shape)
    if shape[dim] == 1:
        return [*parts]
    batch, n, columns = math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])
    others = [axis for axis in range(len(shape)) if axis != dim]
    if columns == 1 and batch >= _FEW and (n <= _SHORT or max(radices(n), default=0) > _LARGE):
        order, sizes = [dim, *others], (1, n, batch)
    elif 1 < columns < _FEW or (columns > 1 and padded(n) > n):
        order, sizes = [*others, dim], (batch * columns, n, 1)
    else:
        order, sizes = [*range(len(shape))], (batch, n, columns)
    moved, back = tuple(shape[axis] for axis in order), sorted(range(len(shape)), key=order.__getitem__)
    x = [_view(emitter, emitter(aten.permute.default, part, order, shape=moved), sizes) for part in parts]
    y = [Var(sizes, part.dtype, part.device) for part in x]
    exchanged = slice(None, None, -sign)  # reverses the sign
    emitter.ops.append(Apply(torch.ops.funcnet.fourier.default, tuple(x[exchanged]), {}, tuple(y[exchanged])))
    return [emitter(aten.permute.default, _view(emitter, part, moved), back, shape=shape) for part in y]


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
