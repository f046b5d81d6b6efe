"""Operations that fail for some values, and how to guard them where a lane does not need their result."""

from dataclasses import replace
from typing import Any

import torch

from funcnet.compiler.program import Apply, Op, Var, emit

aten = torch.ops.aten

INDEXED = {  # operation -> position of its index, or list of indices
    "aten::index": 1,
    "aten::_unsafe_index": 1,
    "aten::index_put": 1,
    "aten::take": 1,
    "aten::embedding": 1,
    "aten::gather": 2,
    "aten::index_select": 2,
    "aten::index_add": 2,
    "aten::index_copy": 2,
    "aten::index_fill": 2,
    "aten::index_reduce": 2,
    "aten::scatter": 2,
    "aten::scatter_add": 2,
    "aten::scatter_reduce": 2,
}
DIVISIONS = ("aten::div", "aten::floor_divide", "aten::remainder", "aten::fmod")
_OF_MATRICES = ("linalg", "_linalg", "cholesky", "lu_", "triangular", "ormqr", "geqrf")


def may_fail(op: Apply) -> bool:
    """Tell whether an operation raises an error for some values: a check, an index, a division, a factorisation."""
    name = op.target._schema.name
    matrices = name.removeprefix("aten::").startswith(_OF_MATRICES)
    return not op.outputs or name in INDEXED or matrices or (name in DIVISIONS and _is_integer(op.outputs[0]))


def guarded(op: Apply, mask: Var, ops: list[Op]) -> Apply:
    """Return an operation that cannot fail where a mask, a 0-d bool, is false; append those that its arguments need."""
    name, args = op.target._schema.name, [*op.args]
    if op.target is aten._assert_async.msg:
        unneeded = emit(ops, aten.logical_not.default, (mask,), (), torch.bool, mask)
        args[0] = emit(ops, aten.logical_or.default, (args[0], unneeded), args[0].shape, torch.bool, mask)
    elif op.target is aten._linalg_check_errors.default:
        args[0] = _chosen(ops, mask, args[0], 0)
    elif name in INDEXED:
        at = INDEXED[name]
        is_list = isinstance(args[at], list | tuple)
        args[at] = [_first(ops, mask, x) for x in args[at]] if is_list else _first(ops, mask, args[at])
    elif name in DIVISIONS and isinstance(args[1], Var) and _is_integer(args[1]):
        args[1] = _chosen(ops, mask, args[1], 1)
    return replace(op, args=tuple(args))


def _first(ops: list[Op], mask: Var, index: Any) -> Any:
    """Replace an index by 0."""
    return _chosen(ops, mask, index, 0) if isinstance(index, Var) and index.dtype != torch.bool else index


def _chosen(ops: list[Op], mask: Var, x: Var, other: int) -> Var:
    options = {"dtype": x.dtype, "device": x.device}
    number = emit(ops, aten.full.default, ([], other), (), x.dtype, x, options)
    return emit(ops, aten.where.self, (mask, x, number), x.shape, x.dtype, x)


def _is_integer(var: Var) -> bool:
    return not (var.dtype.is_floating_point or var.dtype.is_complex)
