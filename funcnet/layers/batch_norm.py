"""Batch normalisation: the layer whose running statistics are state."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.layers.layer import (
    Layer,
    LayerError,
    Params,
    State,
    at_least_float32,
    check_example,
    matching,
    stateful,
)
from funcnet.layers.normalisation import along, check_axis
from funcnet.random import Key, Scalar
from funcnet.reprs import shows_call


@shows_call
def batch_norm(*, axis: int = -1, momentum: Scalar | None = 0.1, eps: float = 1e-5) -> Layer:
    """Normalise each feature over the batch, then scale and shift it.

    y = (x - mean) / sqrt(var + eps) * scale + shift. If train, mean and biased variance are taken over all axes of x
    except the feature axis; otherwise they are those of the state. In training the state moves towards those of x,
    mean <- mean + momentum (mean_x - mean), and var likewise, with the unbiased variance of x.

    The statistics are those of one call: under vmap over examples, a call has only one value per feature; under vmap
    over models, each model has its own statistics.

    Args:
        axis: The axis of the features, counted from the end: -1 for vectors, -3 for images (*, features, h, w).
        momentum: The weight of the newest batch, in [0, 1]; may be a tensor. None: all batches have equal weight.
        eps: Added to the variance; same unit as x squared.
    Returns:
        A layer with state. params: {"scale": (features,), "shift": (features,)}.
        state: {"mean": (features,), "var": (features,), "count": int64, batches seen}.
        apply_with_state: keeps the shape and dtype of x.
    Raises:
        ValueError: axis is not negative, or momentum is a number outside [0, 1].
        LayerError: There are fewer than two values per feature in training, or x does not fit scale or the state.
    Source:
        Ioffe, Szegedy (2015), Batch Normalization, algorithm 1, https://arxiv.org/abs/1502.03167
    Example:
        >>> norm, x = fn.batch_norm(), torch.tensor([[1.0], [3.0]])
        >>> params, state = norm.init_with_state(fn.random.key(0), x)
        >>> y, state = norm.apply_with_state(params, state, x, train=True)
        >>> y.flatten(), state["mean"], state["var"]
        (tensor([-1.0000,  1.0000]), tensor([0.2000]), tensor([1.1000]))
    """
    check_axis("batch_norm", axis)
    if not (momentum is None or isinstance(momentum, Tensor) or 0 <= momentum <= 1):
        raise ValueError(f"batch_norm: expected a momentum in [0, 1], the weight of the newest batch, got {momentum}.")
    return stateful(
        "batch_norm",
        init=partial(_batch_norm_init, axis=axis),
        apply=partial(_batch_norm, axis=axis, momentum=momentum, eps=eps),
    )


def _batch_norm_init(key: Key, x: Tensor, *, axis: int) -> tuple[Params, State]:
    check_example("batch_norm", x, -axis)
    zeros, ones = x.new_zeros(x.shape[axis]), x.new_ones(x.shape[axis])
    count = torch.zeros((), dtype=torch.int64, device=x.device)
    return {"scale": ones, "shift": zeros}, {"mean": zeros.clone(), "var": ones.clone(), "count": count}


def _batch_norm(
    params: Params,
    state: State,
    x: Tensor,
    *,
    axis: int,
    momentum: Scalar | None,
    eps: float,
    key: Key | None = None,
    train: bool,
) -> tuple[Tensor, State]:
    scale, shift = (along(axis, matching("batch_norm", params, name, x, axis=axis)) for name in ("scale", "shift"))
    _check_state(state, scale.numel())
    wide = at_least_float32(x)
    if train:
        mean, var, count = _statistics(wide, axis)
        state = _moved(state, mean, var * (count / (count - 1)), momentum)
    else:
        mean, var = state["mean"], state["var"]
    y = (wide - along(axis, mean)) * torch.rsqrt(along(axis, var) + eps) * scale + shift
    return y.to(x.dtype), state


def _statistics(x: Tensor, axis: int) -> tuple[Tensor, Tensor, int]:
    """Return mean and biased variance of every feature, and the number of values."""
    over = [i for i in range(x.ndim) if i != x.ndim + axis]
    count = math.prod(x.shape[i] for i in over)
    if count < 2:
        raise LayerError(
            "batch_norm",
            "",
            f"expected at least 2 values per feature for the statistics, got {count} in x of shape {tuple(x.shape)}. "
            "Train on larger batches, outside a vmap over examples; train=False uses the statistics of the state.",
        )
    mean = x.mean(over, keepdim=True)
    return mean.flatten(), (x - mean).square().mean(over), count


def _moved(state: State, mean: Tensor, var: Tensor, momentum: Scalar | None) -> State:
    """Move the running statistics, in their own dtype, towards those of a batch."""
    count = state["count"] + 1
    rate = 1 / count.to(mean.dtype) if momentum is None else momentum
    moved = {
        name: old + rate * (new - old) for name, old, new in (("mean", state["mean"], mean), ("var", state["var"], var))
    }
    return {name: new.to(state[name].dtype) for name, new in moved.items()} | {"count": count}


def _check_state(state: Any, features: int) -> None:
    if not isinstance(state, dict) or state.keys() != {"mean", "var", "count"}:
        raise LayerError("batch_norm", "", f"expected a state with mean, var and count, got {tree.describe(state)}.")
    for name in ("mean", "var"):
        if not tree.is_tensor(state[name]) or state[name].shape != (features,):
            got = tree.describe(state[name])
            raise LayerError("batch_norm", "", f"expected {name} in the state to have shape ({features},), got {got}.")
