"""The Adafactor optimizer."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    as_dtype,
    cast,
    floating,
    on_pairs,
    widest_dtype,
    zero_count,
)
from funcnet.optim.ranges import check_fraction, check_not_negative
from funcnet.optim.states import check_fit, with_state
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.clipping import clip_by_block_rms
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.ema import ema
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale, scale_by_learning_rate, scale_by_param_block_rms
from funcnet.reprs import shows_call


class FactoredState(NamedTuple):
    """Moving averages of the squared gradients; each leaf has either a row and a column, or all entries."""

    count: Count  # 0-d int64, updates seen so far
    v_row: Params  # means over the largest axis, None for a leaf that is not factored
    v_col: Params  # means over the second largest axis, None for a leaf that is not factored
    v: Params  # every entry, None for a leaf that is factored


def power_decay(t: Tensor, decay_rate: Scalar) -> Tensor:
    """Return 1 - (t + 1)^-decay_rate, the decay of a mean square after t updates."""
    return 1 - (t + 1) ** -decay_rate


@shows_call
def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: Scalar = 0.8,
    step_offset: int | Tensor = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: Scalar = 1e-30,
    decay_rate_fn: Callable[[Tensor, Scalar], Scalar] = power_decay,
) -> GradientTransformation:
    """Divide updates by a root mean square that is stored as an outer product, as `adafactor` does.

    The other arguments are those of `adafactor`; decay_rate_fn(t, decay_rate) is the decay after t updates, by default
    1 - (t + 1)^-decay_rate.

    Example:
        >>> params = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        >>> part = fn.optim.scale_by_factored_rms(min_dim_size_to_factor=2)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([[1.6667, 0.0000],
                [0.0000, 1.2500]])
    """
    check_fraction("scale_by_factored_rms", decay_rate=decay_rate)
    check_not_negative("scale_by_factored_rms", epsilon=epsilon)
    size = min_dim_size_to_factor if factored else None
    update = partial(
        _factored_update,
        decay_rate=decay_rate,
        decay_rate_fn=decay_rate_fn,
        step_offset=step_offset,
        epsilon=epsilon,
        size=size,
    )
    return on_pairs(with_state(FactoredState, partial(_factored_init, size=size), update))


@shows_call
def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Scalar = 0.8,
    decay_offset: int | Tensor = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Scalar | None = 1.0,
    momentum: Scalar | None = None,
    dtype_momentum: torch.dtype | None = torch.float32,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: Scalar = 1e-30,
    factored: bool = True,
    weight_decay_mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend along the gradient over a root mean square that is stored as a row and a column.

    With b = 1 - t^-decay_rate, over the two largest axes of a leaf: row = b row + (1 - b) mean_columns(g² + eps),
    column = b column + (1 - b) mean_rows(g² + eps), v = row column / mean(row), d = g / sqrt(v). Then
    u = -learning_rate max(rms(p), 1e-3) d / max(1, rms(d) / clipping_threshold) - weight_decay_rate p.

    torch.optim.Adafactor factors the last two axes whatever their size, bounds v from below instead of adding eps, uses
    min(learning_rate, 1 / sqrt(t)) as the learning rate, and multiplies the weight decay by it.

    Args:
        learning_rate: The step relative to the size of a leaf; None for 1.
        min_dim_size_to_factor: Leaves whose second largest axis is shorter store all entries of v.
        decay_rate: The exponent of the decay.
        decay_offset: Subtracted from the step count, to restart the decay in the middle of a run.
        multiply_by_parameter_scale: Whether steps are proportional to the size of the leaf.
        clipping_threshold: The largest root mean square of d; None for no bound.
        momentum: Decay of an average of the updates, as in `ema` without debias; None for no average.
        dtype_momentum: The dtype of that average.
        weight_decay_rate, weight_decay_mask: The decay rate, which is not multiplied by the learning rate, and a mask
            of the leaves that decay.
        eps: Added to squared gradients.
        factored: Whether any leaf is factored.
    Returns:
        The transformation. State: a tuple, with a `FactoredState` first.
    Source:
        Shazeer, Stern (2018), Adafactor, algorithms 4 and 5, https://arxiv.org/abs/1804.04235
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.adafactor(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3536, -0.3536])
    """
    parts = [scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(scale_by_param_block_rms())
    if momentum is not None:
        parts.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*parts, scale(-1.0))


def _factored_init(params: Params, *, size: int | None) -> FactoredState:
    params = floating(params)

    def mean_over(p: Tensor, which: int) -> Tensor | None:
        axes = _axes(p, size)
        return None if axes is None else torch.zeros_like(p.sum(axes[which]))

    return FactoredState(
        count=zero_count(params),
        v_row=tree.map(lambda p: mean_over(p, 1), params),
        v_col=tree.map(lambda p: mean_over(p, 0), params),
        v=tree.map(lambda p: torch.zeros_like(p) if _axes(p, size) is None else None, params),
    )


def _factored_update(
    updates: Updates,
    state: FactoredState,
    params: Params | None = None,
    *,
    decay_rate: Scalar,
    decay_rate_fn: Callable[[Tensor, Scalar], Scalar],
    step_offset: int | Tensor,
    epsilon: Scalar,
    size: int | None,
    **extra: Any,
) -> tuple[Updates, FactoredState]:
    for field, which in (("v_row", 1), ("v_col", 0), ("v", None)):
        check_fit(
            f"FactoredState.{field}", getattr(state, field), updates, partial(_held_shape, which=which, size=size)
        )
    t = (state.count - step_offset).to(torch.promote_types(widest_dtype(updates), torch.float32))
    decay = decay_rate_fn(t, decay_rate)

    def onward(v: Tensor, g: Tensor | None, which: int | None = None) -> Tensor:
        if g is None:
            return v
        square = g * g + epsilon
        axes = _axes(g, size)
        mean = square if which is None or axes is None else square.mean(axes[which])
        return torch.lerp(v, as_dtype(mean, v.dtype), cast(1 - decay, v))

    row = tree.map(partial(onward, which=1), state.v_row, updates)
    column = tree.map(partial(onward, which=0), state.v_col, updates)
    whole = tree.map(onward, state.v, updates)

    def direction(g: Tensor, row: Tensor | None, column: Tensor | None, v: Tensor | None) -> Tensor:
        axes = _axes(g, size)
        if axes is None or row is None or column is None:
            return g * torch.rsqrt(v) if v is not None else g
        second, largest = axes
        mean = row.mean(second - (second > largest), keepdim=True)
        return g * torch.rsqrt(row / mean).unsqueeze(largest) * torch.rsqrt(column).unsqueeze(second)

    return tree.map(direction, updates, row, column, whole), FactoredState(state.count + 1, row, column, whole)


def _held_shape(g: Tensor, *, which: int | None, size: int | None) -> tuple[int, ...] | None:
    """Return the shape of a leaf of the state: without the averaged axis, or the full shape if it is not factored."""
    axes = _axes(g, size)
    if which is None:
        return tuple(g.shape) if axes is None else None
    return None if axes is None else tuple(n for axis, n in enumerate(g.shape) if axis != axes[which])


def _axes(x: Tensor, size: int | None) -> tuple[int, int] | None:
    """Return the second largest and the largest axis, or None for a leaf that is not factored."""
    if size is None or x.ndim < 2:
        return None
    second, largest = sorted(range(x.ndim), key=lambda axis: x.shape[axis])[-2:]
    return (second, largest) if x.shape[second] >= size else None
