"""The guards of torch.compile, which compare all tensors of a call in one step.

Checked: torch/csrc/dynamo/guards.cpp, 2.13.0.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def matcher(tensors: Sequence[Tensor]) -> Callable[..., bool]:
    """Return a function of as many values that tells whether they are tensors like these.

    It compares class, dtype, device, shape, strides and requires_grad, and the dispatch keys of an operation on them,
    among which are wrappers and levels of torch.func, dispatch modes, autocast and the neg bit.
    """
    if len({*map(id, tensors)}) == len(tensors):
        return _guard(tensors)
    checks = [_guard([tensor]) for tensor in tensors]  # a guard of several tensors refuses equal ones
    return lambda *values: all(check(value) for check, value in zip(checks, values, strict=True))


def _guard(tensors: Sequence[Tensor]) -> Callable[..., bool]:
    guards: Any = torch._C._dynamo.guards
    shapes, strides = [list(t.shape) for t in tensors], [list(t.stride()) for t in tensors]
    check: Callable[..., bool] = guards.TensorGuards(
        *tensors, dynamic_dims_sizes=shapes, dynamic_dims_strides=strides
    ).check
    return check
