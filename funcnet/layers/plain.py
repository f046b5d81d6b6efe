"""Layers without parameters."""

from functools import partial

import torch
from torch import Tensor

from funcnet import random
from funcnet.layers.base import Layer, LayerError, Params, no_params
from funcnet.random import Key


def dropout(rate: float | Tensor) -> Layer:
    """Zero each entry with probability rate and divide the others by 1 - rate; without a key, do nothing.

    Args:
        rate: In [0, 1); may be a tensor, so that it can be swept.
    Returns:
        A layer without parameters. apply: (*) -> (*), dtype of x.
    Raises:
        ValueError: A rate that is a number outside [0, 1).
    Source:
        Srivastava et al. (2014), Dropout, https://jmlr.org/papers/v15/srivastava14a.html
    Example:
        >>> fn.dropout(0.5).apply((), torch.ones(4), key=fn.random.key(1))
        tensor([2., 0., 2., 2.])
    """
    if not isinstance(rate, Tensor) and not 0 <= rate < 1:
        raise ValueError(f"dropout: expected a rate in [0, 1), the share of entries to zero, got {rate}.")
    return Layer(init=no_params, apply=partial(_dropout, rate=rate))


def _dropout(params: Params, x: Tensor, *, rate: float | Tensor, key: Key | None = None) -> Tensor:
    if key is None:
        return x
    keep = random.bernoulli(key, 1 - rate, x.shape)
    return torch.where(keep, x / (1 - rate), 0.0)


def flatten(axes: int) -> Layer:
    """Merge the last axes into one.

    Args:
        axes: How many; 3 for images of shape (*, channels, height, width).
    Returns:
        A layer without parameters. apply: (*, a, ..., z) -> (*, a ... z).
    Raises:
        ValueError: No whole number of axes, or less than 1.
        LayerError: x has fewer axes.
    """
    if not isinstance(axes, int) or axes < 1:
        raise ValueError(f"flatten: expected a whole number of axes, at least 1, got {axes}.")
    return Layer(init=no_params, apply=partial(_flatten, axes=axes))


def _flatten(params: Params, x: Tensor, *, axes: int, key: Key | None = None) -> Tensor:
    if x.ndim < axes:
        raise LayerError("flatten", "", f"expected at least {axes} axes to merge, got x of shape {tuple(x.shape)}.")
    return x.flatten(x.ndim - axes)


def step(x: Tensor) -> Tensor:
    """Fire or not, as the perceptron's unit does: 1 where x > 0, 0 elsewhere. Its derivative is 0 everywhere.

    Source:
        Rosenblatt (1958), The perceptron, https://doi.org/10.1037/h0042519
    Example:
        >>> fn.step(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 0., 1.])
    """
    return (x > 0).to(x.dtype)
