"""Functions of optimizers that estimate the distance to a solution: the step size, and parts of the estimate."""

from functools import reduce

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import Params, Scalar, ScalarOrSchedule, Updates, as_dtype, device, widest_dtype


def zero_scalar(params: Params) -> Tensor:
    """Return a 0-d zero in the widest real dtype of the parameters."""
    return torch.zeros((), dtype=widest_dtype(params), device=device(params))


def adam_rate(learning_rate: ScalarOrSchedule, betas: tuple[Scalar, Scalar], count: Tensor, distance: Tensor) -> Tensor:
    """Return distance learning_rate sqrt(1 - b2^t) / (1 - b1^t), with t = count + 1."""
    rate = learning_rate(count) if callable(learning_rate) else learning_rate
    t = (count + 1).to(torch.promote_types(distance.dtype, torch.float32))
    return as_dtype(distance * rate * (1 - betas[1] ** t) ** 0.5 / (1 - betas[0] ** t), distance.dtype)


def sum_of_magnitudes(updates: Updates, like: Tensor) -> Tensor:
    """Return the sum of the absolute values of all numbers, in the dtype of another tensor."""
    sums = [as_dtype(leaf.abs().sum(), like.dtype) for leaf in tree.leaves(updates)]
    return reduce(torch.add, sums, torch.zeros_like(like))


def quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return numerator / denominator, and 0 where the denominator is 0, as for gradients of 0."""
    none = denominator == 0
    return torch.where(none, 0, numerator / torch.where(none, 1, denominator))
