"""Checks of floating-point values in the lanes of a vmap: a failed lane is filled with NaN, as in JAX."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from funcnet.compiler.decompositions.value_checks import PROBABILITIES
from funcnet.compiler.program import Apply, Block, Op, Scan, Switch, Var, While, emit, map_blocks, substitute, walk

aten = torch.ops.aten

# operations that raise or crash if a matrix is not finite
_FINITE = {
    aten._linalg_svd.default,
    aten._linalg_eigh.default,
    aten.linalg_eig.default,
    aten._linalg_eigvals.default,
    aten.linalg_pinv.atol_rtol_tensor,
}


def filled(block: Block) -> Block:
    """Replace checks of floating-point values by NaN in the lanes that fail."""
    return _Filling(_checked(block)).block(block)


def _checked(block: Block) -> set[Var]:
    """Find the error codes, returned by factorisations, that a check reads."""
    applied = [op for op in walk(block) if isinstance(op, Apply)]
    made = {out: op for op in applied for out in op.outputs}
    found = set()
    for op in applied:
        if op.target is aten._linalg_check_errors.default:
            info = op.args[0]
            while len(made[info].outputs) == 1:
                info = made[info].args[0]
            found.add(info)
    return found


class _Filling:
    def __init__(self, checked: set[Var]) -> None:
        self.checked = checked
        self.new: dict[Var, Var] = {}  # value -> the filled value that later operations read

    def block(self, block: Block) -> Block:
        ops: list[Op] = []
        for op in block.ops:
            if isinstance(op, Apply):
                self.apply(op, ops)
            else:
                ops.append(self.holder(op))
        return Block(block.params, ops, substitute(block.results, self.new))

    def holder(self, op: Scan | Switch | While) -> Op:
        """Fill in the blocks that an operation holds."""
        match op:
            case Scan():
                init, xs = substitute((op.init, op.xs), self.new)
                op = replace(op, init=init, xs=xs)
            case Switch():
                op = replace(op, index=substitute(op.index, self.new))
            case While():
                op = replace(op, init=substitute(op.init, self.new))
        return map_blocks(op, self.block)

    def apply(self, op: Apply, ops: list[Op]) -> None:
        if _is_of_numbers(op):
            return
        kwargs = {name: substitute(value, self.new) for name, value in op.kwargs.items()}
        op = replace(op, args=substitute(op.args, self.new), kwargs=kwargs)
        self.fill_infinite(op, ops) if op.target in _FINITE else ops.append(op)
        for info in self.checked.intersection(op.outputs):  # here: operations before the check read the outputs, too
            self.fill(op.outputs, emit(ops, aten.eq.Scalar, (info, 0), info.shape, torch.bool, info), ops)

    def fill_infinite(self, op: Apply, ops: list[Op]) -> None:
        """Pass zeros to an operation in place of a matrix that is not finite, and fill its results with NaN."""
        x = op.args[0]
        each = emit(ops, aten.isfinite.default, (x,), x.shape, torch.bool, x)
        finite = emit(ops, aten.all.dims, (each, [-2, -1]), x.shape[:-2], torch.bool, x)
        safe = _chosen(ops, finite, x, 0)
        ops.append(replace(op, args=(safe, *op.args[1:])))
        self.fill(op.outputs, finite, ops)

    def fill(self, outputs: Sequence[Var], valid: Var, ops: list[Op]) -> None:
        for out in outputs:
            if out.dtype.is_floating_point or out.dtype.is_complex:
                self.new[out] = _chosen(ops, valid, out, torch.nan)


def _is_of_numbers(op: Apply) -> bool:
    """Tell whether an operation is a check that is replaced by NaN."""
    if op.target is aten._assert_async.msg:
        return op.args[1] in PROBABILITIES.values()
    return op.target is aten._linalg_check_errors.default


def _chosen(ops: list[Op], valid: Var, x: Var, other: float) -> Var:
    """Return x where `valid`, which has the batch axes of x, is true, and `other` elsewhere."""
    shape = valid.shape + (1,) * min(len(x.shape) - len(valid.shape), 2)
    flags = emit(ops, aten.view.default, (valid, list(shape)), shape, torch.bool, x)
    number = emit(ops, aten.full.default, ([], other), (), x.dtype, x, {"dtype": x.dtype, "device": x.device})
    return emit(ops, aten.where.self, (flags, x, number), x.shape, x.dtype, x)
