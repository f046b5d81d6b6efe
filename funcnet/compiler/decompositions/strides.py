"""Memory without values, and tensors that are described by their strides."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.errors import StagingError, user_line

aten = torch.ops.aten


def _empty(size: Sequence[int], *, dtype: Any = None, device: Any = None, **_: Any) -> Tensor:
    """Fill uninitialised memory with zeros, so that a program is a function of its arguments."""
    return torch.full(tuple(size), 0, dtype=dtype or torch.get_default_dtype(), device=device)


def _empty_permuted(size: Sequence[int], order: Sequence[int], **options: Any) -> Tensor:
    """Lay the axes out in memory in the given order, order[0] outermost."""
    x = _empty([size[axis] for axis in order], **options)
    return x.permute([list(order).index(axis) for axis in range(len(size))])


def _empty_strided(size: Sequence[int], stride: Sequence[int], **options: Any) -> Tensor:
    """Keep the strides if there are no gaps between elements: autograd applies as_strided to such tensors."""
    x = _empty_permuted(size, sorted(range(len(size)), key=lambda axis: stride[axis], reverse=True), **options)
    dense = all(n == 1 or step == asked for n, step, asked in zip(size, x.stride(), stride, strict=True))
    return x if dense else _empty(size, **options)


def _as_strided(x: Any, size: Sequence[int], stride: Sequence[int], offset: int | None = None) -> Any:
    """Apply the strides to the tensor that owns the memory, in row-major order: the only layout of a program."""
    root = x
    while root.lineage is not None:
        root = root.lineage.parent
    if not root.is_contiguous() or root.source:
        if offset in (None, x.storage_offset()) and _are_windows(x, size, stride):
            return x.unfold(-1, size[-1], stride[-2] // stride[-1]).narrow(-2, 0, size[-2])
        raise StagingError(f"jit: as_strided depends on the memory layout of a {x}{user_line()}. Index it instead.")
    if root is x:
        return NotImplemented
    return aten.as_strided.default(root, size, stride, x.storage_offset() if offset is None else offset)


def _are_windows(x: Tensor, size: Sequence[int], stride: Sequence[int]) -> bool:
    """Tell whether these are windows over the last axis of x, as in torch.stft, which x of any layout has."""
    if not x.ndim or len(size) < 2 or [*x.shape[:-1]] != [*size[:-2]] or [*x.stride()[:-1]] != [*stride[:-2]]:
        return False
    step = x.stride(-1)
    covered = (size[-2] - 1) * stride[-2] + (size[-1] - 1) * step < x.shape[-1] * step
    return covered and stride[-1] == step and stride[-2] > 0 and stride[-2] % step == 0


def _as_strided_scatter(
    x: Tensor, part: Tensor, size: Sequence[int], stride: Sequence[int], offset: int | None = None
) -> Tensor:
    """Write to these places in row-major memory, as in `_as_strided`."""
    places = torch.full(size, offset or 0, dtype=torch.int64, device=x.device)
    for axis, (count, step) in enumerate(zip(size, stride, strict=True)):
        places = places + (step * torch.arange(count, device=x.device)).view(-1, *(1 for _ in size[axis + 1 :]))
    return x.reshape(-1).index_put((places,), part).reshape(x.shape)


RULES: dict[Any, Callable[..., Any]] = {
    aten.empty.memory_format: _empty,
    aten.empty_strided.default: _empty_strided,
    aten.empty_permuted.default: _empty_permuted,
    aten.new_empty_strided.default: lambda x, size, stride, *, dtype=None, device=None, **_: _empty_strided(
        size, stride, dtype=dtype or x.dtype, device=device or x.device
    ),
    aten.as_strided.default: _as_strided,
    aten.as_strided_copy.default: lambda *args: aten.as_strided.default(*args).clone(),
    aten.as_strided_scatter.default: _as_strided_scatter,
}
