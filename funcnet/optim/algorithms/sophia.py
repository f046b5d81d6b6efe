"""The Sophia optimizer, and the estimate of the diagonal of the Hessian that it divides by."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.control_flow import cond
from funcnet.optim import moments
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    State,
    Updates,
    cast,
    need_params,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_bound, check_count, check_fraction, check_not_negative, check_parts
from funcnet.optim.states import check_state, with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate
from funcnet.reprs import shows_call
from funcnet.transforms import grad, jvp


class HutchinsonState(NamedTuple):
    """The state of `hutchinson_estimator_diag_hessian`."""

    key: Tensor  # (2,) int32, the key for the next draw


class SophiaState(NamedTuple):
    """The state of `sophia`."""

    count: Count  # 0-d int64, updates seen so far
    mu: Params  # like params, in mu_dtype: the mean of gradients
    nu: Params  # like params: the mean of the estimates of the diagonal of the Hessian
    hessian_fn_state: State  # that of the estimate


@shows_call
def hutchinson_estimator_diag_hessian(random_seed: Tensor | int | None = None) -> GradientTransformation:
    """Replace updates by an estimate of the diagonal of the Hessian of a loss: z (H z), with random signs z.

    The estimate is unbiased, and exact where H is diagonal.

    Args:
        random_seed: A key, or a seed. None: the seed 0.
    Returns:
        The transformation. It needs params. Update takes the loss as `obj_fn=`, a function of the parameters. State:
        `HutchinsonState`.
    Raises:
        ValueError: At update, the loss is missing.
    Source:
        Bekas, Kokiopoulou, Saad (2007), An estimator for the diagonal of a matrix, equation 3,
        https://doi.org/10.1016/j.apnum.2007.01.003
    Example:
        >>> diagonal, x = fn.optim.hutchinson_estimator_diag_hessian(), torch.tensor([1.0, 2.0])
        >>> diagonal.update(x, diagonal.init(x), x, obj_fn=lambda x: (x**3).sum())[0]
        tensor([ 6., 12.])
    """
    key = random.key(random_seed or 0) if not isinstance(random_seed, Tensor) else random_seed
    return with_state(HutchinsonState, partial(_hutchinson_init, key=key), _hutchinson_update)


@shows_call
def scale_by_sophia(
    b1: Scalar = 0.965,
    b2: Scalar = 0.99,
    eps: Scalar = 1e-8,
    gamma: Scalar = 0.01,
    clip_threshold: Scalar | None = 1.0,
    update_interval: int | Tensor = 10,
    hessian_diagonal_fn: GradientTransformation | None = None,
    mu_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Divide the mean of gradients by a mean of the diagonal of the Hessian, as `sophia` does before its step size.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.scale_by_sophia(gamma=1.0, clip_threshold=None, b2=0.0)
        >>> loss = lambda p: p.square().sum()
        >>> _, state = part.update(params, part.init(params), params, obj_fn=loss)
        >>> part.update(params, state, params, obj_fn=loss)[0]  # with the gradient of |params|² / 2
        tensor([1.5000, 2.0000])
    """
    hessian = hutchinson_estimator_diag_hessian() if hessian_diagonal_fn is None else hessian_diagonal_fn
    check_parts("scale_by_sophia", [hessian])
    check_fraction("scale_by_sophia", b1=b1, b2=b2)
    check_not_negative("scale_by_sophia", eps=eps, gamma=gamma)
    check_bound("scale_by_sophia", clip_threshold=torch.inf if clip_threshold is None else clip_threshold)
    check_count("scale_by_sophia", update_interval=update_interval)
    hessian = with_extra_args_support(hessian)
    options: dict[str, Any] = {"b1": b1, "b2": b2, "eps": eps, "gamma": gamma, "bound": clip_threshold}
    update = partial(_sophia_update, hessian=hessian, interval=update_interval, **options)
    init = partial(_sophia_init, hessian=hessian, mu_dtype=mu_dtype)
    return GradientTransformation(init, update)


@shows_call
def sophia(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.965,
    b2: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    weight_decay_mask: TreeOrFunction | None = None,
    gamma: Scalar = 0.01,
    clip_threshold: Scalar | None = 1.0,
    update_interval: int | Tensor = 10,
    hessian_diagonal_fn: GradientTransformation | None = None,
    mu_dtype: torch.dtype | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> GradientTransformation:
    """Descend by Newton's method with the diagonal of the Hessian, estimated in every tenth step, and bounded steps.

    m = b1 m + (1 - b1) g, u = -learning_rate (clip(m̂ / max(gamma h, eps)) + weight_decay p), and then, in the first of
    every update_interval steps, h = b2 h + (1 - b2) diag(H). The first step thus has h = 0 and is that of signs.

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and h, in [0, 1).
        eps: The least divisor.
        weight_decay: A number, a 0-d tensor or a schedule; multiplied by the learning rate.
        weight_decay_mask: The leaves that decay, as in `masked`. None: all.
        gamma: The factor of h. A larger one bounds fewer steps; between a tenth and half of the entries should be
            within the bound.
        clip_threshold: The bound. None: no bound.
        update_interval: Steps per estimate of the Hessian.
        hessian_diagonal_fn: A transformation that replaces updates by the diagonal of the Hessian. It gets the extra
            arguments of update. None: `hutchinson_estimator_diag_hessian()`, which takes the loss as `obj_fn=`.
        mu_dtype: The dtype of m. None: that of the parameters.
        verbose, print_win_rate_every_n_steps: Accepted as in Optax; nothing is printed.
    Returns:
        The transformation. It needs params. State: a tuple, with a `SophiaState` first.
    Source:
        Liu, Li, Hall, Liang, Ma (2023), Sophia: A Scalable Stochastic Second-order Optimizer for Language Model
        Pre-training, algorithm 3, https://arxiv.org/abs/2305.14342; the formula is that of optax.contrib.sophia.
    Example:
        >>> optimizer, x = fn.optim.sophia(0.1, weight_decay=0.0), torch.tensor(3.0)
        >>> optimizer.update(2 * x, optimizer.init(x), x, obj_fn=lambda x: x**2)[0]
        tensor(-0.1000)
    """
    scaled = scale_by_sophia(b1, b2, eps, gamma, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype)
    return chain(scaled, add_decayed_weights(weight_decay, weight_decay_mask), scale_by_learning_rate(learning_rate))


def _hutchinson_init(params: Params, *, key: Tensor) -> HutchinsonState:
    return HutchinsonState(key)


def _hutchinson_update(
    updates: Updates,
    state: HutchinsonState,
    params: Params | None = None,
    *,
    obj_fn: Callable[[Params], Tensor] | None = None,
    **extra: Any,
) -> tuple[Updates, HutchinsonState]:
    if obj_fn is None:
        raise ValueError(
            "hutchinson_estimator_diag_hessian: expected the loss. Call update(grads, state, params, obj_fn=…)."
        )
    params = need_params("hutchinson_estimator_diag_hessian", params, updates)
    key, its_key = random.split(state.key)
    trained, rest = tree.partition(params, tree.is_inexact)
    if not tree.leaves(trained):
        return updates, HutchinsonState(key)
    numbers = tree.view_as_real(trained)
    signs = _signs(its_key, numbers)
    loss = partial(_of_numbers, obj_fn=obj_fn, trained=trained, rest=rest)
    product = jvp(grad(loss), (numbers,), (signs,))[1]
    diagonal = tree.view_as_complex(tree.map(torch.mul, signs, product), trained)
    return tree.map(lambda _, h: h, updates, diagonal), HutchinsonState(key)


def _of_numbers(numbers: Params, *, obj_fn: Callable[[Params], Tensor], trained: Params, rest: Params) -> Tensor:
    return obj_fn(tree.combine(tree.view_as_complex(numbers, trained), rest))


def _signs(key: Tensor, params: Params) -> Params:
    leaves, structure = tree.flatten(params)
    keys = random.split(key, max(len(leaves), 1))[: len(leaves)]
    signs = [random.rademacher(k, p.shape, torch.float32).to(p.dtype) for k, p in zip(keys, leaves, strict=True)]
    return tree.unflatten(structure, signs)


def _sophia_init(params: Params, *, hessian: GradientTransformation, mu_dtype: torch.dtype | None) -> SophiaState:
    real, state = tree.view_as_real(params), hessian.init(params)
    return SophiaState(zero_count(params), moments.zeros(real, mu_dtype), moments.zeros(real), state)


def _sophia_update(
    updates: Updates,
    state: SophiaState,
    params: Params | None = None,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    gamma: Scalar,
    bound: Scalar | None,
    interval: int | Tensor,
    hessian: GradientTransformation,
    **extra: Any,
) -> tuple[Updates, SophiaState]:
    params = need_params("scale_by_sophia", params, updates)
    real, count = tree.view_as_real(updates), state.count + 1
    check_state(SophiaState, state, real, like=("mu", "nu"))
    mu = moments.first(real, state.mu, b1)

    def direction(_: Tensor, m: Tensor, h: Tensor) -> Tensor:
        step = m / (cast(gamma, h) * h).clamp(min=cast(eps, h))
        return step if bound is None else step.clamp(-cast(bound, step), cast(bound, step))

    def estimate(nu: Params, inner: State) -> tuple[Params, State]:
        diagonal, inner = hessian.update(updates, inner, params, **extra)
        return moments.first(tree.view_as_real(diagonal), nu, b2), inner

    is_due = state.count % interval == 0
    nu, inner = cond(is_due, estimate, lambda *unchanged: unchanged, state.nu, state.hessian_fn_state)
    step = tree.map(direction, real, moments.unbias(mu, b1, count), state.nu)
    return tree.view_as_complex(step, updates), SophiaState(count, mu, nu, inner)
