"""Views with named axes, and their contractions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from funcnet.compiler.native.buffers import View, row_major
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.lowering.lower import Lowering

Names = Sequence[str]


@dataclass(frozen=True)
class Axes:
    """A view and the names of its axes."""

    view: View
    names: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(self.names, self.view.shape, strict=True))

    @property
    def strides(self) -> dict[str, int]:
        return dict(zip(self.names, self.view.strides, strict=True))

    def over(self, names: Names, sizes: dict[str, int]) -> View:
        """View the axes in an order; along an axis that this view lacks, elements repeat."""
        shape, strides = ((sizes | self.sizes)[name] for name in names), (self.strides.get(name, 0) for name in names)
        return replace(self.view, shape=tuple(shape), strides=tuple(strides))

    def order(self, *names: str) -> "Axes":
        """Reorder the axes."""
        return Axes(self.over(names, {}), names)

    def cut(self, name: str, outer: str, count: int) -> "Axes":
        """Divide an axis into an outer one of `count` elements and one of the old name."""
        at, view = self.names.index(name), self.view
        rest, step = view.shape[at] // count, view.strides[at]
        shape = (*view.shape[:at], count, rest, *view.shape[at + 1 :])
        strides = (*view.strides[:at], rest * step, step, *view.strides[at + 1 :])
        return Axes(replace(view, shape=shape, strides=strides), (*self.names[:at], outer, *self.names[at:]))

    def join(self, names: Names, new: str) -> "Axes":
        """Make one axis of neighbouring axes; the view must be row-major along them."""
        start, end = self.names.index(names[0]), self.names.index(names[0]) + len(names)
        shape = (*self.view.shape[:start], math.prod(self.view.shape[start:end]), *self.view.shape[end:])
        joined = self.view.reshape(shape)
        assert joined is not None and self.names[start:end] == tuple(names)
        return Axes(joined, (*self.names[:start], new, *self.names[end:]))


def new(lowering: Lowering, sizes: dict[str, int], names: Names, dtype: torch.dtype, varying: bool) -> Axes:
    """Return a temporary with these axes, the last of which is the innermost in memory."""
    return Axes(lowering.temporary(tuple(sizes[name] for name in names), dtype, varying), tuple(names))


def copied(lowering: Lowering, x: Axes, *names: str) -> Axes:
    """Return a view or copy whose axes are in an order in memory, the last one innermost."""
    view = x.over(names, {})
    return Axes(view if view.strides == row_major(view.shape) else lowering.dense(view), names)


def contract(lowering: Lowering, out: Axes, left: Axes, right: Axes, row: str, column: str) -> None:
    """Compute out = Σ left right over all axes that out lacks; `row` is an axis of left, `column` one of right."""
    sizes = right.sizes | left.sizes
    batch = [name for name in out.names if name not in (row, column) and sizes[name] > 1]
    inner = [name for name in left.names if name not in out.names and sizes[name] > 1]
    result = out.over([*batch, row, column], {})
    if not out.view.dtype.is_floating_point:
        factors = [part.over([*batch, row, column, *inner], sizes) for part in (left, right)]
        products = lowering.map(factors[0].shape, lambda emit, a, b: emit("mul", a, b), *factors)
        lowering.store(result, lowering.reduce("add", products, range(len(batch) + 2, len(products.shape)), 0))
        return
    a, b = left.over([*batch, row, *inner], sizes), right.over([*batch, *inner, column], sizes)
    lowering.scope.add(Contract(result, *_merged(a, b, len(batch))), out.view)


def _merged(left: View, right: View, batch: int) -> tuple[View, View]:
    """Merge neighbouring axes of the sum that are one axis in both operands; without any axis, add one."""
    runs: list[tuple[int, int, int]] = []  # (size, stride of left, stride of right)
    for size, a, b in zip(left.shape[batch + 1 :], left.strides[batch + 1 :], right.strides[batch:-1], strict=True):
        linear = bool(runs) and runs[-1][1:] == (size * a, size * b)
        runs.append((runs.pop()[0] * size if linear else size, a, b))
    shape, steps, others = zip(*(runs or [(1, 0, 0)]), strict=True)
    head, tail = slice(batch + 1), slice(-1, None)
    return (
        replace(left, shape=(*left.shape[head], *shape), strides=(*left.strides[head], *steps)),
        replace(
            right,
            shape=(*right.shape[:batch], *shape, *right.shape[tail]),
            strides=(*right.strides[:batch], *others, *right.strides[tail]),
        ),
    )
