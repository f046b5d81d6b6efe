"""How the lanes of an outermost vmap are run: side by side in vectors, or one after another.

Few lanes would leave most of a vector empty. The values of a large net in all lanes leave the cache, while one net at a
time computes with vectors along the columns of its matrices. The choice depends on the program and on the number of
lanes alone, so that the number of threads does not change results.
"""

import math
from dataclasses import replace

from funcnet.compiler.native import contractions
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.cost import Simple, operations, total
from funcnet.compiler.native.loop_ir import Gather, LoopProgram, Nest, Scatter, Sort, reads, writes
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.native.target import Target
from funcnet.compiler.program import Program

_LEAST = 16  # bytes of the narrowest vectors of lanes

# Measured times of an AVX-512 machine, in those of one operation of a nest on vectors
_NARROW = 0.7  # of a block that fills a part of the widest vectors
_IN_LANES = 0.3  # of a multiplication of vectors
_ROUTINE = 0.15  # of a multiplication of a routine by vectors of neighbouring elements
_UNCACHED = 2.8  # most slowdown of a block whose values are not in the cache
_SHARED = {Method.TILES: 0.15, Method.WIDE: 0.022, Method.PANELS: 0.022, Method.BLAS: 0.02}  # of a multiplication


def single(program: Program) -> Program:
    """Return the program of one lane."""
    return replace(program, in_dims=None, out_dims=None, varying=frozenset())


def lanes_per_block(program: LoopProgram, lanes: int, word: int, target: Target) -> int:
    """Choose how many lanes a block computes at once; with 1, lanes run one after another.

    Args:
        program: The program lowered for lanes.
        lanes: How many lanes there are.
        word: Bytes of the widest float.
        target: The machine.
    """
    if lanes == 1:
        return 1
    most = target.vector // word
    width = min(most, max(_LEAST // word, 1 << max(lanes - 1, 0).bit_length()))
    in_lanes = total(program.statements, target, lambda statement: _in_lanes(statement, width, target))
    in_lanes *= _slowdown(program, width, target) * (1 if width == most else _NARROW)
    alone = total(program.statements, target, lambda statement: _alone(statement, most, target))
    return 1 if lanes * alone < -(-lanes // width) * in_lanes else width


def _in_lanes(statement: Simple, width: int, target: Target) -> float:
    """Estimate the time of a statement for a block of lanes."""
    if isinstance(statement, Contract) or (isinstance(statement, Routine) and not statement.is_of_lapack):
        return _IN_LANES * statement.multiplications
    return operations(statement, target) * (width if _is_irregular(statement) else 1)


def _alone(statement: Simple, most: int, target: Target) -> float:
    """Estimate the time of a statement for one lane, with vectors along the last axis."""
    if isinstance(statement, Contract):
        return _SHARED[contractions.best(statement, target)] * statement.multiplications
    if isinstance(statement, Routine) and not statement.is_of_lapack:
        return statement.multiplications * (1 if statement.matrix.shape[-1] < most else _ROUTINE)
    if not isinstance(statement, Nest) or _is_irregular(statement):
        return operations(statement, target)
    *outer, inner = statement.shape or (1,)
    return math.prod(outer) * (1 + -(-inner // most) * len(statement.body))


def _is_irregular(statement: Simple) -> bool:
    """Tell whether a statement computes the lanes of a block one by one."""
    parts = statement.body if isinstance(statement, Nest) else ()
    by_lane = isinstance(statement, Sort) or (isinstance(statement, Routine) and statement.is_of_lapack)
    return by_lane or any(isinstance(part, Gather | Scatter) for part in parts)


def _slowdown(program: LoopProgram, width: int, target: Target) -> float:
    """Estimate how much slower a block of lanes is because its values leave the cache."""
    buffers = {v.buffer for s in program.statements for v in (*reads(s), *writes(s)) if v.varying}
    size = width * sum(buffer.size * buffer.dtype.itemsize for buffer in buffers)
    return min(_UNCACHED, max(1, size / target.cache))
