"""Complex tensors as two real leaves for a transformation that knows real numbers only."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, State, Updates, check_params
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_parts
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call
from funcnet.tree import Tree


class SplitRealAndImaginaryArrays(NamedTuple):
    """The two real tensors in place of a complex one."""

    real: Tensor
    imaginary: Tensor


class SplitRealAndImaginaryState(NamedTuple):
    """The state of `split_real_and_imaginary`."""

    inner_state: State  # of the transformation, with two leaves for a complex one


@shows_call
def split_real_and_imaginary(inner: GradientTransformation) -> GradientTransformation:
    """Apply a transformation to the real and the imaginary part of complex leaves, each a leaf of its own.

    The optimizers of this package treat complex numbers as pairs without it; transformations that are not may not.

    Args:
        inner: The transformation.
    Returns:
        The transformation. State: `SplitRealAndImaginaryState`.
    Example:
        >>> signs = fn.optim.stateless(lambda updates, params: fn.tree.map(torch.sign, updates))
        >>> part, z = fn.optim.split_real_and_imaginary(signs), torch.tensor(3 - 4j)
        >>> part.update(z, part.init(z))[0]
        tensor(1.-1.j)
    """
    check_parts("split_real_and_imaginary", [inner])
    inner = with_extra_args_support(inner)
    return with_state(
        SplitRealAndImaginaryState, partial(_split_init, inner=inner), partial(_split_update, inner=inner)
    )


def _split_init(params: Params, *, inner: GradientTransformation) -> SplitRealAndImaginaryState:
    check_params(params)
    return SplitRealAndImaginaryState(inner.init(_split(params)))


def _split_update(
    updates: Updates,
    state: SplitRealAndImaginaryState,
    params: Params | None = None,
    *,
    inner: GradientTransformation,
    **extra: Any,
) -> tuple[Updates, SplitRealAndImaginaryState]:
    changed, inner_state = inner.update(_split(updates), state.inner_state, _split(params), **extra)
    return _joined(changed), SplitRealAndImaginaryState(inner_state)


def _split(values: Tree) -> Tree:
    return tree.map(
        lambda x: SplitRealAndImaginaryArrays(x.real, x.imag) if isinstance(x, Tensor) and x.is_complex() else x, values
    )


def _joined(values: Tree) -> Tree:
    return tree.map(
        lambda x: torch.complex(*x) if isinstance(x, SplitRealAndImaginaryArrays) else x,
        values,
        is_leaf=lambda x: isinstance(x, SplitRealAndImaginaryArrays),
    )
