"""Loop-invariant code motion: move operations that depend on outside values alone out of a scan's body."""

from dataclasses import replace

from funcnet.compiler.program import Apply, Block, Scan, inputs


def hoist(block: Block) -> Block:
    """Move the operations of a scan's body that depend on outside values alone before the scan; inner scans first."""
    ops: list[Apply | Scan] = []
    for op in block.ops:
        if isinstance(op, Scan):
            body = hoist(op.body)
            inside, kept = set(body.params), list[Apply | Scan]()
            for inner in body.ops:
                stays = isinstance(inner, Scan) or any(var in inside for var in inputs(inner))
                (kept if stays else ops).append(inner)
                inside.update(inner.outputs if stays else ())
            op = replace(op, body=Block(body.params, kept, body.results))
        ops.append(op)
    return Block(block.params, ops, block.results)
