"""How the lanes of an outermost vmap are run: side by side in vectors, or one after another.

Few lanes would leave most of a vector empty. The values of a large net in all lanes leave the cache, while one net at a
time computes with vectors along the columns of its matrices. The choice depends on the program and on the number of
lanes alone, so that the number of threads does not change results.
"""

import math
from dataclasses import replace

from funcnet.compiler.complex_numbers.radices import columns_at_once
from funcnet.compiler.native import contractions
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.cost import Simple, operations, total
from funcnet.compiler.native.loop_ir import Gather, LoopProgram, Nest, Scatter, Sort, reads, writes
from funcnet.compiler.native.merging import groups
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.native.target import Target
from funcnet.compiler.program import Program

_LEAST = 16  # bytes of the narrowest vectors of lanes

# Measured times of an AVX-512 machine, in those of one operation of a nest on vectors of lanes
_NARROW = 0.9  # of a block that fills a part of the widest vectors
_ALONE = 0.8  # of an operation on vectors of neighbouring elements, or of a store of one
_MULTIPLICATION = 0.15  # of vectors in a matrix product
_TILES = 0.25  # of a multiplication of elements
_ROUTINE = 0.3  # of a multiplication of a routine in lanes
_ROUTINE_ALONE = 0.15  # of one by vectors of neighbouring elements
_GROWTH = 0.1  # power of its size by which a block that leaves the cache is slower


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
    if isinstance(statement, Contract):
        return _MULTIPLICATION * statement.multiplications
    if isinstance(statement, Routine) and not statement.is_by_lane:
        return _ROUTINE * statement.multiplications
    return operations(statement, target) * (width if _is_irregular(statement) else 1)


def _alone(statement: Simple, most: int, target: Target) -> float:
    """Estimate the time of a statement for one lane, with vectors along the last axis."""
    if isinstance(statement, Contract):
        if contractions.best(statement, target) is Method.TILES:
            return _TILES * statement.multiplications
        *rows, columns = statement.out.shape
        return math.prod(rows) * -(-columns // most) * (_MULTIPLICATION * math.prod(statement.inner) + _ALONE)
    if isinstance(statement, Routine) and statement.name == "fourier":
        n, columns = statement.matrix.shape[-2:]
        return _ROUTINE * statement.multiplications / columns_at_once(n, columns, most)
    if isinstance(statement, Routine) and not statement.is_by_lane:
        return statement.multiplications * (1 if statement.matrix.shape[-1] < most else _ROUTINE_ALONE)
    if not isinstance(statement, Nest) or _is_irregular(statement):
        return operations(statement, target)
    *outer, inner = (math.prod(statement.shape[axis] for axis in group) for group in groups(statement) or [[]])
    return math.prod(outer) * (1 + _ALONE * -(-inner // most) * len(statement.body))


def _is_irregular(statement: Simple) -> bool:
    """Tell whether a statement computes the lanes of a block one by one."""
    parts = statement.body if isinstance(statement, Nest) else ()
    by_lane = isinstance(statement, Sort) or (isinstance(statement, Routine) and statement.is_by_lane)
    return by_lane or any(isinstance(part, Gather | Scatter) for part in parts)


def _slowdown(program: LoopProgram, width: int, target: Target) -> float:
    """Estimate how much slower a block of lanes is because its values leave the first cache."""
    buffers = {v.buffer for s in program.statements for v in (*reads(s), *writes(s)) if v.varying}
    size = width * sum(buffer.size * buffer.dtype.itemsize for buffer in buffers)
    return float(max(1, size / target.cache) ** _GROWTH)
