"""Arithmetic on trees, and the search for a part of a state by its name: optax.tree, whose names are those here.

`funcnet.tree` acts on floating-point tensors and passes other leaves through; these functions act on every leaf.
"""

import builtins
import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from funcnet import random
from funcnet.optim.base import Scalar
from funcnet.optim.state_search import get, get_all_with_path, map_params, set
from funcnet.tree import Tree, leaves, structure, unflatten
from funcnet.tree import map as tree_map

__all__ = [
    "add", "add_scale", "allclose", "batch_shape", "bias_correction", "cast", "cast_like", "clip", "conj", "div",
    "dtype", "full_like", "get", "get_all_with_path", "map_params", "max", "min", "mul", "norm", "ones_like",
    "random_like", "real", "scale", "set", "size", "split_key_like", "sub", "sum", "update_infinity_moment",
    "update_moment", "update_moment_per_elem_norm", "vdot", "where", "zeros_like",
]  # fmt: skip


def add(tree_x: Tree, tree_y: Tree, *other_trees: Tree) -> Tree:
    """Add trees leaf by leaf."""
    return tree_map(lambda *column: reduce(operator.add, column), tree_x, tree_y, *other_trees)


def sub(tree_x: Tree, tree_y: Tree) -> Tree:
    """Subtract the second tree from the first."""
    return tree_map(operator.sub, tree_x, tree_y)


def mul(tree_x: Tree, tree_y: Tree) -> Tree:
    """Multiply two trees leaf by leaf."""
    return tree_map(operator.mul, tree_x, tree_y)


def div(tree_x: Tree, tree_y: Tree) -> Tree:
    """Divide the first tree by the second."""
    return tree_map(operator.truediv, tree_x, tree_y)


def scale(scalar: Scalar, tree: Tree) -> Tree:
    """Multiply every leaf by a number."""
    return tree_map(lambda x: scalar * x, tree)


def add_scale(tree_x: Tree, scalar: Scalar, tree_y: Tree) -> Tree:
    """Return tree_x + scalar tree_y.

    Example:
        >>> fn.optim.tree.add_scale({"w": torch.tensor(1.0)}, 0.5, {"w": torch.tensor(4.0)})
        {'w': tensor(3.)}
    """
    return tree_map(lambda x, y: x + scalar * y, tree_x, tree_y)


def vdot(tree_x: Tree, tree_y: Tree) -> Tensor:
    """Sum the products of corresponding entries, those of the first tree conjugated, over all leaves."""
    return _total(tree_map(lambda x, y: (x.conj() * y).sum(), tree_x, tree_y))


def sum(tree: Tree) -> Tensor:
    """Sum all entries of all leaves."""
    return _total(tree_map(torch.sum, tree))


def max(tree: Tree) -> Tensor:
    """Return the largest entry of all leaves; -inf if there is none."""
    return _extreme(torch.maximum, torch.amax, -torch.inf, tree)


def min(tree: Tree) -> Tensor:
    """Return the smallest entry of all leaves; inf if there is none."""
    return _extreme(torch.minimum, torch.amin, torch.inf, tree)


def size(tree: Tree) -> int:
    """Count the entries of all leaves."""
    return builtins.sum(x.numel() if isinstance(x, Tensor) else 1 for x in leaves(tree))


def conj(tree: Tree) -> Tree:
    """Conjugate every leaf."""
    return tree_map(torch.conj_physical, tree)


def real(tree: Tree) -> Tree:
    """Return the real part of every leaf."""
    return tree_map(torch.real, tree)


def norm(tree: Tree, ord: float | str | None = None, squared: bool = False) -> Tensor:
    """Return the norm of all entries together.

    Args:
        tree: Any tree of tensors.
        ord: None or 2: the root of the sum of squares; 1: the sum of absolute values; inf: the largest one.
        squared: Whether to return the square of the norm.
    Raises:
        ValueError: ord is none of these.
    """
    if ord in (None, 2):
        total = sum(tree_map(lambda x: x.abs().square(), tree))
        return total if squared else total.sqrt()
    if ord not in (1, torch.inf, "inf", "infinity"):
        raise ValueError(f"tree.norm: expected ord to be None, 1, 2 or inf, got {ord!r}.")
    result = (sum if ord == 1 else max)(tree_map(torch.abs, tree))
    return result.square() if squared else result


def batch_shape(tree: Tree, shape: Sequence[int] = ()) -> Tree:
    """Repeat every leaf along new leading axes."""
    return tree_map(lambda x: torch.broadcast_to(x, (*shape, *x.shape)), tree)


def zeros_like(tree: Tree, dtype: torch.dtype | None = None) -> Tree:
    """Replace every leaf by zeros."""
    return tree_map(lambda x: torch.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: Tree, dtype: torch.dtype | None = None) -> Tree:
    """Replace every leaf by ones."""
    return tree_map(lambda x: torch.ones_like(x, dtype=dtype), tree)


def full_like(tree: Tree, fill_value: Scalar, dtype: torch.dtype | None = None) -> Tree:
    """Fill every leaf with one number."""
    return tree_map(lambda x: torch.zeros_like(x, dtype=dtype) + torch.as_tensor(fill_value).to(dtype or x.dtype), tree)


def clip(tree: Tree, min_value: Scalar | None = None, max_value: Scalar | None = None) -> Tree:
    """Limit the entries of every leaf to [min_value, max_value]; None: no limit."""
    if min_value is max_value is None:
        return tree
    return tree_map(partial(torch.clip, min=min_value, max=max_value), tree)


def where(condition: Tensor, tree_x: Tree, tree_y: Tree) -> Tree:
    """Select entries of the first tree where the condition holds, else of the second."""
    return tree_map(lambda x, y: torch.where(condition, x, y), tree_x, tree_y)


def allclose(a: Tree, b: Tree, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Tell, by a 0-d bool, whether |a - b| <= atol + rtol |b| at every entry."""
    close = partial(torch.isclose, rtol=rtol, atol=atol, equal_nan=equal_nan)
    found = leaves(tree_map(lambda x, y: close(x, y).all(), a, b))
    return torch.stack(found).all() if found else torch.tensor(True)


def cast(tree: Tree, dtype: torch.dtype | None) -> Tree:
    """Convert every leaf to a dtype; None: no change."""
    return tree if dtype is None else tree_map(lambda x: x.to(dtype), tree)


def cast_like(tree: Tree, other_tree: Tree) -> Tree:
    """Convert every leaf to the dtype of the corresponding one."""
    return tree_map(lambda x, like: x.to(like.dtype) if isinstance(like, Tensor) else x, tree, other_tree)


def dtype(tree: Tree, mixed_dtype_handler: str | None = None) -> torch.dtype:
    """Return the dtype of the leaves.

    Args:
        tree: Any tree of tensors; the dtype of an empty one is float32.
        mixed_dtype_handler: For different dtypes, "promote": the dtype of their sum; "highest" or "lowest": the one
            that all others promote to, or that promotes to all others; None: an error.
    Raises:
        ValueError: The dtypes differ and there is no such dtype, or mixed_dtype_handler is unknown.
    """
    found = list(dict.fromkeys(x.dtype for x in leaves(tree)))
    if len(found) < 2:
        return found[0] if found else torch.float32
    promoted = reduce(torch.promote_types, found)
    lowest = [a for a in found if all(torch.promote_types(a, b) == b for b in found)]
    choices = {"promote": [promoted], "highest": [a for a in found if a == promoted], "lowest": lowest}
    if not choices.get(str(mixed_dtype_handler)):
        raise ValueError(
            "tree.dtype: expected one dtype, or a mixed_dtype_handler that selects one, such as 'promote', got"
            f" {mixed_dtype_handler!r} for {found}."
        )
    return choices[str(mixed_dtype_handler)][0]


def split_key_like(rng_key: random.Key, target_tree: Tree) -> Tree:
    """Return a tree of keys, one for each leaf of another tree."""
    spec = structure(target_tree)
    return unflatten(spec, random.split(rng_key, spec.num_leaves))


def random_like(
    rng_key: random.Key,
    target_tree: Tree,
    sampler: Callable[[random.Key, Sequence[int], torch.dtype], Tensor] = random.normal,
    dtype: torch.dtype | None = None,
) -> Tree:
    """Draw a tree like another one: sampler(key, shape, dtype) for each leaf."""
    keys = split_key_like(rng_key, target_tree)
    return tree_map(lambda x, key: sampler(key, x.shape, dtype or x.dtype), target_tree, keys)


def update_moment(updates: Tree, moments: Tree, decay: Scalar, order: int) -> Tree:
    """Return decay moment + (1 - decay) update^order.

    Example:
        >>> fn.optim.update_moment(torch.tensor(2.0), torch.tensor(0.0), 0.5, 2)
        tensor(2.)
    """
    return _moved(lambda g: g**order, updates, moments, decay)


def update_moment_per_elem_norm(updates: Tree, moments: Tree, decay: Scalar, order: int) -> Tree:
    """Return decay moment + (1 - decay) |update|^order, of complex numbers the absolute value.

    Example:
        >>> fn.optim.update_moment_per_elem_norm(torch.tensor(3 + 4j), torch.tensor(0.0), 0.5, 2)
        tensor(12.5000)
    """
    return _moved(lambda g: (g.abs() if g.is_complex() else g) ** order, updates, moments, decay)


def update_infinity_moment(updates: Tree, moments: Tree, decay: Scalar, eps: Scalar) -> Tree:
    """Return max(decay moment, |update| + eps).

    Example:
        >>> fn.optim.update_infinity_moment(torch.tensor(-1.0), torch.tensor(4.0), 0.5, 0.0)
        tensor(2.)
    """
    return tree_map(lambda g, m: torch.maximum(g.abs() + eps, decay * m), updates, moments)


def bias_correction(moment: Tree, decay: Scalar, count: int | Tensor) -> Tree:
    """Return moment / (1 - decay^count), the mean of a moment that started from zero.

    Example:
        >>> fn.optim.tree.bias_correction(torch.tensor(0.1), 0.9, torch.tensor(1))
        tensor(1.0000)
    """

    def corrected(m: Tensor) -> Tensor:
        wide = torch.promote_types(m.dtype.to_real(), torch.float32)
        power = decay ** torch.as_tensor(count).to(wide)
        return m / (1 - power).to(m.dtype.to_real())

    return tree_map(corrected, moment)


def _moved(f: Callable[[Tensor], Tensor], updates: Tree, moments: Tree, decay: Scalar) -> Tree:
    return tree_map(lambda g, m: (1 - decay) * f(g) + decay * m, updates, moments)


def _total(tree: Tree) -> Tensor:
    found = leaves(tree)
    return reduce(torch.add, found) if found else torch.zeros((), dtype=torch.float32)


def _extreme(f: Callable[..., Tensor], of_leaf: Callable[..., Tensor], start: float, tree: Tree) -> Tensor:
    found = [of_leaf(x) for x in leaves(tree) if x.numel()]
    return reduce(f, found) if found else torch.tensor(start, dtype=torch.float32)


def __dir__() -> list[str]:
    return __all__
