"""The windows of convolutions and pools: views of a padded tensor with axes for elements and for positions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from funcnet.compiler.native.buffers import View, row_major
from funcnet.compiler.native.loop_ir import Const
from funcnet.compiler.native.lowering.indexing import pad_into
from funcnet.compiler.native.lowering.lower import Lowering
from funcnet.compiler.native.lowering.values import Number, Value, varies

Sizes = Sequence[int]
_MOST = 64  # elements of a window that are written out


@dataclass(frozen=True)
class Windows:
    """The windows over the last axes of a tensor: a tuple of one number per axis for each property.

    Attributes:
        size: Of the tensor.
        kernel: Elements of a window.
        positions: Windows.
        stride: The distance between two windows.
        dilation: The distance between two elements of a window.
        before: Elements before the tensor with which the first window begins; negative if it begins inside.
    """

    size: Sizes
    kernel: Sizes
    positions: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes

    @property
    def has_stride(self) -> bool:
        return any(step > 1 for step in self.stride)

    @property
    def overlap(self) -> bool:
        return any(step <= reach for step, reach in zip(self.stride, self.reach, strict=True))

    @property
    def are_large(self) -> bool:
        """Whether a loop over the elements of a window is better than to write them out."""
        return math.prod(self.kernel) > _MOST

    @property
    def reach(self) -> list[int]:
        """The distance from the first to the last element of a window."""
        return [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]

    @property
    def margins(self) -> list[tuple[int, int]]:
        """The elements that the windows read before and after the tensor; negative if they begin inside it."""
        last = [s * (p - 1) + r + 1 for s, p, r in zip(self.stride, self.positions, self.reach, strict=True)]
        return [(b, max(end - b - n, 0)) for b, end, n in zip(self.before, last, self.size, strict=True)]

    @property
    def room(self) -> tuple[int, ...]:
        """The sizes of the tensor with its margins."""
        return tuple(n + low + high for n, (low, high) in zip(self.size, self.margins, strict=True))

    @property
    def length(self) -> int:
        """The distance in memory from the first to the last window, plus one, for a stride of 1."""
        return 1 + sum((n - 1) * step for n, step in zip(self.positions, row_major(self.room), strict=True))

    def of(self, x: View) -> View:
        """View a padded tensor as (*, *kernel, *positions)."""
        axes = len(self.kernel)
        steps, shape, strides = x.strides[-axes:], x.shape[:-axes], x.strides[:-axes]
        within, between = ([a * b for a, b in zip(of, steps, strict=True)] for of in (self.dilation, self.stride))
        return replace(x, shape=(*shape, *self.kernel, *self.positions), strides=(*strides, *within, *between))

    def inside(self, padded: View) -> View:
        """View the tensor without its margins."""
        axes = len(self.size)
        start = sum(b * step for b, step in zip(self.before, padded.strides[-axes:], strict=True))
        return replace(padded, shape=(*padded.shape[:-axes], *self.size), offset=padded.offset + start)


def padded(
    lowering: Lowering, x: Value, at: Windows, fill: Number = 0, *, dense: bool = False, joined: bool = False
) -> View:
    """Return a tensor (*, *size) with its margins; the tensor itself, if it has none and is laid out as asked for.

    Args:
        lowering: The lowering.
        x: The tensor.
        at: Its windows.
        fill: The value in the margins.
        dense: Whether the last axes are to be row-major in memory.
        joined: Whether the second axis is to be the outermost one in memory.
    """
    rank = len(at.size)
    lead = x.shape[:-rank]
    if not joined and all(low <= 0 and high == 0 for low, high in at.margins):
        view = lowering.view(x)
        if not dense or view.strides[-rank:] == row_major(at.size):
            start = sum(-low * step for low, step in zip(at.before, view.strides[-rank:], strict=True))
            return replace(view, shape=(*lead, *at.room), offset=view.offset + start)
    order = (1, 0, *range(2, len(x.shape))) if joined else range(len(x.shape))
    out = lowering.temporary([(*lead, *at.room)[axis] for axis in order], x.dtype, varies(x)).permute(order)
    pad_into(lowering, out, x, at.margins, Const(fill, x.dtype))
    return out
