"""Transformations that add to updates."""

from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from funcnet import random, tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Schedule,
    Updates,
    as_dtype,
    cast,
    need_params,
    on_pairs,
    stateless,
    zero_count,
)
from funcnet.optim.ranges import check_not_negative, check_rate
from funcnet.optim.states import with_state
from funcnet.optim.transforms.masking import TreeOrFunction, masked
from funcnet.reprs import shows_call
from funcnet.tree.elementwise import map_elementwise


class WeightDecaySchedule(NamedTuple):
    """The state of a scheduled weight decay."""

    count: Count  # 0-d int64, updates seen so far


class AddNoiseState(NamedTuple):
    """The state of `add_noise`."""

    count: Count  # 0-d int64, updates seen so far
    rng_key: Tensor  # (2,) int32, the key for the next draw


@shows_call
def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0, mask: TreeOrFunction | None = None
) -> GradientTransformation:
    """Add weight decay to updates: u = g + weight_decay p.

    Before the scaling by squared gradients this is L2 regularisation; after it, decoupled weight decay.

    Args:
        weight_decay: A number, a 0-d tensor or a schedule.
        mask: The leaves that decay, as in `masked`. None: all.
    Source:
        Loshchilov, Hutter (2019), Decoupled Weight Decay Regularization, https://arxiv.org/abs/1711.05101
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.add_decayed_weights(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3.3000, 4.4000])
    """
    check_rate("add_decayed_weights", weight_decay=weight_decay)
    if callable(weight_decay):
        update = partial(_scheduled_decay, weight_decay=weight_decay)
        part = with_state(WeightDecaySchedule, _decay_init, update)
    else:
        part = stateless(partial(_decay, weight_decay=weight_decay))
    return part if mask is None else masked(part, mask)


@shows_call
def add_noise(
    eta: Scalar, gamma: Scalar, key: Tensor | int | None = None, *, seed: int | None = None
) -> GradientTransformation:
    """Add normal noise with a decaying variance: u = g + n, n ~ N(0, eta / t^gamma), with t = 1 at the first update.

    Args:
        eta: Variance at the first update.
        gamma: Exponent of its decay.
        key: A key, or a seed. The same key gives the same noise in every run.
        seed: A seed, in place of a key.
    Returns:
        The transformation. State: `AddNoiseState`.
    Raises:
        ValueError: There is neither a key nor a seed, or both are given.
    Source:
        Neelakantan et al. (2015), Adding Gradient Noise Improves Learning, https://arxiv.org/abs/1511.06807
    Example:
        >>> part = fn.optim.add_noise(eta=0.01, gamma=0.55, key=0)
        >>> updates, state = part.update(torch.zeros(2), part.init(torch.zeros(2)))
        >>> updates.abs().max() < 1.0
        tensor(True)
    """
    check_not_negative("add_noise", eta=eta, gamma=gamma)
    given = [source for source in (key, seed) if source is not None]
    if len(given) != 1:
        raise ValueError(f"add_noise: expected a key or a seed, got key={key}, seed={seed}.")
    init, update = partial(_noise_init, key=given[0]), partial(_noise, eta=eta, gamma=gamma)
    return on_pairs(with_state(AddNoiseState, init, update))


def _decay(updates: Updates, params: Params | None, *, weight_decay: Scalar) -> Updates:
    params = need_params("add_decayed_weights", params, updates)
    return map_elementwise(lambda g, p: g + cast(weight_decay, p) * p, updates, params)


def _decay_init(params: Params) -> WeightDecaySchedule:
    return WeightDecaySchedule(zero_count(params))


def _scheduled_decay(
    updates: Updates,
    state: WeightDecaySchedule,
    params: Params | None = None,
    *,
    weight_decay: Schedule,
    **extra: Any,
) -> tuple[Updates, WeightDecaySchedule]:
    updates = _decay(updates, params, weight_decay=weight_decay(state.count))
    return updates, WeightDecaySchedule(state.count + 1)


def _noise_init(params: Params, *, key: Tensor | int) -> AddNoiseState:
    return AddNoiseState(zero_count(params), random.key(key) if isinstance(key, int) else key)


def _noise(
    updates: Updates, state: AddNoiseState, params: Params | None = None, *, eta: Scalar, gamma: Scalar, **extra: Any
) -> tuple[Updates, AddNoiseState]:
    count, (rng_key, its_key) = state.count + 1, random.split(state.rng_key)
    deviation = (eta / count.double() ** gamma) ** 0.5
    leaves, structure = tree.flatten(updates)
    keys = random.split(its_key, len(leaves))
    noise = [random.normal(key, g.shape, g.dtype) for key, g in zip(keys, leaves, strict=True)]
    noisy = [g + as_dtype(deviation, g.dtype) * n for g, n in zip(leaves, noise, strict=True)]
    return tree.unflatten(structure, noisy), AddNoiseState(count, rng_key)
