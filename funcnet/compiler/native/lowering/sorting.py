"""Rules of sorting along an axis."""

import torch

from funcnet.compiler.native.loop_ir import Const, Sort
from funcnet.compiler.native.lowering import views
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Splat, Value


def _sort(
    lowering: Lowering, x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> list[Value]:
    """Return the sorted values and their old positions; always stable."""
    if not x.shape:
        return [x, Splat(Const(0, torch.int64), ())]
    source, axis = lowering.view(x), dim % len(x.shape)
    values, indices = (lowering.temporary(x.shape, dtype, source.varying) for dtype in (x.dtype, torch.int64))
    keys, order = (lowering.temporary((2 * x.shape[axis],), dtype, False) for dtype in (x.dtype, torch.int64))
    lowering.scope.add(Sort(values, indices, source, axis, descending, keys, order), values, indices)
    return [values, indices]


def _topk(
    lowering: Lowering, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[Value]:
    found = _sort(lowering, x, dim, largest)
    return [views.narrow(lowering.view(value), dim, 0, k) for value in found] if x.shape else found


RULES: dict[str, Rule] = {"sort": _sort, "topk": _topk}
