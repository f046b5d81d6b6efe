"""Passes over a staged block: what nobody reads is removed, and no result is an argument or a view of one."""

from collections.abc import Iterable

import torch

from funcnet.compiler.graph import Apply, Block, Scan, Var, inputs, variables


def remove_dead(block: Block) -> None:
    """Remove the operations and the scans' outputs whose values reach no result."""
    needed = set(variables(block.results))
    kept: list[Apply | Scan] = []
    for op in reversed(block.ops):
        if not needed.isdisjoint(op.outputs):
            if isinstance(op, Scan):
                _remove_dead_outputs(op, needed)
            needed.update(inputs(op))
            kept.append(op)
    block.ops = kept[::-1]


def _remove_dead_outputs(scan: Scan, needed: set[Var]) -> None:
    """Remove the stacked outputs that are not needed and the slices that the body does not read, then look inside."""
    carries = len(scan.init)
    live = [i for i, var in enumerate(scan.outputs) if i < carries or var in needed]
    scan.outputs = tuple(scan.outputs[i] for i in live)
    scan.body.results = tuple(scan.body.results[i] for i in live)
    remove_dead(scan.body)
    read = {var for op in scan.body.ops for var in inputs(op)} | set(variables(scan.body.results))
    slices = scan.body.params[carries:]
    scan.xs = tuple(x for x, slice_ in zip(scan.xs, slices, strict=True) if slice_ in read)
    scan.body.params = (*scan.body.params[:carries], *(slice_ for slice_ in slices if slice_ in read))


def unalias(block: Block) -> None:
    """Copy the results that share memory with a parameter, which its owner may write to."""
    shared = _sharing(block, block.params)
    block.results = tuple(_copy(block, var) if var in shared else var for var in block.results)


def _copy(block: Block, var: Var) -> Var:
    copy = Var(var.shape, var.dtype, var.device)
    block.ops.append(Apply(torch.ops.aten.clone.default, (var,), {}, (copy,)))
    return copy


def _sharing(block: Block, sources: Iterable[Var]) -> set[Var]:
    """Collect what may share memory with the sources: their views, and carries that a scan hands on."""
    shared = set(sources)
    for op in block.ops:
        if isinstance(op, Scan):
            shared.update(_carried(op, shared))
        elif op.target.is_view and op.args[0] in shared:
            shared.update(op.outputs)
    return shared


def _carried(scan: Scan, shared: set[Var]) -> list[Var]:
    starts = [(param, atom) for param, atom in zip(scan.body.params, scan.init, strict=False) if atom in shared]
    inside = _sharing(scan.body, [*shared, *(param for param, _ in starts)])
    ends = zip(scan.outputs, scan.init, scan.body.results, strict=False)
    return [out for out, start, end in ends if (start in shared and not scan.length) or end in inside]
