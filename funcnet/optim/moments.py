"""Moving averages of gradients and of their squares, as used by Adam and related optimizers."""

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import Params, Scalar, Updates, accumulator, as_dtype, cast, floating


def zeros(params: Params, dtype: torch.dtype | None = None) -> Params:
    """Return zeros like the leaves that are optimized, in their dtype or in another."""
    return tree.map(lambda p: torch.zeros_like(p, dtype=accumulator(p, dtype)), floating(params))


def full(params: Params, value: Scalar) -> Params:
    """Return tensors filled with one value, like the leaves that are optimized."""
    return tree.map(lambda p: torch.zeros_like(p) + cast(value, p), floating(params))


def at_least(params: Params, dtype: torch.dtype | None) -> Params:
    """Return zeros like the leaves that are optimized, in the wider of their dtype and another."""
    return tree.map(
        lambda p: torch.zeros_like(p, dtype=torch.promote_types(p.dtype, dtype or p.dtype)), floating(params)
    )


def first(updates: Updates, mean: Params, decay: Scalar) -> Params:
    """Update a mean of gradients: decay m + (1 - decay) g, in the dtype of m; unchanged where g is None."""
    return tree.map(lambda m, g: m if g is None else _toward(m, as_dtype(g, m.dtype), decay), mean, updates)


def second(updates: Updates, mean: Params, decay: Scalar) -> Params:
    """Update a mean of squared gradients: decay v + (1 - decay) g², in the dtype of v."""
    return tree.map(lambda v, g: v if g is None else _toward(v, _square(as_dtype(g, v.dtype)), decay), mean, updates)


def unbias(mean: Params, decay: Scalar, count: Tensor) -> Params:
    """Divide a mean that started from zero by the sum of its weights: m / (1 - decay^t)."""
    dtypes = dict.fromkeys(leaf.dtype for leaf in tree.leaves(mean))
    weights = {dtype: bias_weight(decay, count, dtype) for dtype in dtypes}
    return tree.map(lambda m: m / weights[m.dtype], mean)


def bias_weight(decay: Scalar, count: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 1 - decay^t for leaves of a dtype, computed wider than half precision, which would round decay to 1."""
    dtype = dtype.to_real()
    return as_dtype(1 - decay ** count.to(torch.promote_types(dtype, torch.float32)), dtype)


def lookahead_mean(updates: Updates, mean: Params, decay: Scalar, count: Tensor) -> Params:
    """Return Nesterov's unbiased mean: decay m / (1 - decay^(t+1)) + (1 - decay) g / (1 - decay^t)."""
    ahead, now = unbias(mean, decay, count + 1), unbias(updates, decay, count)
    return tree.map(lambda g, m: decay * m + (1 - decay) * g, now, ahead)


def _toward(old: Tensor, new: Tensor, decay: Scalar) -> Tensor:
    return torch.lerp(old, new, cast(1 - decay, old))


def _square(x: Tensor) -> Tensor:
    return x * x
