"""Find the values of a program that differ between the lanes of an outermost vmap."""

from collections.abc import Sequence

from funcnet.compiler.program import Apply, Block, Scan, Switch, Var, While, inputs


def varying(block: Block, in_dims: tuple[int | None, ...] | None) -> frozenset[Var]:
    """Find the values that differ between lanes."""
    if in_dims is None:
        return frozenset()
    found = {var for var, dim in zip(block.params, in_dims, strict=True) if dim is not None}
    _spread(block, found)
    return frozenset(found)


def _spread(block: Block, found: set[Var]) -> None:
    for op in block.ops:
        match op:
            case Apply():
                found.update(op.outputs if any(var in found for var in inputs(op)) else ())
            case Scan():
                _spread_loop(op, (*op.init, *op.xs), found)
            case While():
                _spread_loop(op, op.init, found)
            case Switch():
                for branch in op.branches:
                    _spread(branch, found)
                columns = zip(op.outputs, *(branch.results for branch in op.branches), strict=True)
                found.update(out for out, *ends in columns if op.index in found or any(x in found for x in ends))


def _spread_loop(op: Scan | While, starts: Sequence[Var], found: set[Var]) -> None:
    """Find the varying values of a loop; if its condition varies, so do its carries: lanes stop at different steps."""
    count = len(op.init)
    carried = op.body.params[:count]
    found.update(var for var, start in zip(op.body.params, starts, strict=True) if start in found)
    size = -1
    while size != len(found):
        size = len(found)
        if isinstance(op, While):
            found.update(var for var, param in zip(op.test.params, carried, strict=True) if param in found)
            _spread(op.test, found)
            found.update(carried if op.test.results[0] in found else ())
        _spread(op.body, found)
        found.update(var for var, result in zip(carried, op.body.results, strict=False) if result in found)
    found.update(out for out, result in zip(op.outputs, op.body.results, strict=True) if result in found)
    found.update(out for out, param in zip(op.outputs, carried, strict=False) if param in found)
