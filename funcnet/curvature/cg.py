"""Conjugate gradients: solve linear systems with a positive definite matrix that is given only by its products."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.control_flow.scan import scan
from funcnet.curvature.checks import Matvec, check_numbers, flat_operator, like
from funcnet.transforms import transformed
from funcnet.tree import Tree


class CGResult(NamedTuple):
    """The result of conjugate gradients."""

    x: Tree  # like b
    residual_norm: Tensor  # 0-d, |b - A x|
    steps: Tensor  # 0-d int64, the number of products
    converged: Tensor  # 0-d bool, whether residual_norm <= max(tol |b|, atol)


class _State(NamedTuple):
    x: Tensor
    r: Tensor  # the residual b - A x
    p: Tensor  # the search direction
    square: Tensor  # |r|²
    steps: Tensor
    positive: Tensor  # whether the curvature along every direction so far was positive


def cg(
    matvec: Matvec,
    b: Tree,
    x0: Tree = None,
    *,
    damping: float | Tensor = 0.0,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int = 100,
) -> CGResult:
    """Solve (A + damping I) x = b by conjugate gradients, for a symmetric positive definite matrix.

    With the products of `fisher_vp` or `ggnvp` and a gradient for b, x is a natural gradient; with the Hessian at a
    minimum and the gradient of one example's loss, -x is the influence of that example on the parameters.

    If the values are known, the loop stops as soon as it has converged, and a failure raises. Inside `jit`, `vmap` or
    another transformation, the loop is a `scan` of maxiter steps; a solve that has converged or failed no longer
    changes, and `converged` tells which.

    Args:
        matvec: v -> A v, from trees like b to trees like b.
        b: A tree; leaves that are not floating-point tensors are ignored.
        x0: The starting point. None: zeros.
        damping: Added to the diagonal, in the unit of A.
        tol, atol: The solve has converged when |b - A x| <= max(tol |b|, atol).
        maxiter: The maximum number of products.
    Returns:
        `CGResult`. If the solve has not converged, x is the result of the last step.
    Raises:
        ValueError: A product is not finite or not like b, or p'Ap is not positive for a direction p, so that A is not
            positive definite.
    Source:
        Hestenes, Stiefel (1952), Methods of Conjugate Gradients for Solving Linear Systems,
        https://doi.org/10.6028/jres.049.044; arguments as in jax.scipy.sparse.linalg.cg.
    Example:
        >>> a = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
        >>> fn.curvature.cg(lambda v: a @ v, torch.tensor([3.0, 4.0])).x
        tensor([1.0000, 1.0000])
    """
    multiply, vector, unravel = flat_operator("cg", matvec, b)

    def damped(p: Tensor) -> Tensor:
        return multiply(p) + damping * p

    start = _start(damped, vector, None if x0 is None else flat_operator("cg", matvec, like("cg", b, x0, "x0"))[1])
    goal = (tol * torch.linalg.vector_norm(vector)).clamp(min=atol).square()
    if transformed():
        end, _ = scan(lambda state, _: (_masked_step(damped, state, goal), None), start, length=maxiter)
    else:
        end = _solve(damped, start, goal, maxiter, unravel)
    norm = end.square.sqrt()
    return CGResult(unravel(end.x), norm, end.steps, end.square <= goal)


def _start(damped: Callable[[Tensor], Tensor], b: Tensor, x0: Tensor | None) -> _State:
    x = torch.zeros_like(b) if x0 is None else x0
    r = b if x0 is None else b - damped(x0)
    return _State(x, r, r, r @ r, b.new_zeros((), dtype=torch.int64), b.new_ones((), dtype=torch.bool))


def _solve(damped: Callable[[Tensor], Tensor], state: _State, goal: Tensor, maxiter: int, unravel: Any) -> _State:
    check_numbers("cg", state.r, unravel, 0)
    for step in range(1, maxiter + 1):
        if state.square <= goal:
            break
        product = damped(state.p)
        check_numbers("cg", product, unravel, step)
        curvature = ((state.p @ product) / (state.p @ state.p)).item()
        if curvature <= 0:
            raise ValueError(
                f"cg: expected a positive definite matrix, got curvature {curvature:.3g} along the direction of step "
                f"{step}. Add more than {-curvature:.3g} to damping, or use ggnvp or fisher_vp in place of a Hessian."
            )
        state = _step(state, product)
    return state


def _step(state: _State, product: Tensor) -> _State:
    alpha = state.square / (state.p @ product)
    x, r = state.x + alpha * state.p, state.r - alpha * product
    square = r @ r
    return _State(x, r, r + square / state.square * state.p, square, state.steps + 1, state.positive)


def _masked_step(damped: Callable[[Tensor], Tensor], state: _State, goal: Tensor) -> _State:
    """Take a step, unless the solve has converged or the curvature is not positive (NaN included)."""
    product = damped(state.p)
    positive = state.positive & (state.p @ product > 0)
    going = positive & (state.square > goal)
    after = _step(state, product)
    moved = _State(*(torch.where(going, new, old) for new, old in zip(after, state, strict=True)))
    return moved._replace(positive=positive | (state.square <= goal))
