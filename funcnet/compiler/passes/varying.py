"""Find the values of a program that differ between the lanes of an outermost vmap."""

from funcnet.compiler.program import Apply, Block, Var, inputs


def varying(block: Block, in_dims: tuple[int | None, ...] | None) -> frozenset[Var]:
    """Find the values that differ between lanes."""
    if in_dims is None:
        return frozenset()
    found = {var for var, dim in zip(block.params, in_dims, strict=True) if dim is not None}
    _spread(block, found)
    return frozenset(found)


def _spread(block: Block, found: set[Var]) -> None:
    for op in block.ops:
        if isinstance(op, Apply):
            found.update(op.outputs if any(var in found for var in inputs(op)) else ())
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
