"""The table of operations that are applied to the parts of complex numbers."""

import math

import torch

from funcnet._torch import Operation
from funcnet.compiler.complex_numbers import fourier
from funcnet.compiler.complex_numbers.formulas import FORMULAS
from funcnet.compiler.complex_numbers.parts import Emitter, Pair, Real
from funcnet.compiler.complex_numbers.separation import Rule, Separation
from funcnet.compiler.program import Apply, Var, emit, inputs, substitute

aten = torch.ops.aten
_LARGE_PRODUCT = 1 << 13  # multiplications of complex numbers


def _formula(separation: Separation, op: Apply) -> bool:
    """Append the operations of a formula, if there is one for these arguments."""
    emitter = Emitter(separation.ops, _real_dtype(op), op.outputs[0])
    options = {name: separation.pair(value, emitter) for name, value in op.kwargs.items()}
    result = FORMULAS[op.target](*(separation.pair(arg, emitter) for arg in op.args), **options)
    if isinstance(result, Pair):
        separation.bind(op.outputs[0], result)
    elif isinstance(result, Real):
        separation.name(op, result.fitted(op.outputs[0].shape))
    return result is not None


def _real_dtype(op: Apply) -> torch.dtype:
    """Return the dtype of the parts in which an operation computes: that of its result, or a comparison's operands."""
    dtype = op.outputs[0].dtype
    if dtype == torch.bool:
        like = [torch.empty(x.shape, dtype=x.dtype, device="meta") if isinstance(x, Var) else x for x in op.args]
        dtype = torch.result_type(like[0], like[-1])
    return dtype.to_real() if dtype.is_complex else dtype


def _by_parts(separation: Separation, op: Apply) -> bool:
    """Apply an operation that is linear in its tensors to both parts."""
    out, tensors = op.outputs[0], [*inputs(op)]
    if not out.dtype.is_complex or not op.args[0].dtype.is_complex:
        return False
    dtype = out.dtype.to_real()
    kwargs = {name: dtype if name == "dtype" and value else value for name, value in op.kwargs.items()}
    sides = [{var: separation.parts[var][i] for var in tensors if var in separation.parts} for i in (0, 1)]
    re, im = (emit(separation.ops, op.target, substitute(op.args, s), out.shape, dtype, out, kwargs) for s in sides)
    separation.parts[out] = re, im
    return True


def _pad(separation: Separation, op: Apply) -> bool:
    return not any(op.args[2:]) and _by_parts(separation, op)


def _full(separation: Separation, op: Apply) -> bool:
    emitter, number = separation.emitter(op), op.args[1]
    separation.bind(op.outputs[0], separation.pair(number, emitter))
    return True


def _cast(separation: Separation, op: Apply) -> bool:
    """Convert both parts, only the real one to a real dtype; a number is true unless both parts are zero."""
    out, emitter = op.outputs[0], separation.emitter(op)
    re, im = separation.pair(op.args[0], emitter)
    if out.dtype.is_complex:
        separation.bind(out, Pair(re, im))
    else:
        either = re.with_(im, aten.logical_or.default) if out.dtype == torch.bool else re
        separation.name(op, either.var)
    return True


def _where(separation: Separation, op: Apply) -> bool:
    emitter = separation.emitter(op)
    condition = Real(op.args[0], emitter)
    x, y = (separation.pair(arg, emitter) for arg in op.args[1:])
    separation.bind(op.outputs[0], Pair(x.re.where(condition, y.re), x.im.where(condition, y.im)))
    return True


def _cat(separation: Separation, op: Apply) -> bool:
    tensors, out, emitter = op.args[0], op.outputs[0], separation.emitter(op)
    sides = zip(*(separation.pair(x, emitter) for x in tensors), strict=True)
    columns = ([part.fitted(x.shape) for part, x in zip(side, tensors, strict=True)] for side in sides)
    re, im = (emitter(op.target, column, *op.args[1:], shape=out.shape) for column in columns)
    separation.parts[out] = re, im
    return True


def _product(separation: Separation, op: Apply) -> bool:
    """Multiply small matrices, or those of lanes, by parts; BLAS has faster products of large ones."""
    size = math.prod(op.outputs[0].shape) * op.args[0].shape[-1]
    if size > _LARGE_PRODUCT and not separation.has_lanes:
        return False
    emitter = separation.emitter(op)
    x, y = (separation.pair(arg, emitter) for arg in op.args)

    def product(a: Real, b: Real) -> Real:
        return Real(emitter(op.target, a.var, b.var, shape=op.outputs[0].shape), emitter)

    re = product(x.re, y.re) - product(x.im, y.im)
    separation.bind(op.outputs[0], Pair(re, product(x.re, y.im) + product(x.im, y.re)))
    return True


def _norm(separation: Separation, op: Apply) -> bool:
    """Return the norm of the moduli."""
    x, *rest = op.args
    if any(op.kwargs.values()):
        return False
    emitter = Emitter(separation.ops, x.dtype.to_real(), x)
    re, im = separation.pair(x, emitter)
    separation.ops.append(Apply(op.target, (re.with_(im, aten.hypot.default).var, *rest), {}, op.outputs))
    return True


def _view_as_real(separation: Separation, op: Apply) -> bool:
    separation.stacks[op.outputs[0]] = op.args[0]
    separation.name(op, separation.joined(op.args[0]))
    return True


def _view_as_complex(separation: Separation, op: Apply) -> bool:
    separation.ops.append(op)
    separation.wholes[op.outputs[0]] = op.outputs[0]
    separation.view(op.outputs[0], op.args[0])
    return True


_LINEAR = (
    aten.alias.default,
    aten.as_strided.default,
    aten.clone.default,
    aten.cumsum.default,
    aten.diagonal.default,
    aten.expand.default,
    aten.flip.default,
    aten.gather.default,
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_select.default,
    aten.mean.default,
    aten.mean.dim,
    aten.permute.default,
    aten.repeat.default,
    aten.scatter.src,
    aten.scatter_add.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.slice_scatter.default,
    aten.squeeze.dims,
    aten.sum.dim_IntList,
    aten.unfold.default,
    aten.unsqueeze.default,
    aten.view.default,
)

RULES: dict[Operation, Rule] = {
    **dict.fromkeys(FORMULAS, _formula),
    **dict.fromkeys(_LINEAR, _by_parts),
    aten.constant_pad_nd.default: _pad,
    aten.full.default: _full,
    aten._to_copy.default: _cast,
    aten.where.self: _where,
    aten.cat.default: _cat,
    aten.mm.default: _product,
    aten.bmm.default: _product,
    aten.linalg_vector_norm.default: _norm,
    aten.view_as_real.default: _view_as_real,
    aten.view_as_complex.default: _view_as_complex,
    **fourier.RULES,
}
