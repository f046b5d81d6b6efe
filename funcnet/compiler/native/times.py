"""Estimate the nanoseconds of a statement, to find out whether it is long enough for several threads."""

import math

from funcnet.compiler.native.c.primitives import PRIMITIVES, Kind
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.cost import Simple
from funcnet.compiler.native.loop_ir import Cumulate, Gather, Nest, Node, Part, Sort, writes

# Nanoseconds, measured on an AVX-512 machine, and used for all, whose results then have the same bits
_BYTES = 64  # of a vector
_VECTOR = 0.8  # of an operation on a vector
_SCALAR = 0.8  # of one that is not vectorised
_CALLED = 10  # operations of one that is a function
_PRODUCT = {Method.TILES: 0.1, Method.WIDE: 0.02, Method.PANELS: 0.02, Method.BLAS: 0.02}  # of a multiplication
_COMPARED = 4  # of a comparison in a sort


def time(statement: Simple) -> float:
    """Estimate the nanoseconds of a statement."""
    if isinstance(statement, Nest):
        return math.prod(statement.shape) * sum(map(_weight, statement.body)) * (_VECTOR / _width(statement))
    if isinstance(statement, Contract):
        wide = statement.out.dtype.itemsize / 4
        return statement.multiplications * wide * (_VECTOR if statement.out.varying else _PRODUCT[statement.method])
    if isinstance(statement, Sort):
        return math.prod(statement.source.shape) * statement.keys.shape[0].bit_length() * _COMPARED
    return math.prod(statement.out.shape) if isinstance(statement, Cumulate) else 0  # others are not cut


def _width(nest: Nest) -> float:
    """Return the number of elements that a nest computes at once: vectors of neighbours, or one element of lanes."""
    views = [*writes(nest)]
    if nest.sequential or any(isinstance(part, Gather) for part in nest.body):
        return _VECTOR / _SCALAR
    return 1 if any(view.varying for view in views) else _BYTES / max((v.dtype.itemsize for v in views), default=1)


def _weight(part: Part) -> int:
    called = isinstance(part, Node) and part.op in PRIMITIVES and PRIMITIVES[part.op].kind in (Kind.TEXT, Kind.LIBM)
    return _CALLED if called else 1
