"""Norms of per-example gradients, computed without storing the gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.curvature.checks import example_count, first_examples
from funcnet.curvature.factored_gradients import Factors, Tap, factors
from funcnet.reprs import names_call
from funcnet.transforms import grad, vmap
from funcnet.transforms.flatten import Flattener
from funcnet.tree import Tree


@names_call
def per_example_grad_norms(loss: Callable[..., Tensor], *, chunk_size: int | None = None) -> Callable[..., Tensor]:
    """Transform the loss of one example into a function that returns the norm of each example's gradient.

    The gradient of a matrix that is used in a product, as in x w or linear(x, w), or in a lookup is x' d, with d the
    gradient of the result. Its squared norm is the sum of (x x') * (d d'), |x|² |d|² for one row, so the gradient need
    not be built. The gradients of parameters that are used in other ways, or have fewer numbers than x x', are built,
    for chunk_size examples at a time. If a gradient is far smaller than its terms, its norm is less precise.

    Args:
        loss: loss(params, *example) -> 0-d tensor, the loss of one example without batch axis; as always under vmap,
            its Python control flow must not depend on tensor values.
        chunk_size: Number of examples to compute at once; fewer need less memory. None: all.
    Returns:
        A function of (params, *batch) that returns the norms over all parameters, shape (examples,). Its derivative at
        a norm of 0 is 0.
    Raises:
        ValueError: When called with tensors that lack the axis or differ in its size; the message names their paths.
        TypeError: params holds no floating-point or complex tensor, or the loss of an example is not a 0-d
            floating-point tensor.
    Source:
        Goodfellow (2015), Efficient Per-Example Gradient Computations, https://arxiv.org/abs/1510.01799; Li et al.
        (2022), Large Language Models Can Be Strong Differentially Private Learners, section 4,
        https://arxiv.org/abs/2110.05679
    Example:
        >>> norms = fn.curvature.per_example_grad_norms(lambda w, x: (x @ w).sum())
        >>> norms(torch.ones(2, 1), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([5., 0.])
    """
    return partial(_norms, loss, chunk_size)


def _norms(loss: Callable[..., Tensor], chunk_size: int | None, params: Tree, *batch: Tree) -> Tensor:
    count = example_count("per_example_grad_norms", batch)
    few = first_examples(batch, count)
    tapped = _Tapped(loss, params, few)
    each = vmap(tapped.square, in_dims=(0,) * len(batch), chunk_size=chunk_size)
    squares = each(*batch) if count else each(*few)[:0]  # some operations have no rule for an empty batch
    flat = squares == 0
    return torch.where(flat, 1.0, squares).sqrt().masked_fill(flat, 0.0)


_IMPURE = (
    "per_example_grad_norms: expected the loss to use its parameters in the same way in every call, but it did not. "
    "It must be pure, and its Python control flow must not depend on earlier calls."
)


class _Tapped:
    """A loss whose gradient with respect to matrices is returned in factors.

    Args:
        loss: loss(params, *example) -> 0-d tensor, the loss of one example.
        params: Any tree.
        few: A batch on which the loss runs once, to record its uses of matrices.
    """

    def __init__(self, loss: Callable[..., Tensor], params: Tree, few: tuple[Tree, ...]) -> None:
        self.loss, self.params = loss, Flattener(tree.is_inexact)
        self.leaves = [leaf.view_as(leaf) for leaf in self.params.split(params)]  # makes all leaves distinct tensors
        self.matrices = [i for i, leaf in enumerate(self.leaves) if leaf.ndim == 2 and leaf.is_floating_point()]
        reached: set[int] = set()
        watch: Callable[..., tuple[Tensor, ...]] = _Watch.apply

        def survey(leaves: list[Tensor], *example: Tree) -> Tensor:
            value, tap = self.run(list(watch(reached, *leaves)), (), example)
            self.uses = tap.uses
            return value

        vmap(grad(survey), in_dims=(None, *(0 for _ in few)))(self.leaves, *few)
        in_factors = {self.matrices[use.matrix] for use in self.uses}
        self.built = {i for i in range(len(self.leaves)) if i in reached or i not in in_factors}

    def run(self, leaves: list[Tensor], probes: Any, example: tuple[Tree, ...]) -> tuple[Tensor, Tap]:
        tap = Tap([leaves[i] for i in self.matrices], [self.leaves[i] for i in self.matrices], probes)
        with tap:
            return self.loss(self.params.rebuild(leaves), *example), tap

    def gradient(self, *example: Tree) -> tuple[list[Tensor | None], list[list[Factors]]]:
        """Return for every leaf the built part of its gradient, if there is one, and the factors of the rest."""
        probes = [self.leaves[self.matrices[u.matrix]].new_zeros(u.shape, dtype=u.dtype) for u in self.uses]

        def value(leaves: list[Tensor], probes: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            value, tap = self.run(leaves, probes, example)
            if tap.uses != self.uses:
                raise ValueError(_IMPURE)
            return value, tap.xs

        # Leaves whose gradient is not built are differentiated, too, so that both runs are alike: this gives zeros.
        (grads, ds), xs = grad(value, (0, 1), has_aux=True)(self.leaves, probes)
        parts: list[list[Factors]] = [[] for _ in self.leaves]
        for use, x, d in zip(self.uses, xs, ds, strict=True):
            matrix = self.matrices[use.matrix]
            parts[matrix].append(factors(use, x, d, len(self.leaves[matrix])))
        return [g if i in self.built else None for i, g in enumerate(grads)], parts

    def square(self, *example: Tree) -> Tensor:
        """Return the squared norm of the gradient of one example."""
        built, parts = self.gradient(*example)
        return torch.stack([_square(*row) for row in zip(self.leaves, built, parts, strict=True)]).sum()


class _Watch(torch.autograd.Function):
    """Return the tensors unchanged, and record in `reached` which of them receive a gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(reached: set[int], *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.reached = inputs[0]
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.reached.update(i for i, cotangent in enumerate(cotangents) if cotangent is not None)
        return None, *cotangents


def _square(leaf: Tensor, built: Tensor | None, parts: list[Factors]) -> Tensor:
    """Sum the squares of the gradient that is the built part, if any, plus left' right for all factors."""
    dense, lookups = (_join([p for p in parts if p.left.is_floating_point() is floating]) for floating in (True, False))
    rows = 0 if dense is None else len(dense.right)
    if not parts or built is not None or 2 * rows**2 > leaf.numel():
        return tree.view_as_real(_build(leaf, built, dense, lookups)).square().sum()
    pairs = [(dense, dense, 1), (lookups, lookups, 1), (dense, lookups, 2)]
    return torch.stack([times * _inner(a, b) for a, b, times in pairs if a is not None and b is not None]).sum()


def _join(parts: list[Factors]) -> Factors | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return Factors(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _inner(a: Factors, b: Factors) -> Tensor:
    """Return the inner product of two factored gradients."""
    if b.left.is_floating_point():
        lefts = a.left @ b.left.T
    else:
        lefts = a.left[:, b.left] if a.left.is_floating_point() else a.left[:, None] == b.left
    return (lefts * (a.right @ b.right.T)).sum()


def _build(leaf: Tensor, built: Tensor | None, dense: Factors | None, lookups: Factors | None) -> Tensor:
    total = torch.zeros_like(leaf) if built is None else built
    if dense is not None:
        total = total + dense.left.T @ dense.right
    return total if lookups is None else total.index_add(0, lookups.left, lookups.right)
