"""Conversion of numpy arrays and Python numbers to tensors."""

from typing import Any

import torch
from torch import Tensor

from funcnet.tree.flattening import Tree, leaves, place
from funcnet.tree.nodes import map as map_leaves
from funcnet.tree.nodes import map_with_path


def is_array(leaf: Any) -> bool:
    """Tell whether a leaf is a numpy array or scalar, without importing numpy."""
    return type(leaf).__module__ == "numpy" and hasattr(leaf, "__array_interface__")


def is_number(leaf: Any) -> bool:
    """Tell whether a leaf is a Python number, including a number that jit traces."""
    return isinstance(leaf, bool | int | float | complex)


def arrays_as_tensors(values: Tree) -> Any:
    """Replace numpy arrays by tensors of the same dtype, and numpy scalars by Python numbers.

    Raises:
        TypeError: An array has a dtype that torch does not have, such as one of objects or strings.
    """
    return map_with_path(_array_as_tensor, values) if any(map(is_array, leaves(values))) else values


def numbers_as_tensors(values: Tree) -> Any:
    """Replace Python numbers, including bools, by 0-d tensors of the dtype that torch.tensor gives them."""
    return map_leaves(lambda leaf: number_as_tensor(leaf) if is_number(leaf) else leaf, values)


def number_as_tensor(number: Any, dtype: torch.dtype | None = None) -> Tensor:
    return torch.full((), number, dtype=dtype)


def _array_as_tensor(path: str, leaf: Any) -> Any:
    if not is_array(leaf):
        return leaf
    if not hasattr(leaf, "__setitem__"):
        return leaf.item()
    try:
        return torch.tensor(leaf.copy())  # without negative strides, which torch does not have
    except (TypeError, ValueError) as error:
        kind = f"a numpy array of dtype {leaf.dtype}"
        raise TypeError(f"at {place(path)}: expected an array of a dtype that torch has, got {kind}.") from error
