"""Trees of leaves: mapping, splitting and merging."""

from collections.abc import Callable, Sequence
from typing import Any

import optree
import torch
from torch import Tensor

from funcnet.tree.flattening import (
    NAMESPACE,
    Structure,
    Tree,
    describe,
    flatten,
    is_tensor,
    leaves,
    mismatch,
    paths,
    place,
    structure,
    too_deep,
    unflatten,
)


def map(f: Callable[..., Any], tree: Tree, *rest: Tree, is_leaf: Callable[[Any], bool] | None = None) -> Tree:
    """Apply f to every leaf of a tree together with the corresponding parts of the other trees.

    Args:
        f: Called as f(leaf, *others).
        tree: The result has its structure. Where it is None the result is None, whatever the others hold.
        rest: Trees of the same structure, or with subtrees where `tree` has leaves.
        is_leaf: Makes every subtree of `tree` for which it is true a leaf, None included.
    Raises:
        ValueError: Another tree differs in structure; the message names the path of the first difference.
    Example:
        >>> fn.tree.map(lambda p, g: p - g, {"w": 3, "b": None}, {"w": 1, "b": 2})
        {'w': 2, 'b': None}
    """
    if is_leaf is None:
        return map_as("tree.map", f, tree, *rest)
    first, spec = flatten(tree, is_leaf)
    columns = [align("tree.map", spec, tree, other) for other in rest]
    return spec.unflatten(f(*row) for row in zip(first, *columns, strict=True))


def map_as(operation: str, f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply f as `map` does; errors name the given operation."""
    try:
        first, spec = optree.tree_flatten(tree, none_is_leaf=True, namespace=NAMESPACE)
    except RecursionError as error:
        raise too_deep() from error
    columns = [align(operation, spec, tree, other) for other in rest]
    return spec.unflatten(None if row[0] is None else f(*row) for row in zip(first, *columns, strict=True))


def map_fitting(operation: str, f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply f as `map_as` does; if leaves do not fit together, the error shows them and their path."""
    rows = []

    def apply(*row: Any) -> Any:
        rows.append(row)
        return f(*row)

    try:
        return map_as(operation, apply, tree, *rest)
    except (TypeError, RuntimeError) as error:
        if not rows or len({_kind(leaf) for leaf in rows[-1]}) == 1:
            raise
        got = " and ".join(describe(leaf) for leaf in rows[-1])
        at = place(paths(tree)[len(rows) - 1])
        raise ValueError(f"{operation}: at {at}: expected leaves that fit together, got {got}.") from error


def _kind(leaf: Any) -> Any:
    """Return the properties that leaves which fit together have in common."""
    return (leaf.shape, leaf.device, leaf.is_floating_point()) if is_tensor(leaf) else type(leaf)


def map_with_path(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply f(path, leaf, *others) as `map` does, with the leaf's path, as in `paths`, as the first argument.

    Example:
        >>> fn.tree.map_with_path(lambda path, leaf: f"{path}={leaf}", {"w": 1, "b": (2, 3)})
        {'w': 'w=1', 'b': ('b.0=2', 'b.1=3')}
    """
    return map(f, unflatten(structure(tree), paths(tree)), tree, *rest)


def is_floating(leaf: Any) -> bool:
    """Tell whether a leaf is a tensor of real floating-point numbers.

    Example:
        >>> fn.tree.is_floating(torch.tensor(1.0)), fn.tree.is_floating(torch.tensor(1)), fn.tree.is_floating(1.0)
        (True, False, False)
    """
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def is_inexact(leaf: Any) -> bool:
    """Tell whether a leaf is a floating-point or complex tensor: these are differentiated, and arithmetic acts on them.

    Example:
        >>> [fn.tree.is_inexact(leaf) for leaf in (torch.ones(2), torch.ones(2) * 1j, torch.arange(2), 1.0)]
        [True, True, False, False]
    """
    return isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex())


def view_as_real(tree: Tree) -> Tree:
    """View every complex tensor as a real tensor, with the real and the imaginary part along a new last axis.

    Example:
        >>> fn.tree.view_as_real({"w": torch.tensor(1 + 2j), "b": torch.tensor(3.0)})
        {'w': tensor([1., 2.]), 'b': tensor(3.)}
    """
    if not _has_complex(tree):
        return tree
    return map(lambda leaf: torch.view_as_real(leaf.resolve_conj()) if _is_complex(leaf) else leaf, tree)


def view_as_complex(tree: Tree, like: Tree) -> Tree:
    """View pairs of real numbers as complex tensors wherever `like` has complex tensors: the inverse of `view_as_real`.

    Example:
        >>> fn.tree.view_as_complex(torch.tensor([1.0, 2.0]), torch.tensor(0j))
        tensor(1.+2.j)
    """

    def view(leaf: Any, old: Any) -> Any:
        return torch.complex(leaf[..., 0], leaf[..., 1]) if _is_complex(old) else leaf

    if not _has_complex(like):
        return tree
    return map_as("tree.view_as_complex", view, tree, like)


def _is_complex(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_complex()


def _has_complex(tree: Tree) -> bool:
    return any(dtype.is_complex for dtype in {leaf.dtype for leaf in leaves(tree) if isinstance(leaf, Tensor)})


def partition(tree: Tree, predicate: Callable[[Any], bool] | Tree) -> tuple[Tree, Tree]:
    """Split a tree in two: the leaves that satisfy the predicate, and the other leaves, each with None elsewhere.

    Args:
        tree: Any tree.
        predicate: A function of a leaf, or a tree of bools like `tree` (or a prefix of it, such as one bool per layer).
    Example:
        >>> fn.tree.partition({"w": 1.0, "name": "out"}, lambda leaf: isinstance(leaf, float))
        ({'w': 1.0, 'name': None}, {'w': None, 'name': 'out'})
    """
    mask = map(predicate, tree) if callable(predicate) else broadcast_prefix(predicate, tree)
    chosen = map(lambda leaf, keep: leaf if keep else None, tree, mask)
    return chosen, map(lambda leaf, keep: None if keep else leaf, tree, mask)


def combine(*trees: Tree) -> Tree:
    """Merge trees by taking, at each place, the first leaf that is not None: the inverse of `partition`.

    Args:
        trees: At least one. The result has the structure of the first; where it is None, others may hold subtrees.
    Raises:
        ValueError: No tree is given, or one differs in structure; the message names the path of the first difference.
    Example:
        >>> fn.tree.combine({"w": torch.tensor(1.0), "n": None}, {"w": None, "n": 3})
        {'w': tensor(1.), 'n': 3}
    """
    if not trees:
        raise ValueError("tree.combine: expected at least one tree, got none.")
    flat, spec = optree.tree_flatten(trees[0], none_is_leaf=True, namespace=NAMESPACE)
    columns = [flat, *(align("tree.combine", spec, trees[0], other) for other in trees[1:])]
    return spec.unflatten(next((x for x in row if x is not None), None) for row in zip(*columns, strict=True))


def broadcast_prefix(prefix: Tree, tree: Tree) -> Tree:
    """Repeat every leaf of a prefix, None included, over the corresponding subtree of `tree`.

    Raises:
        ValueError: `prefix` is not a prefix of `tree`.
    Example:
        >>> fn.tree.broadcast_prefix((0, None), ({"w": 1.0, "b": 2.0}, 3.0))
        ({'w': 0, 'b': 0}, None)
    """
    return optree.tree_structure(tree, none_is_leaf=True, namespace=NAMESPACE).unflatten(_spread(prefix, tree))


def prefix_leaves(prefix: Tree, tree: Tree) -> list[Any]:
    """List the leaf of a prefix, which may be None, for every leaf of `tree`, as `broadcast_prefix` repeats them."""
    all_leaves = optree.tree_leaves(tree, none_is_leaf=True, namespace=NAMESPACE)
    return [part for part, leaf in zip(_spread(prefix, tree), all_leaves, strict=True) if leaf is not None]


def _spread(prefix: Tree, tree: Tree) -> list[Any]:
    try:
        return optree.broadcast_prefix(prefix, tree, none_is_leaf=True, namespace=NAMESPACE)
    except ValueError as error:
        message = mismatch(prefix, tree, prefix=True)
        raise ValueError(f"tree.broadcast_prefix: expected a prefix of the tree, but they differ {message}.") from error


def stack(trees: Sequence[Tree]) -> Tree:
    """Stack the tensors of equal trees along a new leading axis, so that `vmap` can map over an ensemble.

    Args:
        trees: At least one, with tensors of equal shapes. Leaves that are not tensors are taken from the first.
    Returns:
        A tree whose tensors have the shape (number of trees, *shape).
    Raises:
        ValueError: No tree is given, or the trees differ in structure or shapes; the message names the first path where
            they differ.
    Example:
        >>> fn.tree.stack([{"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])}])
        {'w': tensor([[1., 2.],
                [3., 4.]])}
    """
    if not trees:
        raise ValueError("tree.stack: expected at least one tree, got none. An empty stack has no structure.")
    return map_fitting("tree.stack", lambda *column: torch.stack(column) if is_tensor(column[0]) else column[0], *trees)


def unstack(tree: Tree) -> list[Tree]:
    """Split the leading axis of every tensor: the inverse of `stack`. Other leaves are repeated.

    Example:
        >>> fn.tree.unstack({"w": torch.tensor([1.0, 2.0]), "n": 3})
        [{'w': tensor(1.), 'n': 3}, {'w': tensor(2.), 'n': 3}]
    """
    sizes = {leaf.shape[:1] for leaf in leaves(tree) if is_tensor(leaf)}
    if len(sizes) != 1 or () in sizes:
        shapes = map(lambda leaf: str(tuple(leaf.shape)), partition(tree, is_tensor)[0])
        found = ", ".join(f'"{path}": {shape}' for path, shape in zip(paths(shapes), leaves(shapes), strict=True))
        raise ValueError(f"tree.unstack: expected one leading axis common to all tensors, got {found or 'no tensor'}.")
    ((size,),) = sizes
    return [map(lambda leaf, i=i: leaf[i] if is_tensor(leaf) else leaf, tree) for i in range(size)]


def ravel(tree: Tree) -> tuple[Tensor, Callable[[Tensor], Tree]]:
    """Concatenate the floating-point and complex tensors of a tree into one vector of real numbers.

    Args:
        tree: Any tree; other leaves are kept aside. A complex number becomes two entries, its real and imaginary part,
            so that inner products of vectors are those of `dot`.
    Returns:
        The vector, in the tensors' common dtype, and the function that turns such a vector back into a tree with the
        original shapes and dtypes. Without such tensors, the vector is float32 of length 0 on the CPU.
    Example:
        >>> vector, unravel = fn.tree.ravel({"w": torch.tensor([1.0, 2.0]), "b": torch.tensor(3.0)})
        >>> vector, unravel(-vector)
        (tensor([3., 1., 2.]), {'w': tensor([-1., -2.]), 'b': tensor(-3.)})
    """
    inexact, rest = partition(tree, is_inexact)
    tensors, spec = flatten(view_as_real(inexact))
    sizes, total = [leaf.numel() for leaf in tensors], sum(leaf.numel() for leaf in tensors)

    def unravel(vector: Tensor) -> Tree:
        if vector.shape != (total,):
            raise ValueError(f"tree.unravel: expected a vector of shape ({total},), got {tuple(vector.shape)}.")
        parts = zip(torch.split(vector, sizes), tensors, strict=True) if tensors else ()
        real = unflatten(spec, [part.reshape(like.shape).to(like.dtype) for part, like in parts])
        return combine(view_as_complex(real, inexact), rest)

    if not tensors:
        return torch.zeros(0, dtype=torch.float32, device="cpu"), unravel
    return torch.cat([leaf.reshape(-1) for leaf in tensors]), unravel


def align(operation: str, spec: Structure, tree: Tree, other: Tree) -> list[Any]:
    """Flatten `other` down to the leaves of `tree`; where `tree` is None, `other` may hold anything."""
    try:
        return spec.flatten_up_to(other)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{operation}: the trees differ in structure {mismatch(tree, other, prefix=True)}.") from error
