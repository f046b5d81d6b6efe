"""The orthogonal initialiser."""

import math
from functools import partial

import torch
from torch import Tensor

from funcnet import random
from funcnet.initializers.plain import Initializer, Sizes, initialize, like, zeros
from funcnet.random import Key, Scalar
from funcnet.reprs import names_call


@names_call
def orthogonal(scale: Scalar = 1.0, column_axis: int = -1) -> Initializer:
    """Draw scale times a uniformly distributed matrix with orthonormal columns, or rows if there are fewer rows.

    Args:
        scale: The length of the columns or rows.
        column_axis: The axis that indexes the columns; all others together index the rows.
    Raises:
        ValueError: When called with a shape of fewer than two axes.
    Source:
        Mezzadri (2007), How to generate random matrices from the classical compact groups, sec. 5,
        https://arxiv.org/abs/math-ph/0609050
    Example:
        >>> w = fn.initializers.orthogonal()(fn.random.key(0), (3, 2))
        >>> torch.allclose(w.T @ w, torch.eye(2), atol=1e-6)
        True
    """
    return partial(initialize, draw=_orthogonal, scale=scale, column_axis=column_axis)


def _orthogonal(key: Key, shape: Sizes, dtype: torch.dtype, scale: Scalar, column_axis: int) -> Tensor:
    if len(shape) < 2:
        raise ValueError(f"initializers.orthogonal: expected a shape of at least two axes, got {shape}.")
    if 0 in shape:
        return zeros(key, shape, dtype)
    others = [size for axis, size in enumerate(shape) if axis != column_axis % len(shape)]
    rows, columns = math.prod(others), shape[column_axis]
    q, r = torch.linalg.qr(random.normal(key, (max(rows, columns), min(rows, columns)), dtype))
    q = q * r.diagonal().sign()  # without the signs of R the distribution would not be uniform
    w = (q if rows >= columns else q.mT).reshape(*others, columns).movedim(-1, column_axis)
    return like(scale, w) * w.contiguous()
