"""Attention as matrix products and a softmax, and its backward operation.

torch's own rule for the forward operation returns the weights where its backward operation expects the logarithm of
the normaliser.
"""

import math
from typing import Any

import torch
from torch import Tensor


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> Any:
    """Return softmax(scale q kᵀ + mask) v and the logarithm of the softmax's normaliser."""
    if dropout_p:
        return NotImplemented
    k, v = (_repeated(x, q.shape[1]) for x in (k, v))
    weights, normaliser = _softmax(_scores(q, k, is_causal, attn_mask, scale))
    return _laid_out_like(q, weights @ v), normaliser


def attention_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    normaliser: Tensor,
    dropout_p: float,
    is_causal: bool,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> Any:
    """Return the cotangents of q, k and v."""
    if dropout_p:
        return NotImplemented
    heads = k.shape[1]
    k, v = (_repeated(x, q.shape[1]) for x in (k, v))
    # the weights are recomputed, because `normaliser` has lost digits where scores exceed 1e4
    weights, _ = _softmax(_scores(q, k, is_causal, attn_mask, scale))
    by_weights = grad @ v.mT
    mean = (weights * by_weights).sum(-1, keepdim=True)  # cancels exactly where one weight is 1
    by_scores = weights * (by_weights - mean) * _scale(q, scale)
    return by_scores @ k, _summed(by_scores.mT @ q, heads), _summed(weights.mT @ grad, heads)


def _repeated(x: Tensor, heads: int) -> Tensor:
    """Repeat the heads of keys or values that a group of query heads shares, so that each query head has its own."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)


def _summed(x: Tensor, heads: int) -> Tensor:
    """Sum the cotangents of the heads that share keys or values: the transpose of `_repeated`."""
    return x if x.shape[1] == heads else x.unflatten(1, (heads, -1)).sum(2)


def _scores(q: Tensor, k: Tensor, is_causal: bool, mask: Tensor | None, scale: float | None) -> Tensor:
    scores = q @ k.mT * _scale(q, scale)
    if is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    return scores if mask is None else scores + mask


def _scale(q: Tensor, scale: float | None) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


def _softmax(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the softmax, with zeros in rows that are fully masked, and the logarithm of its normaliser."""
    if not scores.shape[-1]:
        return scores, scores.new_full(scores.shape[:-1], -math.inf)
    highest = scores.amax(-1, keepdim=True)
    exp = (scores - highest.masked_fill(highest == -math.inf, 0)).exp()
    total = exp.sum(-1, keepdim=True)
    return exp / total.masked_fill(total == 0, 1), (highest + total.log()).squeeze(-1)


def _laid_out_like(like: Tensor, x: Tensor) -> Tensor:
    """Give the result the strides of torch's kernel, so that later views of it are valid."""
    order = sorted(range(x.ndim), key=like.stride().__getitem__, reverse=True)
    return x.permute(order).contiguous().permute([order.index(axis) for axis in range(x.ndim)])
