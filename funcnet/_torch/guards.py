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
    first = {id(tensor): i for i, tensor in reversed([*enumerate(tensors)])}
    if len(first) == len(tensors):
        return _guard(tensors)
    places = sorted(first.values())
    check = _guard([tensors[i] for i in places])  # a guard of several tensors refuses equal ones
    pairs = ((i, first[id(tensor)]) for i, tensor in enumerate(tensors))
    repeats = [(i, j, _guard([tensors[i]])) for i, j in pairs if i != j]

    def matches(*values: Any) -> bool:
        are_like = all(values[i] is values[j] or guard(values[i]) for i, j, guard in repeats)
        return are_like and check(*[values[i] for i in places])

    return matches


def _guard(tensors: Sequence[Tensor]) -> Callable[..., bool]:
    guards: Any = torch._C._dynamo.guards
    shapes, strides = [list(t.shape) for t in tensors], [list(t.stride()) for t in tensors]
    check: Callable[..., bool] = guards.TensorGuards(
        *tensors, dynamic_dims_sizes=shapes, dynamic_dims_strides=strides
    ).check
    return check
