"""Complex values as pairs of real ones, for kernels, whose loops are over real numbers.

In a separated program, most operations on complex numbers are operations on their parts, which fuse with others in the
loops of a kernel. The others are single operations on complex values, made by `view_as_complex` and read by
`view_as_real`. A complex parameter or result is a real tensor with an axis of both parts at the end.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from funcnet.compiler.complex_numbers.rules import RULES
from funcnet.compiler.complex_numbers.separation import Separation
from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.program import Program, Var, walk


def separated(program: Program) -> Program:
    """Return a program with the parts of complex values in their place; the same one if it has none.

    Raises:
        UnsupportedError: There are complex numbers of half precision.
    """
    dtypes = {var.dtype for var in _values(program)}
    if torch.complex32 in dtypes:
        raise UnsupportedError(f"the native backend has no {torch.complex32}")
    if not any(dtype.is_complex for dtype in dtypes):
        return program
    return replace(program, block=Separation(RULES, program.in_dims is not None).outermost(program.block))


def _values(program: Program) -> Iterator[Var]:
    yield from program.block.params
    for op in walk(program.block):
        yield from op.outputs
