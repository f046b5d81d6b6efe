"""Decompositions of lookups and writes of rows where a negative index is an error, unlike in x[i]."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import decomposition, index_fill
from funcnet.transforms.margin_losses import multilabel_margin_loss_forward
from funcnet.transforms.requirements import require
from funcnet.transforms.scattered_products import scatter_index

aten = torch.ops.aten


def _from_the_start(index: Tensor, size: int) -> Tensor:
    """Move negative indices out of range."""
    return torch.where(index < 0, size, index)


def _embedding(weight: Tensor, indices: Tensor, *_: Any) -> Tensor:
    """Select rows; the other arguments matter only to the gradient."""
    return weight.index_select(0, indices.reshape(-1)).reshape(*indices.shape, *weight.shape[1:])


def _embedding_dense_backward(grad: Tensor, indices: Tensor, count: int, padding: int, by_frequency: bool) -> Tensor:
    """Add up the gradients of each row except the padding's; by_frequency divides each sum by its number of terms."""
    places: list[Tensor | None] = [_from_the_start(indices, count)]
    if by_frequency:
        found = torch.zeros(count, dtype=grad.dtype, device=grad.device)
        ones = torch.ones(indices.shape, dtype=grad.dtype, device=grad.device)
        grad = grad / found.index_put(places, ones, accumulate=True)[tuple(places)][..., None]
    if padding >= 0:
        grad = torch.where((indices == padding)[..., None], 0, grad)
    return grad.new_zeros(count, *grad.shape[indices.ndim :]).index_put(places, grad, accumulate=True)


def _by_rows(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rule(x: Tensor, dim: int, index: Tensor, *args: Any, **options: Any) -> Tensor:
        index = index if index.ndim else index.reshape(1)  # torch's rules compare it with a source of one row
        return function(x, dim, _from_the_start(index, x.shape[dim] if x.ndim else 1), *args, **options)

    return rule


def _index_fill(x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """Fill rows. A negative index counts from the end here, but not in index_copy, which torch's rule uses."""
    size = x.shape[dim] if x.ndim else 1
    filled: Tensor = index_fill(x, dim, torch.where(index < 0, index + size, index), value)
    return filled


def _max_unpool(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Move an index that is outside of its volume out of range: torch's rule indexes all volumes as one row."""

    def rule(x: Tensor, index: Tensor, output_size: Sequence[int], *args: Any) -> Tensor:
        volume, batch = math.prod(output_size), math.prod(x.shape[: -len(output_size)])
        is_inside = (index >= 0) & (index < volume)
        return function(x, torch.where(is_inside, index, batch * volume), output_size, *args)

    return rule


def index_select(x: Tensor, dim: int, index: Tensor) -> Any:
    """Make a 0-d index 1-d: torch's batching rule repeats a 0-d index to the length of the axis."""
    return NotImplemented if index.ndim else aten.index_select.default(x, dim, index.reshape(1))


def _roll(x: Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> Any:
    """Join the parts before and after each cut, where torch's rule computes indices."""
    if not dims and len(shifts) == 1:
        return torch.roll(x.reshape(-1), shifts, [0]).reshape(x.shape)
    if not shifts or len(shifts) != len(dims) or not all(-x.ndim <= dim < x.ndim for dim in dims):
        return NotImplemented
    for shift, dim in zip(shifts, dims, strict=True):
        if at := -shift % max(x.shape[dim], 1):
            x = torch.cat([x.narrow(dim, at, x.shape[dim] - at), x.narrow(dim, 0, at)], dim)
    return x.clone()


def take(x: Tensor, index: Tensor) -> Tensor:
    """Index by the tensor even if it is 0-d: torch's own rule reads the value of such a tensor in Python."""
    return aten.index.Tensor(x.reshape(-1), [index])


def put(x: Tensor, index: Tensor, values: Tensor, accumulate: bool = False) -> Tensor:
    return aten.index_put.default(x.reshape(-1), [index], values.reshape(index.shape), accumulate).reshape(x.shape)


def _masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Any:
    """Write the next element of the source to each place where the mask is true."""
    if mask.dtype != torch.bool or x.dtype != source.dtype or not source.numel():
        return NotImplemented
    x, mask = torch.broadcast_tensors(x, mask)
    places = _ranks(mask)
    require((places < source.numel()).all(), "masked_scatter: Number of elements of source < number of ones in mask")
    return torch.where(mask, take(source, places.clamp(0, source.numel() - 1)), x)


def _masked_scatter_backward(grad: Tensor, mask: Tensor, sizes: Sequence[int]) -> Any:
    """Return the cotangent of the source, whose elements that were not needed have none."""
    size, (grad, mask) = math.prod(sizes), torch.broadcast_tensors(grad, mask)
    places = torch.where(mask, _ranks(mask), size).reshape(-1)
    return grad.new_zeros(size + 1).scatter(0, places, grad.reshape(-1))[:size].reshape(sizes)


def _ranks(mask: Tensor) -> Tensor:
    """Number the true elements, in row-major order."""
    return mask.reshape(-1).cumsum(0).reshape(mask.shape) - 1


def scatter_reduce(x: Tensor, dim: int, index: Tensor, source: Tensor, how: str, *, include_self: bool = True) -> Any:
    """Compute means by dividing sums; without `include_self`, begin with the neutral element."""
    if (how in ("sum", "mean") and not x.is_floating_point()) or x.dtype in _NARROW or (include_self and how in _PLAIN):
        return NotImplemented
    counts = torch.full_like(x, include_self).scatter_add(dim, index, torch.ones_like(source))
    first = x if include_self else torch.where(counts > 0, _neutral(how, x.dtype), x)
    if how in _PLAIN:
        return aten.scatter_reduce.two(first, dim, index, source, how)
    sums = first.scatter_add(dim, index, source)
    return sums / counts.clamp(min=1) if how == "mean" else sums


_PLAIN = ("prod", "amax", "amin")
_NARROW = (torch.bool, torch.bfloat16, torch.float16)


def _neutral(how: str, dtype: torch.dtype) -> float:
    """Return the number that a reduction leaves unchanged."""
    if how not in ("amax", "amin"):
        return int(how == "prod")
    if dtype.is_floating_point:
        return -math.inf if how == "amax" else math.inf
    return torch.iinfo(dtype).min if how == "amax" else torch.iinfo(dtype).max


def _index_reduce(x: Tensor, dim: int, index: Tensor, source: Tensor, how: str, *, include_self: bool = True) -> Any:
    """Scatter along the axis."""
    places = scatter_index(x, dim, index, source)
    if places is None or x.dtype in _NARROW or (how == "mean" and not x.is_floating_point()):
        return NotImplemented
    return aten.scatter_reduce.two(x, dim, places, source, how, include_self=include_self)


def rules() -> dict[Any, Callable[..., Any]]:
    """Return the rules; some are torch's rules applied to changed indices."""
    return {
        aten.embedding.default: _embedding,
        aten.embedding_dense_backward.default: _embedding_dense_backward,
        aten.roll.default: _roll,
        aten.masked_scatter.default: _masked_scatter,
        aten.masked_scatter_backward.default: _masked_scatter_backward,
        aten.index_add.default: _by_rows(decomposition("index_add")),
        aten.index_copy.default: _by_rows(decomposition("index_copy")),
        aten.index_reduce.default: _index_reduce,
        aten.index_fill.int_Scalar: _index_fill,
        aten.index_fill.int_Tensor: _index_fill,
        aten.max_unpool2d.default: _max_unpool(decomposition("max_unpool2d")),
        aten.max_unpool3d.default: _max_unpool(decomposition("max_unpool3d")),
        aten.multilabel_margin_loss_forward.default: multilabel_margin_loss_forward,
    }
