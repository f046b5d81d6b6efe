"""Dead code elimination: remove the operations, carries and slices that no result depends on."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from funcnet.compiler.program import Apply, Block, Op, Scan, Switch, Var, While, has_effect, inputs, variables

aten = torch.ops.aten


def remove_dead(block: Block) -> None:
    """Remove the operations that no result depends on, and such carries, inputs and outputs of scans."""
    needed = set(variables(block.results))
    kept: list[Op] = []
    for op in reversed(block.ops):
        if has_effect(op) or not needed.isdisjoint(op.outputs):
            _narrow(op, needed)
            needed.update(inputs(op))
            kept.append(op)
    block.ops = kept[::-1]


def _narrow(op: Op, needed: set[Var]) -> None:
    """Drop the results, carries and slices that no needed output depends on."""
    match op:
        case Apply():
            _narrow_factorisation(op, needed)
        case Scan():
            _narrow_scan(op, needed)
        case While():
            _narrow_while(op, needed)
        case Switch():
            live = [i for i, var in enumerate(op.outputs) if var in needed]
            op.outputs = _only(op.outputs, live)
            for branch in op.branches:
                branch.results = _only(branch.results, live)
                remove_dead(branch)


_ALONE: dict[Any, tuple[int, Callable[..., tuple[Any, ...]]]] = {  # a result, and the arguments for it alone
    aten._linalg_eigh.default: (0, lambda x, part="L", *_: (x, part, False)),
    aten._linalg_svd.default: (1, lambda x, *_: (x, False, False)),
    aten.linalg_qr.default: (1, lambda x, *_: (x, "r")),
}


def _narrow_factorisation(op: Apply, needed: set[Var]) -> None:
    """Compute singular values, eigenvalues or a triangle alone if nothing else is needed, as torch's svdvals does."""
    if op.target is aten.linalg_eig.default and op.outputs[1] not in needed:
        op.target, op.outputs = aten.linalg_eigvals.default, op.outputs[:1]
    if op.target not in _ALONE or "complete" in op.args:
        return
    kept, arguments = _ALONE[op.target]
    unneeded = {var: Var((0,), var.dtype, var.device) for i, var in enumerate(op.outputs) if i != kept}
    if needed.isdisjoint(unneeded):
        op.args, op.outputs = arguments(*op.args), tuple(unneeded.get(var, var) for var in op.outputs)


def _narrow_scan(scan: Scan, needed: set[Var]) -> None:
    body, carries = scan.body, len(scan.init)
    live, read = _live(scan, needed)
    kept = [i for i in live if i < carries] + [i for i in range(carries, len(body.params)) if body.params[i] in read]
    sources = (*scan.init, *scan.xs)
    scan.init = tuple(sources[i] for i in kept if i < carries)
    scan.xs = tuple(sources[i] for i in kept if i >= carries)
    body.params = _only(body.params, kept)
    scan.outputs, body.results = _only(scan.outputs, live), _only(body.results, live)
    remove_dead(body)


def _narrow_while(loop: While, needed: set[Var]) -> None:
    live, _ = _live(loop, needed)
    loop.init, loop.outputs = _only(loop.init, live), _only(loop.outputs, live)
    loop.test.params, loop.body.params = _only(loop.test.params, live), _only(loop.body.params, live)
    loop.body.results = _only(loop.body.results, live)
    remove_dead(loop.test)
    remove_dead(loop.body)


def _only(values: Sequence[Var], kept: Sequence[int]) -> tuple[Var, ...]:
    return tuple(values[i] for i in kept)


def _live(loop: Scan | While, needed: set[Var]) -> tuple[list[int], set[Var]]:
    """Return the positions of a loop's outputs that others, its test or its next step need, and all values read."""
    carried = loop.body.params[: len(loop.init)]
    tested = _read(loop.test, loop.test.results) if isinstance(loop, While) else set[Var]()
    live = {i for i, var in enumerate(loop.outputs) if var in needed}
    live |= {i for i, param in enumerate(loop.test.params) if param in tested} if isinstance(loop, While) else set()
    while True:
        read = tested | _read(loop.body, [loop.body.results[i] for i in live])
        more = {i for i, param in enumerate(carried) if param in read} - live
        if not more:
            return sorted(live), read
        live |= more


def _read(block: Block, results: Iterable[Any]) -> set[Var]:
    """Collect the values that some results of a block, and its checks, depend on."""
    found = set(variables(tuple(results)))
    for op in reversed(block.ops):
        if has_effect(op) or not found.isdisjoint(op.outputs):
            found.update(_read_by(op, found))
    return found


def _read_by(op: Op, needed: set[Var]) -> Iterable[Var]:
    match op:
        case Apply():
            return inputs(op)
        case Scan() | While():
            live, read = _live(op, needed)
            starts = (op.init[i] for i in live if i < len(op.init))
            xs = op.xs if isinstance(op, Scan) else ()
            sources = zip(op.body.params, (*op.init, *xs), strict=True)
            return read.union(starts, (source for param, source in sources if param in read))
        case Switch():
            live = [i for i, var in enumerate(op.outputs) if var in needed]
            return {op.index}.union(*(_read(branch, _only(branch.results, live)) for branch in op.branches))
