"""Dead code elimination: remove the operations, carries and slices that no result depends on."""

from collections.abc import Iterable
from typing import Any

from funcnet.compiler.program import Apply, Block, Scan, Var, has_effect, inputs, variables


def remove_dead(block: Block) -> None:
    """Remove the operations that no result depends on, and such carries, inputs and outputs of scans."""
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
    """Drop the carries, inputs and outputs of a scan that no needed output depends on."""
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
    """Return the positions of a scan's outputs that others or its next step need, and all values that they read."""
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
