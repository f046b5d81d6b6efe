"""Elements by a tensor of places, which may be 0-d."""

from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def index_select(x: Tensor, dim: int, index: Tensor) -> Any:
    """Take one index as a row of one, which torch's batching rule takes for as many as the axis has."""
    return NotImplemented if index.ndim else aten.index_select.default(x, dim, index.reshape(1))


def take(x: Tensor, index: Tensor) -> Tensor:
    """Index by the tensor even if it is 0-d, which torch's own rule reads in Python."""
    return aten.index.Tensor(x.reshape(-1), [index])


def put(x: Tensor, index: Tensor, values: Tensor, accumulate: bool = False) -> Tensor:
    return aten.index_put.default(x.reshape(-1), [index], values.reshape(index.shape), accumulate).reshape(x.shape)
