"""Passes over a staged block: what nobody reads is removed, and no result is an argument or a view of one."""

from collections.abc import Iterable
from typing import Any

import torch

from funcnet.compiler.program import Apply, Block, Scan, Var, has_effect, inputs, variables


def remove_dead(block: Block) -> None:
    """Remove the operations, and the scans' carries, outputs and slices, whose values reach no result."""
    needed = set(variables(block.results))
    kept: list[Apply | Scan] = []
    for op in reversed(block.ops):
        if has_effect(op) or not needed.isdisjoint(op.outputs):
            if isinstance(op, Scan):
                _narrow(op, needed)
            needed.update(inputs(op))
            kept.append(op)
    block.ops = kept[::-1]


def _narrow(scan: Scan, needed: set[Var]) -> None:
    """Leave of a scan what its needed outputs depend on."""
    body, carries = scan.body, len(scan.init)
    live, read = _live(scan, needed)
    kept = [i for i in live if i < carries] + [i for i in range(carries, len(body.params)) if body.params[i] in read]
    sources = (*scan.init, *scan.xs)
    scan.init = tuple(sources[i] for i in kept if i < carries)
    scan.xs = tuple(sources[i] for i in kept if i >= carries)
    body.params = tuple(body.params[i] for i in kept)
    scan.outputs, body.results = (tuple(values[i] for i in live) for values in (scan.outputs, body.results))
    remove_dead(body)


def _live(scan: Scan, needed: set[Var]) -> tuple[list[int], set[Var]]:
    """Return which outputs of a scan are needed, by others or by its own next step, and all values that they read."""
    carried = scan.body.params[: len(scan.init)]
    live = {i for i, var in enumerate(scan.outputs) if var in needed}
    while True:
        read = _read(scan.body, [scan.body.results[i] for i in live])
        more = {i for i, param in enumerate(carried) if param in read} - live
        if not more:
            return sorted(live), read
        live |= more


def _read(block: Block, results: Iterable[Any]) -> set[Var]:
    """Collect the values that some results of a block, and its checks, depend on."""
    found = set(variables(tuple(results)))
    for op in reversed(block.ops):
        if has_effect(op) or not found.isdisjoint(op.outputs):
            found.update(_read_by(op, found) if isinstance(op, Scan) else inputs(op))
    return found


def _read_by(scan: Scan, needed: set[Var]) -> set[Var]:
    live, read = _live(scan, needed)
    sources = zip(scan.body.params, (*scan.init, *scan.xs), strict=True)
    starts = (scan.init[i] for i in live if i < len(scan.init))
    return read.union(starts, (source for param, source in sources if param in read))


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
    """Find the last carries that may share memory with the sources, after however many steps they got there."""
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
