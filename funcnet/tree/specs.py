"""Shapes and dtypes in place of tensors."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet.tree.flattening import Tree
from funcnet.tree.nodes import map as map_leaves

_CPU = torch.device("cpu")
_PYTHON: dict[type, torch.dtype] = {float: torch.float32, int: torch.int32, bool: torch.bool}


@dataclass(frozen=True)
class ShapeDtypeStruct:
    """The shape, dtype and device of a tensor, without its values; a leaf.

    Attributes:
        shape: A tuple of ints.
        dtype: A dtype of torch, or the name of one; one of numpy; or float, int or bool, for 32 bits.
        device: A device, or its name.
    Source:
        jax.ShapeDtypeStruct.
    Example:
        >>> fn.ShapeDtypeStruct((2, 3), torch.float32)
        ShapeDtypeStruct(shape=(2, 3), dtype=torch.float32, device=device(type='cpu'))
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device = _CPU

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "dtype", _dtype(self.dtype))
        object.__setattr__(self, "device", torch.device(self.device))

    @property
    def ndim(self) -> int:
        return len(self.shape)


def _dtype(dtype: Any) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", ""))
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"ShapeDtypeStruct: expected a dtype, such as torch.float32 or 'int32', got {dtype!r}.")
    return found


def struct(leaf: Any) -> Any:
    """Return the shape, dtype and device of a tensor; any other leaf is returned unchanged."""
    return ShapeDtypeStruct(leaf.shape, leaf.dtype, leaf.device) if isinstance(leaf, Tensor) else leaf


def zeros_of(values: Tree) -> Any:
    """Replace tensors, and shapes with dtypes, by zeros."""
    return map_leaves(_zeros, values)


def _zeros(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return torch.zeros_like(leaf)
    is_struct = isinstance(leaf, ShapeDtypeStruct)
    return torch.zeros(leaf.shape, dtype=leaf.dtype, device=leaf.device) if is_struct else leaf
