"""A sum of updates that is applied at every k-th step."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import Count, GradientTransformation, Params, Updates, as_dtype, zero_count
from funcnet.optim.ranges import check_count
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call


class ApplyEvery(NamedTuple):
    """The state of `apply_every`."""

    count: Count  # 0-d int64, updates since the last sum
    grad_acc: Params  # like params: their sum


@shows_call
def apply_every(k: int = 1) -> GradientTransformation:
    """Add up k updates and return their sum at the k-th; the other updates are 0.

    The part of a chain before this sees every gradient. To show an optimizer the mean of k gradients instead, use
    `MultiSteps`.

    Example:
        >>> every = fn.optim.apply_every(2)
        >>> first, state = every.update(torch.tensor(1.0), every.init(torch.tensor(0.0)))
        >>> first, every.update(torch.tensor(2.0), state)[0]
        (tensor(0.), tensor(3.))
    """
    check_count("apply_every", k=k)
    return with_state(ApplyEvery, _every_init, partial(_every_update, k=k), like=("grad_acc",))


def _every_init(params: Params) -> ApplyEvery:
    return ApplyEvery(zero_count(params), moments.zeros(params))


def _every_update(
    updates: Updates, state: ApplyEvery, params: Params | None = None, *, k: int, **extra: Any
) -> tuple[Updates, ApplyEvery]:
    def summed(total: Tensor, g: Tensor | None) -> Tensor:
        return total if g is None else as_dtype(torch.where(state.count == 0, 0, total) + g, total.dtype)

    total = tree.map(summed, state.grad_acc, updates)
    emitted = tree.map(lambda _, s: torch.where(state.count == k - 1, s, 0), updates, total)
    return emitted, ApplyEvery((state.count + 1) % k, total)
