"""Sorts of which only the first elements are read become selections of these; as sorts, they keep the order of ties."""

from collections import defaultdict
from dataclasses import replace
from functools import partial

import torch

from funcnet.compiler.program import Apply, Block, Op, Program, Var, inputs, map_blocks, substitute, walk

_ATEN = torch.ops.aten
_SORTS = (_ATEN.sort.default, _ATEN.sort.stable)
_SLICE, _SELECT, _CAST = _ATEN.slice.Tensor, _ATEN.select.int, _ATEN._to_copy.default
_Readers = dict[Var, list[Op | None]]  # None for the results of the block


def select(program: Program) -> Program:
    """Replace the sorts of a program whose last elements nothing reads by `topk`."""
    if not any(isinstance(op, Apply) and op.target in _SORTS for op in walk(program.block)):
        return program
    short: dict[Var, Var] = {}
    block = _selected(program.block, short)
    return replace(program, block=block, varying=program.varying | {short.get(var, var) for var in program.varying})


def _selected(block: Block, short: dict[Var, Var]) -> Block:
    """Return a block with selections; add the values that have become shorter."""
    readers, ops = _readers(block), list[Op]()
    for op in block.ops:
        if isinstance(op, Apply):
            ops.append(_shortened(_selection(op, readers, short), short))
        else:
            ops.append(map_blocks(op, partial(_selected, short=short)))
    return Block(block.params, ops, block.results)


def _readers(block: Block) -> _Readers:
    """Return the operations of a block that read each value."""
    found: _Readers = defaultdict(list)
    for op in block.ops:
        for var in inputs(op):
            found[var].append(op)
    for var in block.results:
        found[var].append(None)
    return found


def _selection(op: Apply, readers: _Readers, short: dict[Var, Var]) -> Apply:
    """Return `topk` for a sort whose last elements nothing reads, and note its shorter outputs."""
    if op.target not in _SORTS or not op.outputs[0].shape:
        return op
    options = dict(zip(("dim", "descending"), op.args[1:], strict=False)) | op.kwargs
    axis = options.get("dim", -1) % len(op.outputs[0].shape)
    count = max(_extent(var, axis, readers) for var in op.outputs)
    if count == op.outputs[0].shape[axis]:
        return op
    for var in op.outputs:
        _shorten(var, axis, count, readers, short)
    arguments = op.args[0], count, axis, options.get("descending", False)
    return replace(op, target=_ATEN.topk.default, args=arguments, kwargs={})


def _extent(var: Var, axis: int, readers: _Readers) -> int:
    """Return the number of the first elements along an axis that are read."""
    return max((_read(op, var, axis, readers) for op in readers[var]), default=0)


def _read(op: Op | None, var: Var, axis: int, readers: _Readers) -> int:
    if isinstance(op, Apply) and op.target == _CAST:
        return _extent(op.outputs[0], axis, readers)
    if isinstance(op, Apply) and op.target in (_SLICE, _SELECT) and len(op.args) > 2:
        dim, first, *rest = op.args[1:]
        end = rest[0] if op.target == _SLICE and rest else first + 1 if op.target == _SELECT else None
        if dim % len(var.shape) == axis and (first or 0) >= 0 and end is not None and end >= 0:
            return min(end, var.shape[axis])
    return var.shape[axis]


def _shorten(var: Var, axis: int, count: int, readers: _Readers, short: dict[Var, Var]) -> None:
    """Note that a value and its casts have fewer elements along an axis."""
    shape = (*var.shape[:axis], count, *var.shape[axis + 1 :])
    short[var] = Var(shape, var.dtype, var.device)
    for op in readers[var]:
        if isinstance(op, Apply) and op.target == _CAST:
            _shorten(op.outputs[0], axis, count, readers, short)


def _shortened(op: Apply, short: dict[Var, Var]) -> Apply:
    """Return an operation on the shorter values."""
    outputs = tuple(short.get(var, var) for var in op.outputs)
    return replace(op, args=substitute(op.args, short), outputs=outputs)
