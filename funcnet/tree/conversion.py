"""Conversion of numpy arrays and Python numbers to tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.tree.flattening import Tree, flatten, leaves, paths, place, unflatten
from funcnet.tree.nodes import map as map_leaves


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
    return _converted(is_array, _array_as_tensor, values) if any(map(is_array, leaves(values))) else values


def numbers_as_tensors(values: Tree) -> Any:
    """Replace Python numbers, including bools, by 0-d tensors of the dtype that torch.tensor gives them."""
    return map_leaves(lambda leaf: number_as_tensor(leaf) if is_number(leaf) else leaf, values)


def scalars_as_tensors(values: Tree) -> Any:
    """Replace floating-point and complex scalars of numpy by 0-d tensors of the same dtype."""
    return _converted(_is_inexact_scalar, torch.tensor, values) if any(map(is_array, leaves(values))) else values


def number_as_tensor(number: Any, dtype: torch.dtype | None = None) -> Tensor:
    return torch.full((), number, dtype=dtype)


def _is_inexact_scalar(leaf: Any) -> bool:
    return is_array(leaf) and not hasattr(leaf, "__setitem__") and leaf.dtype.kind in "fc"


def _array_as_tensor(array: Any) -> Any:
    if not hasattr(array, "__setitem__"):
        return array.item()
    return torch.tensor(array.copy())  # torch has no negative strides


def _converted(is_one: Callable[[Any], bool], convert: Callable[[Any], Any], values: Tree) -> Any:
    """Convert some of the leaves. Their paths, which take long to find, are needed only by errors."""
    found, structure = flatten(values)
    for i, leaf in enumerate(found):
        if not is_one(leaf):
            continue
        try:
            found[i] = convert(leaf)
        except (TypeError, ValueError) as error:
            raise _unknown(values, i, leaf) from error
        if is_array(found[i]):  # as of a longdouble
            raise _unknown(values, i, leaf)
    return unflatten(structure, found)


def _unknown(values: Tree, i: int, leaf: Any) -> TypeError:
    return TypeError(
        f"at {place(paths(values)[i])}: expected an array of a dtype that torch has, got a numpy array of dtype"
        f" {leaf.dtype}."
    )
