"""L-BFGS: Newton's method with curvature from the last few steps."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    ScalarOrSchedule,
    Updates,
    device,
    floating,
    identity,
    need_params,
    widest_dtype,
    zero_count,
)
from funcnet.optim.linesearch.step_size import scale_by_zoom_linesearch
from funcnet.optim.moments import zeros
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.scaling import scale, scale_by_learning_rate
from funcnet.reprs import shows_call

ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


class ScaleByLBFGSState(NamedTuple):
    """The last steps, with the newest at the end."""

    count: Count  # 0-d int64, updates seen so far
    params: Params  # the last parameters
    updates: Updates  # the last gradient
    diff_params_memory: Params  # like params with a leading axis of memory_size: steps
    diff_updates_memory: Updates  # the same shapes: differences of gradients
    weights_memory: Tensor  # (memory_size,), inverses of their inner products; 0 in unused slots


@shows_call
def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    """Multiply updates by an inverse Hessian estimated from the last steps, as `lbfgs` does before its step size.

    Args:
        memory_size: The number of steps to store.
        scale_init_precond: Whether the initial inverse Hessian is (y · s) / (y · y) for the last step s and difference
            of gradients y, and min(1, 1 / |g|) before the first step. If not, it is 1.
    Returns:
        The transformation. It needs params. State: `ScaleByLBFGSState`.
    Raises:
        ValueError: memory_size is below 1.
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_lbfgs()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.6000, 0.8000])
    """
    if memory_size < 1:
        raise ValueError(f"lbfgs: expected a memory_size of at least 1, got {memory_size}.")
    return with_state(
        ScaleByLBFGSState,
        init=partial(_lbfgs_init, memory_size=memory_size),
        update=partial(_lbfgs_update, scale_init_precond=scale_init_precond),
        like=("params", "updates"),
    )


@shows_call
def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: GradientTransformation | None = ZOOM,
) -> GradientTransformation:
    """Descend by an approximate Newton step, with a step size from a line search: u = -s H g.

    H is the inverse Hessian that results from an initial estimate and the last memory_size steps. torch.optim.LBFGS has
    the same H; its initial estimate is min(1, 1 / |g|₁), and its line search is different.

    Args:
        learning_rate: The first step size that the search tries; None for 1.
        memory_size: The number of steps to store.
        scale_init_precond: Whether the initial inverse Hessian is (y · s) / (y · y) for the last step s and difference
            of gradients y, and min(1, 1 / |g|) before the first step. If not, it is 1.
        linesearch: The line search that finds s; None for s = learning_rate.
    Returns:
        The transformation. With a line search, update takes `value=`, `grad=` and `value_fn=`; see
        `scale_by_zoom_linesearch`. State: a tuple, with a `ScaleByLBFGSState` first.
    Source:
        Liu, Nocedal (1989), On the limited memory BFGS method, https://doi.org/10.1007/BF01589116; Nocedal, Wright
        (2006), Numerical Optimization, algorithm 7.4.
    Example:
        >>> f = lambda p: ((p - 3.0) ** 2).sum()
        >>> optimizer, params = fn.optim.lbfgs(), torch.zeros(2)
        >>> state = optimizer.init(params)
        >>> for _ in range(3):
        ...     value, grad = fn.value_and_grad(f)(params)
        ...     updates, state = optimizer.update(grad, state, params, value=value, grad=grad, value_fn=f)
        ...     params = fn.optim.apply_updates(params, updates)
        >>> params
        tensor([3., 3.])
    """
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond),
        scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate),
        identity() if linesearch is None else linesearch,
    )


def _lbfgs_init(params: Params, *, memory_size: int) -> ScaleByLBFGSState:
    memory = tree.map(lambda p: p.new_zeros((memory_size, *p.shape)), floating(params))
    weights = torch.zeros(memory_size, dtype=widest_dtype(params), device=device(params))
    return ScaleByLBFGSState(zero_count(params), zeros(params), zeros(params), memory, memory, weights)


def _lbfgs_update(
    updates: Updates,
    state: ScaleByLBFGSState,
    params: Params | None = None,
    *,
    scale_init_precond: bool,
    **extra: Any,
) -> tuple[Updates, ScaleByLBFGSState]:
    params, gradient = floating(need_params("lbfgs", params, updates)), floating(updates)
    known = state.count > 0
    step, change = tree.sub(params, state.params), tree.sub(gradient, state.updates)
    product = tree.dot(change, step).to(state.weights_memory.dtype)
    weight = torch.where(known & (product != 0), 1 / torch.where(product == 0, 1, product), 0)
    after = ScaleByLBFGSState(
        count=state.count + 1,
        params=params,
        updates=gradient,
        diff_params_memory=_push(state.diff_params_memory, tree.map(lambda s: torch.where(known, s, 0), step)),
        diff_updates_memory=_push(state.diff_updates_memory, tree.map(lambda y: torch.where(known, y, 0), change)),
        weights_memory=torch.cat([state.weights_memory[1:], weight[None]]),
    )
    guess = _first_guess(gradient, change, product, known) if scale_init_precond else torch.ones_like(product)
    return _two_loops(updates, after, guess), after


def _push(memory: Params, newest: Params) -> Params:
    return tree.map(lambda rows, row: torch.cat([rows[1:], row[None]]), memory, newest)


def _first_guess(gradient: Updates, change: Updates, product: Tensor, known: Tensor) -> Tensor:
    square = tree.dot(change, change).to(product.dtype)
    curvature = torch.where(square > 0, product / torch.where(square > 0, square, 1), 1)
    norm = tree.norm(gradient).to(product.dtype)
    return torch.where(known, curvature, 1 / norm.clamp(min=1))


def _two_loops(updates: Updates, state: ScaleByLBFGSState, guess: Tensor) -> Updates:
    """Compute H g, from the newest step to the oldest and back (algorithm 7.4)."""
    memory = state.diff_params_memory, state.diff_updates_memory
    pairs = [tree.map(lambda rows, i=i: rows[i], memory) for i in range(len(state.weights_memory))]
    kept: list[Tensor] = []
    for (s, y), weight in reversed(list(zip(pairs, state.weights_memory, strict=True))):
        kept.append(weight * tree.dot(s, updates))
        updates = _add_scaled(updates, -kept[-1], y)
    updates = tree.map(lambda g: g * guess.to(g.dtype), updates)
    for (s, y), weight, alpha in zip(pairs, state.weights_memory, reversed(kept), strict=True):
        updates = _add_scaled(updates, alpha - weight * tree.dot(y, updates), s)
    return updates


def _add_scaled(updates: Updates, factor: Tensor, direction: Updates) -> Updates:
    return tree.map(lambda g, d: g + factor.to(g.dtype) * d, updates, direction)
