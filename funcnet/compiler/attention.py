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
    scores = _scores(q, k, is_causal, attn_mask, scale)
    normaliser = scores.logsumexp(-1)
    return _laid_out_like(q, _weights(scores, normaliser) @ v), normaliser


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
    weights = _weights(_scores(q, k, is_causal, attn_mask, scale), normaliser)
    by_scores = weights * (grad @ v.mT - (grad * out).sum(-1, keepdim=True)) * _scale(q, scale)
    return by_scores @ k, by_scores.mT @ q, weights.mT @ grad


def _scores(q: Tensor, k: Tensor, is_causal: bool, mask: Tensor | None, scale: float | None) -> Tensor:
    scores = q @ k.mT * _scale(q, scale)
    if is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    return scores if mask is None else scores + mask


def _scale(q: Tensor, scale: float | None) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


def _weights(scores: Tensor, normaliser: Tensor) -> Tensor:
    """Zero wherever a score is masked, in rows that are masked as a whole, too."""
    return (scores - normaliser[..., None]).exp().masked_fill(scores == -math.inf, 0)


def _laid_out_like(like: Tensor, x: Tensor) -> Tensor:
    """Give the result the strides that torch's kernel gives it, so that what views it can."""
    order = sorted(range(x.ndim), key=like.stride().__getitem__, reverse=True)
    return x.permute(order).contiguous().permute([order.index(axis) for axis in range(x.ndim)])
