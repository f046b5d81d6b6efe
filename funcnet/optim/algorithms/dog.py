"""Gradient descent whose step size is the distance from the start over the norm of gradients: DoG and DoWG."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    accumulator,
    as_dtype,
    cast,
    device,
    floating,
    identity,
    need_params,
)
from funcnet.optim.distance import zero_scalar
from funcnet.optim.ranges import check_not_negative
from funcnet.optim.states import with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call

STEPS = ("distance", "learning_rate", "heuristic")


class DoGState(NamedTuple):
    """The state of `dog`."""

    is_init_step: Tensor  # 0-d bool: whether there was no update
    init_params: Params  # the first parameters
    max_dist: Tensor  # 0-d: the largest distance from them
    sum_sq_norm_grads: Tensor  # 0-d: the sum of squared norms of gradients


class DoWGState(NamedTuple):
    """The state of `dowg`."""

    init_params: Params  # the first parameters
    weighted_sq_norm_grads: Tensor  # 0-d: the sum of squared norms of gradients, times the squared distances
    estim_sq_dist: Tensor  # 0-d: the largest squared distance from the first parameters


class ScaleByDistanceOverGradientsState(NamedTuple):
    """The state of `scale_by_distance_over_gradients`."""

    max_dist: Params  # like params, 0-d: the largest distance from the first parameters
    grad_sum_of_squares: Params  # like params, 0-d: the sum of squared norms of gradients
    init_params: Params  # the first parameters


@shows_call
def scale_by_dog(init_step: tuple[str, Scalar], eps: Scalar = 1e-8) -> GradientTransformation:
    """Multiply updates by the step size of `dog`.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_dog(("distance", 0.5))
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.3000, 0.4000])
    """
    if not isinstance(init_step, tuple) or len(init_step) != 2 or init_step[0] not in STEPS:
        raise ValueError(
            f"scale_by_dog: expected init_step to be a pair of one of {STEPS} and a number, got {init_step}."
        )
    kind, size = init_step
    check_not_negative("scale_by_dog", init_step=size, eps=eps)
    init, update = partial(_dog_init, kind=kind, size=size), partial(_dog_update, kind=kind, size=size, eps=eps)
    return with_state(DoGState, init, update, like=("init_params",))


@shows_call
def dog(
    learning_rate: ScalarOrSchedule = 1.0,
    init_step: tuple[str, Scalar] = ("heuristic", 1e-6),
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend with the largest distance r from the start over the root of the sum of squared norms as step size.

    r = max(r, |p - p0|), G = G + |g|², u = -learning_rate r g / sqrt(G + eps), with g + weight_decay p for g.

    Args:
        learning_rate: A factor of the step size; 1 unless there is a schedule.
        init_step: How the first step is chosen: ("distance", r), ("learning_rate", the first step size), or
            ("heuristic", a) for r = a (1 + |p0|), for which init must get the parameters that are trained.
        eps: Added to G, gradient unit squared.
        weight_decay: A number, a 0-d tensor or a schedule. None: none.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. It needs params. State: a tuple, with a `DoGState` second. Averages of the parameters,
        by `incremental_update`, are better than the last ones.
    Raises:
        ValueError: The kind of the first step is unknown.
    Source:
        Ivgi, Hinder, Carmon (2023), DoG is SGD's Best Friend, equations 1 and 2, https://arxiv.org/abs/2302.12022; the
        formula is that of optax.contrib.dog.
    Example:
        >>> optimizer, x = fn.optim.dog(init_step=("distance", 0.5)), torch.tensor(2.0)
        >>> optimizer.update(torch.tensor(4.0), optimizer.init(x), x)[0]
        tensor(-0.5000)
    """
    return _decaying(weight_decay, mask, scale_by_dog(init_step, eps), learning_rate)


@shows_call
def scale_by_dowg(init_estim_sq_dist: Scalar | None = None, eps: Scalar = 1e-4) -> GradientTransformation:
    """Multiply updates by the step size of `dowg`.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_dowg(0.25)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.3000, 0.4000])
    """
    start = eps if init_estim_sq_dist is None else init_estim_sq_dist
    check_not_negative("scale_by_dowg", init_estim_sq_dist=start, eps=eps)
    init, update = partial(_dowg_init, start=start), partial(_dowg_update, eps=eps)
    return with_state(DoWGState, init, update, like=("init_params",))


@shows_call
def dowg(
    learning_rate: ScalarOrSchedule = 1.0,
    init_estim_sq_dist: Scalar | None = None,
    eps: Scalar = 1e-4,
    weight_decay: ScalarOrSchedule | None = None,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `dog` does, with gradients that count by the squared distance at which they were computed.

    d = max(d, |p - p0|²), v = v + d |g|², u = -learning_rate d g / (sqrt(v) + eps), with g + weight_decay p for g.

    Args:
        learning_rate: A factor of the step size; 1 unless there is a schedule.
        init_estim_sq_dist: The first d, parameter unit squared. None: eps.
        eps: Added to the root.
        weight_decay: A number, a 0-d tensor or a schedule. None: none.
        mask: The leaves that decay, as in `masked`. None: all.
    Returns:
        The transformation. It needs params. State: a tuple, with a `DoWGState` second.
    Source:
        Khaled, Mishchenko, Jin (2023), DoWG Unleashed, algorithm 1, https://arxiv.org/abs/2305.16284; the formula is
        that of optax.contrib.dowg.
    Example:
        >>> optimizer, x = fn.optim.dowg(init_estim_sq_dist=0.25), torch.tensor(2.0)
        >>> optimizer.update(torch.tensor(4.0), optimizer.init(x), x)[0]
        tensor(-0.5000)
    """
    return _decaying(weight_decay, mask, scale_by_dowg(init_estim_sq_dist, eps), learning_rate)


@shows_call
def scale_by_distance_over_gradients(
    reps_rel: Scalar = 1e-6,
    eps: Scalar = 1e-8,
    param_dtype: torch.dtype | None = None,
    global_scale: Scalar = 1.0,
) -> GradientTransformation:
    """Multiply the updates of each leaf by a step size of its own, as in `dog` with the heuristic first step.

    Args:
        reps_rel: The first distance r of a leaf is reps_rel (1 + |p|).
        eps: Added to the sum of squared norms.
        param_dtype: The dtype of the first parameters in the state. None: that of the parameters (Optax: float32).
        global_scale: A factor of the updates, such as -1.
    Returns:
        The transformation. It needs params. State: `ScaleByDistanceOverGradientsState`.
    Source:
        Ivgi, Hinder, Carmon (2023), DoG is SGD's Best Friend, section 3.3, https://arxiv.org/abs/2302.12022
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_distance_over_gradients(0.5)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.8000, 2.4000])
    """
    check_not_negative("scale_by_distance_over_gradients", reps_rel=reps_rel, eps=eps)
    init = partial(_layerwise_init, reps_rel=reps_rel, param_dtype=param_dtype)
    update = partial(_layerwise_update, eps=eps, global_scale=global_scale)
    return with_state(ScaleByDistanceOverGradientsState, init, update, like=("init_params",))


def _decaying(
    weight_decay: ScalarOrSchedule | None,
    mask: TreeOrFunction | None,
    scaled: GradientTransformation,
    learning_rate: ScalarOrSchedule,
) -> GradientTransformation:
    decay = identity() if weight_decay is None else add_decayed_weights(weight_decay, mask)
    return chain(decay, scaled, scale_by_learning_rate(learning_rate))


def _dog_init(params: Params, *, kind: str, size: Scalar) -> DoGState:
    zero = zero_scalar(params)
    sizes = {"distance": size, "learning_rate": 0.0, "heuristic": size * (1 + tree.norm(params))}
    first = torch.ones((), dtype=torch.bool, device=device(params))
    return DoGState(first, floating(params), zero + cast(sizes[kind], zero), zero)


def _dog_update(
    updates: Updates,
    state: DoGState,
    params: Params | None = None,
    *,
    kind: str,
    size: Scalar,
    eps: Scalar,
    **extra: Any,
) -> tuple[Updates, DoGState]:
    most, total = state.max_dist, state.sum_sq_norm_grads
    most = torch.maximum(most, _distance(need_params("scale_by_dog", params, updates), state.init_params, most))
    total = total + as_dtype(tree.norm(updates).square(), total.dtype)
    rate = most / (total + eps).sqrt()
    if kind == "learning_rate":
        rate = torch.where(state.is_init_step, cast(size, rate), rate)
    first = torch.zeros_like(state.is_init_step)
    return _scaled(rate, updates), DoGState(first, state.init_params, most, total)


def _dowg_init(params: Params, *, start: Scalar) -> DoWGState:
    zero = zero_scalar(params)
    return DoWGState(floating(params), zero, zero + cast(start, zero))


def _dowg_update(
    updates: Updates, state: DoWGState, params: Params | None = None, *, eps: Scalar, **extra: Any
) -> tuple[Updates, DoWGState]:
    most = state.estim_sq_dist
    distance = _distance(need_params("scale_by_dowg", params, updates), state.init_params, most)
    most = torch.maximum(most, distance.square())
    total = state.weighted_sq_norm_grads + most * as_dtype(tree.norm(updates).square(), most.dtype)
    return _scaled(most / (total.sqrt() + eps), updates), DoWGState(state.init_params, total, most)


def _layerwise_init(
    params: Params, *, reps_rel: Scalar, param_dtype: torch.dtype | None
) -> ScaleByDistanceOverGradientsState:
    params = floating(params)
    most = tree.map(lambda p: cast(reps_rel, n := tree.norm(p)) * (1 + n), params)
    start = tree.map(lambda p: p.to(accumulator(p, param_dtype)), params)
    return ScaleByDistanceOverGradientsState(most, tree.map(torch.zeros_like, most), start)


def _layerwise_update(
    updates: Updates,
    state: ScaleByDistanceOverGradientsState,
    params: Params | None = None,
    *,
    eps: Scalar,
    global_scale: Scalar,
    **extra: Any,
) -> tuple[Updates, ScaleByDistanceOverGradientsState]:
    params = need_params("scale_by_distance_over_gradients", params, updates)

    def farther(d: Tensor, g: Tensor | None, p: Tensor, start: Tensor) -> Tensor:
        return d if g is None else torch.maximum(d, as_dtype(tree.norm(p - start), d.dtype))

    def summed(total: Tensor, g: Tensor | None) -> Tensor:
        return total if g is None else total + as_dtype(tree.norm(g).square(), total.dtype)

    def scaled(g: Tensor, d: Tensor, total: Tensor) -> Tensor:
        return cast(global_scale, d) * d / (total + eps).sqrt() * g

    most = tree.map(farther, state.max_dist, updates, params, state.init_params)
    total = tree.map(summed, state.grad_sum_of_squares, updates)
    return tree.map(scaled, updates, most, total), ScaleByDistanceOverGradientsState(most, total, state.init_params)


def _distance(params: Params, start: Params, like: Tensor) -> Tensor:
    moved = tree.map(lambda p0, p: p - p0, start, params)
    return as_dtype(tree.norm(moved), like.dtype)


def _scaled(rate: Tensor, updates: Updates) -> Updates:
    return tree.map(lambda g: as_dtype(rate, g.dtype.to_real()) * g, updates)
