"""Moving averages of gradients and of their squares, as used by Adam and related optimizers."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import Params, Scalar, Updates, accumulator, as_dtype, cast, floating
from funcnet.tree.elementwise import map_elementwise


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
    return map_elementwise(lambda m, g: m if g is None else toward(m, g, decay), mean, updates)


def second(updates: Updates, mean: Params, decay: Scalar) -> Params:
    """Update a mean of squared gradients: decay v + (1 - decay) g², in the dtype of v."""
    return map_elementwise(lambda v, g: v if g is None else toward_square(v, g, decay), mean, updates)


def toward(old: Tensor, new: Tensor, decay: Scalar) -> Tensor:
    """Update the mean of one leaf."""
    return torch.lerp(old, as_dtype(new, old.dtype), cast(1 - decay, old))


def toward_square(old: Tensor, new: Tensor, decay: Scalar) -> Tensor:
    """Update the mean square of one leaf."""
    new = as_dtype(new, old.dtype)
    return torch.lerp(old, new * new, cast(1 - decay, old))


def unbias(mean: Params, decay: Scalar, count: Tensor) -> Params:
    """Divide a mean that started from zero by the sum of its weights: m / (1 - decay^t)."""
    return map_elementwise(unbiasing(decay, count), mean)


def unbiasing(decay: Scalar, count: Tensor) -> Callable[[Tensor], Tensor]:
    """Return `unbias` as a function of one leaf."""
    weight = cache(partial(bias_weight, decay, count))
    return lambda m: m / weight(m.dtype)


def bias_weight(decay: Scalar, count: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 1 - decay^t for leaves of a dtype, computed wider than half precision, which would round decay to 1."""
    dtype = dtype.to_real()
    return as_dtype(1 - decay ** count.to(torch.promote_types(dtype, torch.float32)), dtype)


def lookahead_mean(updates: Updates, mean: Params, decay: Scalar, count: Tensor) -> Params:
    """Return Nesterov's unbiased mean: decay m / (1 - decay^(t+1)) + (1 - decay) g / (1 - decay^t)."""
    return map_elementwise(looking_ahead(decay, count), updates, mean)


def looking_ahead(decay: Scalar, count: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return `lookahead_mean` as a function of the update and the mean of one leaf."""
    ahead, now = unbiasing(decay, count + 1), unbiasing(decay, count)
    return lambda g, m: decay * ahead(m) + (1 - decay) * now(g)
