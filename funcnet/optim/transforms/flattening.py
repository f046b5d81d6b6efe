"""A transformation of all parameters as one vector."""

from functools import partial
from typing import Any

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, State, Updates, floating
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_parts
from funcnet.reprs import shows_call


@shows_call
def flatten(inner: GradientTransformation) -> GradientTransformation:
    """Apply a transformation to the vector of all updates, in place of a tree of tensors.

    Its state has one tensor in place of one per leaf. Transformations of one tensor, such as the norms of
    `clip_by_block_rms`, then act on all parameters together.

    Args:
        inner: The transformation. The dtype of its vector is the widest of the leaves.
    Returns:
        The transformation. State: that of inner.
    Example:
        >>> optimizer, params = fn.optim.flatten(fn.optim.adam(0.1)), {"w": torch.zeros(2, 2), "b": torch.zeros(3)}
        >>> optimizer.init(params)[0].mu
        tensor([0., 0., 0., 0., 0., 0., 0.])
    """
    check_parts("flatten", [inner])
    inner = with_extra_args_support(inner)
    return GradientTransformation(partial(_flat_init, inner=inner), partial(_flat_update, inner=inner))


def _flat_init(params: Params, *, inner: GradientTransformation) -> State:
    return inner.init(tree.ravel(floating(params))[0])


def _flat_update(
    updates: Updates, state: State, params: Params | None = None, *, inner: GradientTransformation, **extra: Any
) -> tuple[Updates, State]:
    vector, unravel = tree.ravel(updates)
    if params is not None:
        params = tree.ravel(tree.map(lambda _, p: p, updates, params))[0]
    vector, state = inner.update(vector, state, params, **extra)
    return unravel(vector), state
