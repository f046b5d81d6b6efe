"""What is known of a program before it is lowered: what a loop need not repeat, and what differs between lanes."""

from dataclasses import replace

from funcnet.compiler import program
from funcnet.compiler.program import Apply, Block, Scan, Var


def hoist(block: Block) -> Block:
    """Move what a scan's body computes from outside values alone in front of the scan, from the inside out."""
    ops: list[Apply | Scan] = []
    for op in block.ops:
        if isinstance(op, Scan):
            body = hoist(op.body)
            inside, kept = set(body.params), list[Apply | Scan]()
            for inner in body.ops:
                stays = isinstance(inner, Scan) or any(var in inside for var in program.inputs(inner))
                (kept if stays else ops).append(inner)
                inside.update(inner.outputs if stays else ())
            op = replace(op, body=Block(body.params, kept, body.results))
        ops.append(op)
    return Block(block.params, ops, block.results)


def varying(block: Block, in_dims: tuple[int | None, ...] | None) -> set[Var]:
    """The values that differ between lanes."""
    dims = in_dims or (None,) * len(block.params)
    found = {var for var, dim in zip(block.params, dims, strict=True) if dim is not None}
    _spread(block, found)
    return found


def _spread(block: Block, found: set[Var]) -> None:
    for op in block.ops:
        if isinstance(op, Apply):
            found.update(op.outputs if any(var in found for var in program.inputs(op)) else ())
            continue
        count = len(op.init)
        sources = zip(op.body.params, (*op.init, *op.xs), strict=True)
        found.update(var for var, source in sources if source in found)
        size = -1
        while size != len(found):
            size = len(found)
            _spread(op.body, found)
            results = zip(op.body.params[:count], op.body.results[:count], strict=True)
            found.update(var for var, result in results if result in found)
        outcomes = zip(op.outputs, op.body.results, strict=True)
        found.update(out for out, result in outcomes if result in found)
        found.update(out for out, param in zip(op.outputs, op.body.params[:count], strict=False) if param in found)
