"""Attention: each token takes a mean of all tokens' values, weighted by how well its query matches their keys."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import initializers, random, tree
from funcnet.initializers import Initializer
from funcnet.layers.dense import apply_dense, dense
from funcnet.layers.dropout import dropout
from funcnet.layers.layer import Layer, LayerError, Params, check_example, inside
from funcnet.random import Key
from funcnet.reprs import shows_call

_PARTS = ("q", "k", "v", "out")


@shows_call
def multi_head_attention(
    heads: int,
    *,
    causal: bool = False,
    features: int | None = None,
    dropout_rate: float | Tensor = 0.0,
    use_bias: bool = True,
    w_init: Initializer | None = None,
    b_init: Initializer = initializers.zeros,
) -> Layer:
    """Let tokens attend to each other, in several parallel heads.

    y = concat_h(softmax(q_h k_h^T / sqrt(size)) v_h) @ out, with q, k, v = affine maps of x, split into heads.

    `apply` takes two more keyword arguments. `context` (*, keys, in') holds the tokens to attend to if they are not
    those of x (cross-attention); `init` takes it, too. `mask` is True where a query may attend to a key, and broadcasts
    to (*, heads, queries, keys): (queries, keys) for one mask for all, (batch, 1, 1, keys) to mask padding in a batch.
    The mean of a query that may not attend to any key is zero.

    Args:
        heads: Number of heads; must divide `features`.
        causal: Whether a token attends only to itself and earlier tokens.
        features: Width of q, k and v, all heads together; by default that of x.
        dropout_rate: The fraction of attention weights to drop if a key is given.
        use_bias: Whether the four maps have a bias.
        w_init, b_init: Initialisers of the maps; lecun_normal and zeros by default.
    Returns:
        A layer. params: {"q", "k", "v", "out"}, each as of `dense`. apply: (*, tokens, in) -> (*, tokens, in).
    Raises:
        ValueError: heads is not a positive integer, or does not divide `features`.
        LayerError: heads does not divide the width of x, x has no token axis, or a mask or context does not fit.
    Source:
        Vaswani et al. (2017), Attention Is All You Need, sec. 3.2, https://arxiv.org/abs/1706.03762
    Example:
        >>> layer = fn.multi_head_attention(2, causal=True)
        >>> params = layer.init(fn.random.key(0), torch.zeros(7, 8))
        >>> layer.apply(params, torch.zeros(5, 7, 8), mask=torch.ones(7, 7, dtype=torch.bool)).shape
        torch.Size([5, 7, 8])
    """
    width = heads if features is None else features
    if not (isinstance(heads, int) and isinstance(width, int) and heads > 0 and width >= 0) or width % heads:
        raise ValueError(f"multi_head_attention: expected heads that divide the features, got {heads} and {features}.")
    options = {"use_bias": use_bias, "w_init": w_init, "b_init": b_init}
    return Layer(
        init=partial(_attention_init, heads=heads, features=features, options=options),
        apply=partial(_attention, heads=heads, causal=causal, drop=dropout(dropout_rate)),
    )


def _attention_init(
    key: Key, x: Tensor, *, heads: int, features: int | None, options: dict[str, Any], context: Tensor | None = None
) -> Params:
    check_example("multi_head_attention", x, 2)
    width = x.shape[-1] if features is None else features
    if width % heads:
        raise LayerError(
            "multi_head_attention",
            "",
            f"expected a width divisible by {heads} heads, got x of shape {tuple(x.shape)}. "
            f"Choose other heads, or features={heads * max(1, width // heads)}.",
        )
    source = x if context is None else _checked(context, x)
    inputs, widths = (x, source, source, x.new_zeros(width)), (width, width, width, x.shape[-1])
    rows = zip(_PARTS, random.split(key, 4), inputs, widths, strict=True)
    return {name: inside(name, dense(size, **options).init, k, like) for name, k, like, size in rows}


def _attention(
    params: Params,
    x: Tensor,
    *,
    heads: int,
    causal: bool,
    drop: Layer,
    context: Tensor | None = None,
    mask: Tensor | None = None,
    key: Key | None = None,
) -> Tensor:
    _check(params, x)
    source = x if context is None else _checked(context, x)
    q, k, v = (_heads(params, name, y, heads) for name, y in zip("qkv", (x, source, source), strict=True))
    allowed = _allowed(q, k, causal, mask)
    weights = _softmax((q / math.sqrt(max(q.shape[-1], 1))) @ k.mT, allowed)
    mixed = drop.apply((), weights, key=key) @ v
    return _affine(params, "out", mixed.movedim(-3, -2).flatten(-2))


def _affine(params: Params, name: str, x: Tensor) -> Tensor:
    return inside(name, apply_dense, params[name], x)


def _heads(params: Params, name: str, x: Tensor, heads: int) -> Tensor:
    """Map tokens (*, tokens, in) to (*, heads, tokens, size)."""
    y = _affine(params, name, x)
    if y.shape[-1] % heads:
        raise LayerError(
            "multi_head_attention", name, f"expected a width divisible by {heads} heads, got {y.shape[-1]}."
        )
    return y.unflatten(-1, (heads, -1)).movedim(-2, -3)


def _allowed(q: Tensor, k: Tensor, causal: bool, mask: Tensor | None) -> Tensor | None:
    """Return a mask of the keys that each query may attend to; None means all."""
    if mask is not None and (not tree.is_tensor(mask) or mask.dtype != torch.bool):
        raise LayerError("multi_head_attention", "", f"expected a mask of bools, got {tree.describe(mask)}.")
    shape = (*torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
    if mask is not None and not _broadcasts(mask.shape, shape):
        expected = f"expected a mask that broadcasts to (*, heads, queries, keys), here {shape}"
        raise LayerError("multi_head_attention", "", f"{expected}, got shape {tuple(mask.shape)}.")
    if not causal:
        return mask
    queries, keys = (torch.arange(n, device=q.device) for n in shape[-2:])
    past = keys <= queries[:, None]
    return past if mask is None else past & mask


def _softmax(logits: Tensor, allowed: Tensor | None) -> Tensor:
    """Compute the softmax over allowed entries, and 0 in rows without any, with no NaN in value or gradient."""
    if allowed is None:
        return logits.softmax(-1)
    lowest = torch.finfo(logits.dtype).min
    return torch.where(allowed, torch.where(allowed, logits, lowest).softmax(-1), 0.0)


def _broadcasts(shape: torch.Size, to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))


def _meet(a: torch.Size, b: torch.Size) -> bool:
    return all(n == m or 1 in (n, m) for n, m in zip(reversed(a), reversed(b), strict=False))


def _checked(context: Any, x: Tensor) -> Tensor:
    if not tree.is_floating(context) or context.ndim < 2 or not _meet(context.shape[:-2], x.shape[:-2]):
        expected = f"expected a context of shape (*, keys, in') with the leading axes of x of shape {tuple(x.shape)}"
        raise LayerError("multi_head_attention", "", f"{expected}, got {tree.describe(context)}.")
    return context


def _check(params: Params, x: Any) -> None:
    if not tree.is_tensor(x) or x.ndim < 2:
        expected = f"expected x of shape (*, tokens, features), got {tree.describe(x)}"
        raise LayerError("multi_head_attention", "", f"{expected}.")
    if not isinstance(params, dict) or not set(_PARTS) <= params.keys():
        expected = f"expected a dict with entries {', '.join(_PARTS)}"
        raise LayerError("multi_head_attention", "", f"{expected}, got {tree.describe(params)}.")
