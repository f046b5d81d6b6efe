"""Checks of the arguments of the functions in this package, and their errors."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree
from funcnet.tree.nodes import map_as

Matvec = Callable[[Tree], Tree]


def like(operation: str, params: Tree, v: Tree, what: str = "v") -> Tree:
    """Return v with None wherever params has no floating-point or complex tensor; raise if v is not like params."""

    def check(path: str, p: Any, t: Any) -> Tensor | None:
        if not tree.is_inexact(p):
            return None
        if tree.is_tensor(t) and (t.shape, t.dtype, t.device) == (p.shape, p.dtype, p.device):
            return t
        raise ValueError(
            f"{operation}: at {tree.place(path)}: expected {what} to be like the parameter, a {tree.describe(p)}, "
            f"got {tree.describe(t)}."
        )

    return map_as(operation, check, tree.unflatten(tree.structure(params), tree.paths(params)), params, v)


def example_count(operation: str, batch: tuple[Tree, ...]) -> int:
    """Return the size of the leading axis that all tensors of a batch share."""
    tensors = tree.partition(batch, tree.is_tensor)[0]
    shapes = {path: tuple(leaf.shape) for path, leaf in zip(tree.paths(tensors), tree.leaves(tensors), strict=True)}
    sizes = {shape[:1] for shape in shapes.values()}
    if len(sizes) != 1 or () in sizes:
        raise ValueError(
            f"{operation}: expected batch arguments with one leading axis, that of the examples, got shapes "
            f"{shapes or 'of no tensor'}. Paths start with the position after params; pass values that all examples "
            "share to the loss itself, for example with functools.partial."
        )
    return int(next(iter(sizes))[0])


def first_examples(batch: tuple[Tree, ...], count: int) -> tuple[Tree, ...]:
    """Return a batch of the first example, or of zeros of the same shapes if the batch is empty."""
    first = tree.map(lambda x: (x[:1] if count else x.new_zeros(1, *x.shape[1:])) if tree.is_tensor(x) else x, batch)
    return tuple(first)


def flat_operator(operation: str, matvec: Matvec, b: Tree) -> tuple[Callable[[Tensor], Tensor], Tensor, Any]:
    """Return matvec as a function of vectors, b as a vector, and the function from a vector to a tree like b."""
    vector, unravel = tree.ravel(b)
    if not vector.numel():
        raise ValueError(
            f"{operation}: expected floating-point or complex tensors to multiply, got {tree.describe(b)}."
        )

    def multiply(v: Tensor) -> Tensor:
        product = like(operation, b, matvec(unravel(v)), "the product of matvec")
        return tree.ravel(product)[0]

    return multiply, vector, unravel


def check_numbers(operation: str, product: Tensor, unravel: Callable[[Tensor], Tree], step: int) -> None:
    """Raise if a product is not finite."""
    if product.isfinite().all():
        return
    parts = tree.partition(unravel(product), tree.is_inexact)[0]
    for path, leaf in zip(tree.paths(parts), tree.leaves(parts), strict=True):
        if not leaf.isfinite().all():
            raise ValueError(
                f"{operation}: at {tree.place(path)}: expected a finite product of matvec, got "
                f"{leaf[~leaf.isfinite()][0].item()} in step {step}. Check the parameters and the data with "
                "fn.checking.check_finite; in float32 a large curvature may overflow."
            )
