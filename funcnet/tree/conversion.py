"""Conversion of numpy arrays and Python numbers to tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.tree.flattening import Tree, leaves, place
from funcnet.tree.nodes import map as map_leaves
from funcnet.tree.nodes import map_with_path


def is_array(leaf: Any) -> bool:
    """Tell whether a leaf is a numpy array or scalar, without importing numpy."""
    kind = leaf.__class__
    return kind is not Tensor and kind.__module__ == "numpy" and hasattr(leaf, "__array_interface__")


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


def scalars_as_tensors(values: Tree) -> Any:
    """Replace floating-point and complex scalars of numpy by 0-d tensors of the same dtype."""
    return map_with_path(_scalar_as_tensor, values) if any(map(is_array, leaves(values))) else values


def number_as_tensor(number: Any, dtype: torch.dtype | None = None) -> Tensor:
    return torch.full((), number, dtype=dtype)


def _scalar_as_tensor(path: str, leaf: Any) -> Any:
    is_scalar = is_array(leaf) and not hasattr(leaf, "__setitem__")
    return _converted(path, leaf, torch.tensor) if is_scalar and leaf.dtype.kind in "fc" else leaf


def _array_as_tensor(path: str, leaf: Any) -> Any:
    if not is_array(leaf):
        return leaf
    if not hasattr(leaf, "__setitem__"):
        return _converted(path, leaf, lambda scalar: scalar.item())
    return _converted(path, leaf, lambda array: torch.tensor(array.copy()))  # torch has no negative strides


def _converted(path: str, leaf: Any, convert: Callable[[Any], Any]) -> Any:
    try:
        result = convert(leaf)
    except (TypeError, ValueError) as error:
        raise _unknown(path, leaf) from error
    if is_array(result):  # as of a longdouble
        raise _unknown(path, leaf)
    return result


def _unknown(path: str, leaf: Any) -> TypeError:
    return TypeError(
        f"at {place(path)}: expected an array of a dtype that torch has, got a numpy array of dtype {leaf.dtype}."
    )
