"""Attention as matrix products and a softmax, and its cotangents.

torch's own rule for the forward operation returns the weights in the place of the log of their normaliser, which the
backward operation then takes for that.
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
    """softmax(scale q kᵀ + mask) v, and the logarithm of the softmax's normaliser."""
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
    """The cotangents of q, k and v."""
    if dropout_p:
        return NotImplemented
    heads = k.shape[1]
    k, v = (_repeated(x, q.shape[1]) for x in (k, v))
    weights, _ = _softmax(_scores(q, k, is_causal, attn_mask, scale))  # of scores beyond 1e4 normaliser has lost theirs
    by_weights = grad @ v.mT
    mean = (weights * by_weights).sum(-1, keepdim=True)  # which cancels exactly where one weight is 1
    by_scores = weights * (by_weights - mean) * _scale(q, scale)
    return by_scores @ k, _summed(by_scores.mT @ q, heads), _summed(weights.mT @ grad, heads)


def _repeated(x: Tensor, heads: int) -> Tensor:
    """Give each head of the queries its own of the keys or values, which groups of heads may share."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)


def _summed(x: Tensor, heads: int) -> Tensor:
    """The cotangent of `_repeated`."""
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
    """The softmax, zero in rows that are masked as a whole, and the logarithm of its normaliser."""
    if not scores.shape[-1]:
        return scores, scores.new_full(scores.shape[:-1], -math.inf)
    highest = scores.amax(-1, keepdim=True)
    exp = (scores - highest.masked_fill(highest == -math.inf, 0)).exp()
    total = exp.sum(-1, keepdim=True)
    return exp / total.masked_fill(total == 0, 1), (highest + total.log()).squeeze(-1)


def _laid_out_like(like: Tensor, x: Tensor) -> Tensor:
    """Give the result the strides that torch's kernel gives it, so that what views it can."""
    order = sorted(range(x.ndim), key=like.stride().__getitem__, reverse=True)
    return x.permute(order).contiguous().permute([order.index(axis) for axis in range(x.ndim)])
