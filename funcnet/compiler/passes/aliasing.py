"""Copy the results of a program that are its arguments, or views of them."""

from collections.abc import Iterable, Sequence

import torch

from funcnet.compiler.program import Apply, Block, Op, Scan, Switch, Var, While


def unalias(block: Block) -> None:
    """Copy the results that share memory with a parameter: the caller may write to either."""
    shared = _sharing(block, block.params)
    block.results = tuple(_copy(block, var) if var in shared else var for var in block.results)


def _copy(block: Block, var: Var) -> Var:
    copy = Var(var.shape, var.dtype, var.device)
    block.ops.append(Apply(torch.ops.aten.clone.default, (var,), {}, (copy,)))
    return copy


def _sharing(block: Block, sources: Iterable[Var]) -> set[Var]:
    """Collect the values that may share memory with the sources: views, results of branches, carries passed on."""
    shared = set(sources)
    for op in block.ops:
        shared.update(_shared_outputs(op, shared))
    return shared


def _shared_outputs(op: Op, shared: set[Var]) -> Iterable[Var]:
    match op:
        case Apply():
            return op.outputs if op.target.is_view and op.args[0] in shared else ()
        case Scan():
            return _carried(op, shared, op.body, (*op.init, *op.xs), at_least_once=op.length > 0)
        case While():
            return _carried(op, shared, op.body, op.init, at_least_once=False)
        case Switch():
            inside = [(branch.results, _sharing(branch, shared)) for branch in op.branches]
            return [out for i, out in enumerate(op.outputs) if any(ends[i] in found for ends, found in inside)]


def _carried(
    op: Scan | While, shared: set[Var], body: Block, starts: Sequence[Var], *, at_least_once: bool
) -> list[Var]:
    """Find the final carries that may share memory with the sources, after any number of steps."""
    carries, params = len(op.init), body.params
    sources = {param for param, atom in zip(params, starts, strict=True) if atom in shared}
    while True:
        inside = _sharing(body, [*shared, *sources])
        later = {p for p, end in zip(params[:carries], body.results, strict=False) if end in inside}
        if later <= sources:
            break
        sources |= later
    ends = zip(op.outputs, op.init, body.results, strict=False)
    return [out for out, start, end in ends if (start in shared and not at_least_once) or end in inside]
