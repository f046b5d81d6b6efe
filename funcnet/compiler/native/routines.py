"""Statements that factor matrices, solve systems with the factors, and compute Fourier transforms."""

import math
from dataclasses import dataclass

from funcnet.compiler.native.buffers import View

# routines that compute one lane after another, and the relative work of each
_BY_LANE = {"eigh": 10, "svd": 20, "reflect": 2, "multiply_reflectors": 2, "solve_least": 3, "matrix_exp": 10}
_CALL = 1000  # operations in whose time LAPACK factors a small matrix


@dataclass(eq=False)
class Routine:
    """A C function that overwrites each matrix of a batch, which the leading axes of all views count.

    Attributes:
        name: The function, in c/functions/factors.py or c/functions/lapack.py; or "fourier", see c/fourier.py.
        matrix: The matrices, with rows of neighbouring elements; of Fourier transforms, an axis of both parts, one that
            is transformed, and one of columns.
        results: Further views that it writes: pivots, and per matrix the number of the step that failed, else 0.
        operands: Views that it only reads: a triangle, or pivots.
        options: Flags.
        work: Scratch of a Fourier transform, or of a routine that computes one lane after another.
        copies: Of such a routine in lanes, memory for the matrix, results and operands of one lane.
        numbers: Numbers in the dtype of the matrices.
    """

    name: str
    matrix: View
    results: tuple[View, ...] = ()
    operands: tuple[View, ...] = ()
    options: tuple[bool, ...] = ()
    work: tuple[View, ...] = ()
    copies: tuple[View, ...] = ()
    numbers: tuple[float, ...] = ()

    @property
    def is_by_lane(self) -> bool:
        """Whether it computes one lane after another, by scalars, as those of LAPACK do."""
        return self.name in _BY_LANE

    @property
    def multiplications(self) -> int:
        """The number of multiplications, about."""
        size = math.prod(self.matrix.shape)
        if self.name == "fourier":
            return 2 * size * self.matrix.shape[-2].bit_length()
        if self.is_by_lane:
            return _CALL * math.prod(self.matrix.shape[:-2]) + _BY_LANE[self.name] * size * min(self.matrix.shape[-2:])
        return size if self.name == "permute" else size * self.matrix.shape[-2] // 2
