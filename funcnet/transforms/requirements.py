"""Checks of values that hold for all examples of a vmap, and become part of a traced program."""

import torch
from torch import Tensor

from funcnet._torch import unwrapped

aten = torch.ops.aten

_FALSE = "Expected Tensor with single nonzero value, but got zero"


def require(condition: Tensor, message: str = _FALSE) -> None:
    """Check that a one-element condition is not zero, for all examples under vmap."""
    if condition.numel() != 1:
        raise RuntimeError(f"expected a condition of one element, got one of shape {tuple(condition.shape)}.")
    found = unwrapped(condition)
    found = found if found.dtype == torch.bool else found != 0
    aten._assert_async.msg(found if found.ndim == 0 else found.all(), message)
