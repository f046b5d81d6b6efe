"""Statements that factor matrices, and solve systems with the factors."""

import math
from dataclasses import dataclass

from funcnet.compiler.native.buffers import View


@dataclass(eq=False)
class Routine:
    """A C function that overwrites each matrix of a batch, which the leading axes of all views count.

    Attributes:
        name: The function, in c/functions/factors.py.
        matrix: The matrices, with rows of neighbouring elements.
        results: Further views that it writes: the pivots, and per matrix the number of the step that failed, else 0.
        operands: Views that it only reads: a triangle, or pivots.
        options: Flags.
    """

    name: str
    matrix: View
    results: tuple[View, ...] = ()
    operands: tuple[View, ...] = ()
    options: tuple[bool, ...] = ()

    @property
    def multiplications(self) -> int:
        """The number of multiplications, about."""
        size = math.prod(self.matrix.shape)
        return size if self.name == "permute" else size * self.matrix.shape[-2] // 2
