"""Matrix products, and the ways to compute one."""

import math
from dataclasses import dataclass
from enum import Enum

from funcnet.compiler.native.buffers import View


class Method(Enum):
    """How a matrix product is computed."""

    TILES = "tiles"  # of sums in registers; operands with any strides
    WIDE = "wide"  # vectors along n; dense rows of right
    PANELS = "panels"  # vectors along n, from a few columns of right at a time, packed into scratch
    BLAS = "blas"  # torch's BLAS; dense rows or columns of both operands


@dataclass(eq=False)
class Contract:
    """out[…, m, n] = Σ_k left[…, m, k] right[…, k, n] for one or more axes k; method and panel are chosen later."""

    out: View
    left: View
    right: View
    method: Method = Method.TILES
    panel: View | None = None

    @property
    def inner(self) -> tuple[int, ...]:  # the sizes of the axes that the sum runs over
        return self.left.shape[len(self.out.shape) - 1 :]

    @property
    def multiplications(self) -> int:
        return math.prod((*self.out.shape, *self.inner))
