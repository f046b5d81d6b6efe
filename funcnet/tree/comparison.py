"""Equality and closeness of trees, with the path of the first difference."""

from typing import Any

import torch

from funcnet.tree.flattening import Tree, describe, is_tensor, leaves, mismatch, paths, place, structure


def equal(a: Tree, b: Tree) -> bool:
    """Tell whether two trees have the same structure, dtypes, devices and values; NaN equals NaN, and 0 equals -0.

    Example:
        >>> fn.tree.equal({"w": torch.tensor([1.0])}, {"w": torch.tensor([1.0])}), fn.tree.equal([1], (1,))
        (True, False)
    """
    return difference(a, b) is None


def allclose(a: Tree, b: Tree, *, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Tell whether two trees agree: |a - b| <= atol + rtol |b| at every entry, structure and dtypes equal.

    Example:
        >>> fn.tree.allclose((torch.tensor(1.0),), (torch.tensor(1.0 + 1e-7),))
        True
    """
    return difference(a, b, rtol=rtol, atol=atol) is None


def difference(a: Tree, b: Tree, *, rtol: float = 0.0, atol: float = 0.0) -> str | None:
    """Describe the first difference between two trees, with its path; return None if they agree.

    Example:
        >>> fn.tree.difference({"w": torch.ones(2)}, {"w": torch.tensor([1.0, 3.0])})
        'at path "w": values differ by at most 2, at index (1,): 1.0 and 3.0'
        >>> fn.tree.difference([1, 2], [1])
        'at the root: list with entries 0, 1 and list with entry 0'
    """
    if structure(a) != structure(b):
        return mismatch(a, b)
    for path, x, y in zip(paths(a), leaves(a), leaves(b), strict=True):
        if message := _leaf_difference(x, y, rtol, atol):
            return f"at {place(path)}: {message}"
    return None


def _leaf_difference(x: Any, y: Any, rtol: float, atol: float) -> str | None:
    if not (is_tensor(x) and is_tensor(y)):
        same = type(x) is type(y) and (x == y or (x != x and y != y))  # only NaN differs from itself
        return None if same else f"{describe(x)} and {describe(y)}"
    if (x.shape, x.dtype, x.device) != (y.shape, y.dtype, y.device):
        return f"{describe(x)} and {describe(y)}"
    apart = ~torch.isclose(x, y, rtol=rtol, atol=atol, equal_nan=True)
    if not apart.any():
        return None
    index = tuple(apart.nonzero()[0].tolist())
    largest = max(abs(a - b) for a, b in zip(x[apart].tolist(), y[apart].tolist(), strict=True))  # exact for integers
    return f"values differ by at most {largest:.3g}, at index {index}: {x[index].item()} and {y[index].item()}"
