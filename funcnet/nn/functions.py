"""Functions of axes: softmax and its relatives, one-hot vectors, standardisation, attention."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import Axis, all_axes, one_axis
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, inexact, promote
from funcnet.numpy.reductions import mean as mean_of
from funcnet.numpy.reductions import var

__all__ = ["dot_product_attention", "log_softmax", "logmeanexp", "logsumexp", "one_hot", "softmax", "standardize"]


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) over axes; elements that `where` leaves out are 0."""
    return torch.exp(log_softmax(x, axis, where)) if where is not None else _plain("softmax", torch.softmax, x, axis)


def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Tensor:
    """x - log(sum(exp(x))) over axes; elements that `where` leaves out are -infinity."""
    if where is None:
        return _plain("log_softmax", torch.log_softmax, x, axis)
    x, included = inexact(as_tensor("log_softmax", x)), as_tensor("log_softmax", where)
    shifted = x - logsumexp(x, axis, keepdims=True, where=included)
    return torch.where(included, shifted, -torch.inf)


def _plain(operation: str, f: Any, x: ArrayLike, axis: Axis) -> Tensor:
    x = inexact(as_tensor(operation, x))
    axes = all_axes(operation, axis, x.ndim)
    if len(axes) == 1:
        return f(x, axes[0])
    shifted = x - torch.logsumexp(x, axes, keepdim=True)
    return shifted if operation == "log_softmax" else torch.exp(shifted)


def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Any:
    """log(sum(b exp(a))) over axes, without overflow.

    Args:
        a: The exponents.
        axis: The axes, by default all.
        b: Factors, which broadcast; they may be negative if return_sign.
        keepdims: Whether the axes stay, with length 1.
        return_sign: Whether to return (log(abs(sum)), sign of the sum).
        where: The elements to include.
    """
    x = inexact(as_tensor("logsumexp", a))
    factors = None if b is None else inexact(promote("logsumexp", x, b)[1])
    if factors is not None:
        x, factors = torch.broadcast_tensors(x, factors)
    included = None if where is None else as_tensor("logsumexp", where)
    x = x if included is None else torch.where(included, x, -torch.inf)
    axes = all_axes("logsumexp", axis, x.ndim)
    # torch.logsumexp has the derivative exp(x - result), whose error grows with the result
    largest = (x.amax if x.numel() else x.sum)(axes, keepdim=True) if axes else x
    largest = torch.where(torch.isfinite(largest), largest, 0.0).detach()
    terms = torch.exp(x - largest) if factors is None else factors * torch.exp(x - largest)
    total = terms.sum(axes, keepdim=True) if axes else terms
    sign = torch.sign(total)
    result = torch.log(torch.abs(total) if return_sign else total) + largest
    result, sign = (result, sign) if keepdims else (result.squeeze(axes), sign.squeeze(axes))
    return (result, sign) if return_sign else result


def logmeanexp(x: ArrayLike, axis: Axis = None, where: ArrayLike | None = None, keepdims: bool = False) -> Tensor:
    """log(mean(exp(x))) over axes, without overflow."""
    x = inexact(as_tensor("logmeanexp", x))
    included = torch.ones_like(x) if where is None else torch.broadcast_to(as_tensor("logmeanexp", where), x.shape)
    count = included.to(x.dtype).sum(all_axes("logmeanexp", axis, x.ndim), keepdim=keepdims)
    return logsumexp(x, axis, keepdims=keepdims, where=where) - torch.log(count)


def one_hot(x: ArrayLike, num_classes: int, *, dtype: DType = torch.float32, axis: int = -1) -> Tensor:
    """1 at the index x along a new axis and 0 elsewhere; all 0 for an index out of [0, num_classes).

    Example:
        >>> fn.nn.one_hot(torch.tensor([0, 2, 3]), 3)
        tensor([[1., 0., 0.],
                [0., 0., 1.],
                [0., 0., 0.]])
    """
    x = as_tensor("one_hot", x)
    axis = one_axis("one_hot", axis, x.ndim + 1)
    classes = torch.arange(num_classes, device=x.device).reshape([-1] + [1] * (x.ndim - axis))
    return (x.unsqueeze(axis) == classes).to(as_dtype("one_hot", dtype))


def standardize(
    x: ArrayLike,
    axis: Axis = -1,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    epsilon: ArrayLike = 1e-5,
    where: ArrayLike | None = None,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon), by default the mean and the biased variance of the axes."""
    x = inexact(as_tensor("standardize", x))
    centre = mean_of(x, axis, keepdims=True, where=where) if mean is None else mean
    spread = var(x, axis, keepdims=True, where=where) if variance is None else variance
    return (x - centre) * torch.rsqrt(as_tensor("standardize", spread) + epsilon)


def dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: ArrayLike | None = None,
    key_value_seq_lengths: ArrayLike | None = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
) -> Tensor:
    """softmax(scale query key^T + bias) value for each head.

    Args:
        query: (batch, T, heads, features), or without batch.
        key, value: (batch, S, heads, features); fewer heads are shared by groups of query heads.
        bias: Added to the scores (batch, heads, T, S); broadcasts.
        mask: True where a query sees a key; broadcasts to the scores.
        scale: By default 1 / sqrt(features).
        is_causal: Whether a query sees only the keys up to its position.
        query_seq_lengths, key_value_seq_lengths: How many queries, and how many keys and values, each example of the
            batch has, (batch,); the results of further queries are 0.
        local_window_size: How many keys before and after its own position a query sees; one number for both.
        implementation: JAX's choice of a kernel, without effect.
    Returns:
        (batch, T, heads, features).
    """
    q, k, v = (torch.movedim(x, -2, -3) for x in promote("dot_product_attention", query, key, value))
    k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], -3) if x.shape[-3] != q.shape[-3] else x for x in (k, v))
    scores = q @ k.mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    scores = scores if bias is None else scores + as_tensor("dot_product_attention", bias)
    for visible in _visible(scores, mask, is_causal, key_value_seq_lengths, local_window_size):
        scores = torch.where(visible, scores, torch.finfo(scores.dtype).min)
    result = torch.movedim(torch.softmax(scores, -1) @ v, -3, -2)
    if query_seq_lengths is None:
        return result
    read = torch.arange(result.shape[-3], device=result.device) < _lengths(query_seq_lengths, result)
    return torch.where(read[..., None, None], result, 0)


def _visible(
    scores: Tensor,
    mask: ArrayLike | None,
    is_causal: bool,
    lengths: ArrayLike | None,
    window: int | tuple[int, int] | None,
) -> Iterator[Tensor]:
    """Iterate over the masks of attention, which broadcast to the scores."""
    t, s = (torch.arange(size, device=scores.device) for size in scores.shape[-2:])
    if mask is not None:
        yield as_tensor("dot_product_attention", mask)
    if is_causal:
        yield s <= t[:, None]
    if lengths is not None:
        yield (s < _lengths(lengths, scores))[..., None, None, :]
    if window is not None:
        before, after = (window, window) if isinstance(window, int) else window
        yield (s >= t[:, None] - before) & (s <= t[:, None] + after)


def _lengths(lengths: ArrayLike, like: Tensor) -> Tensor:
    return as_tensor("dot_product_attention", lengths, like)[..., None]
