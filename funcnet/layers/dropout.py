"""The dropout layer."""

from functools import partial

import torch
from torch import Tensor

from funcnet import random
from funcnet.layers.layer import Layer, Params, no_params
from funcnet.random import Key
from funcnet.reprs import shows_call


@shows_call
def dropout(rate: float | Tensor) -> Layer:
    """Zero each entry with probability rate and divide the others by 1 - rate; without a key, do nothing.

    Args:
        rate: In [0, 1); may be a tensor, so that it can be swept.
    Returns:
        A layer without parameters. apply: (*) -> (*), dtype of x.
    Raises:
        ValueError: rate is a number outside [0, 1).
    Source:
        Srivastava et al. (2014), Dropout, https://jmlr.org/papers/v15/srivastava14a.html
    Example:
        >>> fn.dropout(0.5).apply((), torch.ones(4), key=fn.random.key(1))
        tensor([2., 0., 2., 2.])
    """
    if not isinstance(rate, Tensor) and not 0 <= rate < 1:
        raise ValueError(f"dropout: expected a rate in [0, 1), the fraction of entries to zero, got {rate}.")
    return Layer(init=no_params, apply=partial(_dropout, rate=rate))


def _dropout(params: Params, x: Tensor, *, rate: float | Tensor, key: Key | None = None) -> Tensor:
    if key is None:
        return x
    keep = random.bernoulli(key, 1 - rate, x.shape)
    return torch.where(keep, x / (1 - rate), 0.0)
