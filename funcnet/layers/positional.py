"""Layers that add positions to tokens."""

import math
from functools import partial

import torch
from torch import Tensor

from funcnet import initializers, tree
from funcnet.initializers import Initializer
from funcnet.layers.layer import (
    Layer,
    LayerError,
    Params,
    at_least_float32,
    check_example,
    check_fits,
    no_params,
    parameter,
)
from funcnet.random import Key
from funcnet.reprs import shows_call


@shows_call
def sinusoidal_positions(*, base: float = 10_000.0) -> Layer:
    """Add to each token sines and cosines of its position t, with wavelengths from 2 pi to 2 pi base.

    y[t, 2 i] = x[t, 2 i] + sin(a) and y[t, 2 i + 1] = x[t, 2 i + 1] + cos(a), with a = t / base^(2 i / features).

    Args:
        base: The ratio of the longest wavelength to the shortest.
    Returns:
        A layer without parameters. apply: (*, tokens, features) -> (*, tokens, features), dtype of x.
    Raises:
        ValueError: base is not positive.
        LayerError: The number of features is odd, or x has no token axis.
    Source:
        Vaswani et al. (2017), Attention Is All You Need, sec. 3.5, https://arxiv.org/abs/1706.03762
    Example:
        >>> fn.sinusoidal_positions().apply((), torch.zeros(2, 2))
        tensor([[0.0000, 1.0000],
                [0.8415, 0.5403]])
    """
    if not base > 0:
        raise ValueError(f"sinusoidal_positions: expected a positive base, the ratio of wavelengths, got {base}.")
    return Layer(init=no_params, apply=partial(_sinusoidal_positions, base=base))


def _sinusoidal_positions(params: Params, x: Tensor, *, base: float, key: Key | None = None) -> Tensor:
    check_example("sinusoidal_positions", x, 2)
    tokens, features = x.shape[-2:]
    if features % 2:
        raise LayerError("sinusoidal_positions", "", f"expected an even number of features, got {features}.")
    wide = at_least_float32(x.new_zeros(()))
    even = torch.arange(0, features, 2, dtype=wide.dtype, device=x.device)
    time = torch.arange(tokens, dtype=wide.dtype, device=x.device)
    angle = time[:, None] * torch.exp(even * (-math.log(base) / max(features, 1)))
    return x + torch.stack((angle.sin(), angle.cos()), -1).flatten(-2).to(x.dtype)


@shows_call
def learned_positions(length: int, *, w_init: Initializer | None = None) -> Layer:
    """Add to each token a learned vector of its position: y[t] = x[t] + w[t].

    Args:
        length: The maximum number of tokens.
        w_init: Initialiser; normal with standard deviation 0.02 by default.
    Returns:
        A layer. params: {"w": (length, features)}. apply: (*, tokens, features) -> (*, tokens, features), dtype of x.
    Raises:
        ValueError: length is not an integer, or is negative.
        LayerError: There are more tokens than length, or x does not fit w.
    Example:
        >>> layer, x = fn.learned_positions(16), torch.zeros(2, 7, 3)
        >>> layer.init(fn.random.key(0), x)["w"].shape, layer.apply(layer.init(fn.random.key(0), x), x).shape
        (torch.Size([16, 3]), torch.Size([2, 7, 3]))
    """
    if not isinstance(length, int) or length < 0:
        raise ValueError(f"learned_positions: expected a whole number of positions, got {length}.")
    init = initializers.normal(0.02) if w_init is None else w_init
    return Layer(init=partial(_learned_positions_init, length=length, w_init=init), apply=_learned_positions)


def _learned_positions_init(key: Key, x: Tensor, *, length: int, w_init: Initializer) -> Params:
    check_example("learned_positions", x, 2)
    return {"w": w_init(key, (length, x.shape[-1]), x.dtype, x.device)}


def _learned_positions(params: Params, x: Tensor, *, key: Key | None = None) -> Tensor:
    w = parameter("learned_positions", params, "w", ndim=2)
    check_fits("learned_positions", "w", w, x, size=w.shape[1])
    if x.ndim < 2 or x.shape[-2] > w.shape[0]:
        expected = f"expected x of shape (*, tokens, features) with at most {w.shape[0]} tokens"
        raise LayerError("learned_positions", "w", f"{expected}, got {tree.describe(x)}.")
    return x + w[: x.shape[-2]]
