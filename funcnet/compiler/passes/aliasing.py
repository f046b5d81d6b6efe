"""Copy the results of a program that are its arguments, or views of them."""

from collections.abc import Iterable

import torch

from funcnet.compiler.program import Apply, Block, Scan, Var


def unalias(block: Block) -> None:
    """Copy the results that share memory with a parameter: the caller may write to either."""
    shared = _sharing(block, block.params)
    block.results = tuple(_copy(block, var) if var in shared else var for var in block.results)


def _copy(block: Block, var: Var) -> Var:
    copy = Var(var.shape, var.dtype, var.device)
    block.ops.append(Apply(torch.ops.aten.clone.default, (var,), {}, (copy,)))
    return copy


def _sharing(block: Block, sources: Iterable[Var]) -> set[Var]:
    """Collect the values that may share memory with the sources: their views, and carries that a scan passes on."""
    shared = set(sources)
    for op in block.ops:
        if isinstance(op, Scan):
            shared.update(_carried(op, shared))
        elif op.target.is_view and op.args[0] in shared:
            shared.update(op.outputs)
    return shared


def _carried(scan: Scan, shared: set[Var]) -> list[Var]:
    """Find the final carries that may share memory with the sources, after any number of steps."""
    carries, params = len(scan.init), scan.body.params
    sources = {param for param, atom in zip(params, (*scan.init, *scan.xs), strict=True) if atom in shared}
    while True:
        inside = _sharing(scan.body, [*shared, *sources])
        later = {p for p, end in zip(params[:carries], scan.body.results, strict=False) if end in inside}
        if later <= sources:
            break
        sources |= later
    ends = zip(scan.outputs, scan.init, scan.body.results, strict=False)
    return [out for out, start, end in ends if (start in shared and not scan.length) or end in inside]
