"""The spec of a tensor: its shape, strides, dtype and device. Tracing depends on nothing else."""

from dataclasses import dataclass

import torch
from torch import Tensor

from funcnet.compiler.errors import StagingError, user_line
from funcnet.compiler.program import Var

META = torch.device("meta")


@dataclass(frozen=True)
class TensorSpec:
    """Shape, strides, dtype and device of a tensor."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def spec_of(tensor: Tensor) -> TensorSpec:
    """Return the spec of a tensor."""
    check_dense(tensor)
    return TensorSpec(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)


def row_major(like: Var, shape: tuple[int, ...]) -> TensorSpec:
    """Return the spec of a row-major tensor of this shape, with the dtype and device of a value."""
    return TensorSpec(shape, torch.zeros(shape, device=META).stride(), like.dtype, like.device)


def check_dense(tensor: Tensor) -> None:
    """Raise for a sparse or quantized tensor, which strides do not describe."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        kind = "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
        raise StagingError(f"jit: expected dense tensors, got a {kind} one{user_line()}. Keep it outside of jit.")
