"""Conversion of what users pass to tensors."""

import reprlib
from typing import Any

import torch
from torch import Tensor


def tensor(where: str, values: Any) -> Tensor:
    """Detach a tensor, or convert a sequence of numbers or one-element tensors to a float64 tensor."""
    if isinstance(values, Tensor):
        return values.detach()
    try:
        numbers = [v.item() if isinstance(v, Tensor) and v.numel() == 1 else v for v in values]
        return torch.as_tensor(numbers, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{where}: expected numbers or a tensor, got {reprlib.repr(values)}.") from error
