"""Sums over the axis of a stack are written as additions, so that the stack need not be in memory."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from funcnet.compiler.program import Apply, Block, Op, Var, map_blocks

_MOST = 32  # terms; the error of a long sum grows with them, so that backends sum it in another order
_ATEN = torch.ops.aten
_SUMS = (_ATEN.sum.dim_IntList, _ATEN.mean.dim)
_FLOATS = (torch.float32, torch.float64)


def add_stacked(block: Block) -> Block:
    """Replace the sums and means over the axis of a stack of few tensors by additions."""
    return _added(block, {})


def _added(block: Block, made: dict[Var, Apply]) -> Block:
    ops: list[Op] = []
    for op in block.ops:
        if isinstance(op, Apply):
            made.update((var, op) for var in op.outputs)
            terms = _terms(op, made) if op.target in _SUMS else None
            ops += [op] if terms is None else _additions(op, terms)
        else:
            ops.append(map_blocks(op, partial(_added, made=made)))
    return Block(block.params, ops, block.results)


def _terms(op: Apply, made: dict[Var, Apply]) -> list[Var] | None:
    """Return the tensors of the stack that an operation sums over its axis, if it does."""
    x, out = op.args[0], op.outputs[0]
    if not isinstance(x, Var) or not x.shape or x not in made or x.dtype not in _FLOATS or op.kwargs.get("dtype"):
        return None
    axes, keeps = [axis % len(x.shape) for axis in op.args[1] or ()], len(op.args) > 2 and op.args[2]
    found = _stacked(x, made, axes[0]) if len(axes) == 1 and not keeps and out.dtype == x.dtype else None
    return found if found and 2 <= len(found) <= _MOST else None


def _stacked(x: Var, made: dict[Var, Apply], axis: int) -> list[Var] | None:
    """Return the tensors that are stacked along an axis, as the decomposition of `stack` does, to give x."""
    op, shape = made[x], (*x.shape[:axis], *x.shape[axis + 1 :])
    if op.target == _ATEN.view.default:
        pieces = _joined(made.get(op.args[0], op), axis)
    else:
        single = [made.get(piece) for piece in _joined(op, axis)]
        pieces = [
            piece.args[0]
            for piece in single
            if piece and piece.target == _ATEN.unsqueeze.default and piece.args[1] % len(x.shape) == axis
        ]
    is_whole = len(pieces) == x.shape[axis] and all(piece.shape == shape for piece in pieces)
    return [*pieces] if is_whole and all(piece.dtype == x.dtype for piece in pieces) else None


def _joined(op: Apply, axis: int) -> Sequence[Any]:
    """Return the tensors that an operation concatenates along an axis, if it does."""
    if op.target != _ATEN.cat.default:
        return []
    given = op.args[1] if len(op.args) > 1 else 0
    return op.args[0] if given % len(op.outputs[0].shape) == axis else []


def _additions(op: Apply, terms: Sequence[Var]) -> list[Apply]:
    """Return the additions of the terms to zero, since a sum of -0.0 is 0.0, and the division of a mean."""
    out, is_mean = op.outputs[0], op.target == _ATEN.mean.dim
    sums = [Var(out.shape, out.dtype, out.device) for _ in terms]
    sums[-1] = sums[-1] if is_mean else out
    found = [Apply(_ATEN.add.Scalar, (terms[0], 0.0), {}, (sums[0],))]
    steps = zip(pairwise(sums), terms[1:], strict=True)
    found += [Apply(_ATEN.add.Tensor, (before, term), {}, (after,)) for (before, after), term in steps]
    return [*found, Apply(_ATEN.div.Tensor, (sums[-1], len(terms)), {}, (out,))] if is_mean else found
