"""An estimate of the memory of a program that runs operation by operation."""

import math

from funcnet.compiler.program import Block, Program, Var, blocks, inputs, variables


def estimate(program: Program, lanes: int | None) -> int:
    """Return the bytes of a run besides its arguments; of an outermost vmap, a chunk of lanes runs at once."""
    count = 1 if lanes is None else lanes
    chunk = min(count, program.chunk_size or count)
    results = sum(map(_bytes, program.block.results)) * (count - chunk)
    return results + peak(program.block) * chunk


def peak(block: Block) -> int:
    """Return the most bytes of a block's values that are alive at once; views count as copies."""
    last = {var: i for i, op in enumerate(block.ops) for var in inputs(op)}
    last |= dict.fromkeys(variables(block.results), len(block.ops))
    made, alive, most = set[Var](), 0, 0
    for i, op in enumerate(block.ops):
        made.update(op.outputs)
        alive += sum(map(_bytes, op.outputs))
        most = max(most, alive + max(map(peak, blocks(op)), default=0))
        ended = {var for var in (*inputs(op), *op.outputs) if var in made and last.get(var, i) == i}
        alive -= sum(map(_bytes, ended))
    return most


def _bytes(var: Var) -> int:
    return math.prod(var.shape) * var.dtype.itemsize
