"""Layers that normalise the features of each example."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.layers.layer import Layer, LayerError, Params, at_least_float32, check_example, matching
from funcnet.random import Key
from funcnet.reprs import shows_call


@shows_call
def layer_norm(*, eps: float = 1e-5) -> Layer:
    """Normalise the last axis, then scale and shift it.

    y = (x - mean) / sqrt(var + eps) * scale + shift, with the biased variance.

    Args:
        eps: Added to the variance; same unit as x squared.
    Returns:
        A layer. params: {"scale": (features,), "shift": (features,)}.
        apply: (*, features) -> (*, features), dtype of x.
    Raises:
        LayerError: The last axis, dtype or device of x does not match scale.
    Source:
        Ba, Kiros, Hinton (2016), Layer Normalization, eq. 4, https://arxiv.org/abs/1607.06450
    Example:
        >>> x = torch.tensor([[1.0, 3.0]])
        >>> norm = fn.layer_norm()
        >>> norm.apply(norm.init(fn.random.key(0), x), x)
        tensor([[-1.0000,  1.0000]])
    """
    return Layer(init=_layer_norm_init, apply=partial(_layer_norm, eps=eps))


def _layer_norm_init(key: Key, x: Tensor) -> Params:
    check_example("layer_norm", x)
    return {"scale": x.new_ones(x.shape[-1:]), "shift": x.new_zeros(x.shape[-1:])}


def _layer_norm(params: Params, x: Tensor, *, eps: float, key: Key | None = None) -> Tensor:
    scale, shift = (matching("layer_norm", params, name, x) for name in ("scale", "shift"))
    wide = at_least_float32(x)
    centred = wide - wide.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return (centred * torch.rsqrt(variance + eps) * scale + shift).to(x.dtype)


@shows_call
def rms_norm(*, eps: float = 1e-6) -> Layer:
    """Divide the last axis by its root mean square, then scale it.

    y = x / sqrt(mean(x^2) + eps) * scale.

    Args:
        eps: Added to the mean square; same unit as x squared.
    Returns:
        A layer. params: {"scale": (features,)}. apply: (*, features) -> (*, features), dtype of x.
    Raises:
        LayerError: The last axis, dtype or device of x does not match scale.
    Source:
        Zhang, Sennrich (2019), Root Mean Square Layer Normalization, eq. 4, https://arxiv.org/abs/1910.07467
    Example:
        >>> layer, x = fn.rms_norm(), torch.tensor([3.0, 4.0])
        >>> layer.apply(layer.init(fn.random.key(0), x), x)
        tensor([0.8485, 1.1314])
    """
    return Layer(init=_rms_norm_init, apply=partial(_rms_norm, eps=eps))


def _rms_norm_init(key: Key, x: Tensor) -> Params:
    check_example("rms_norm", x)
    return {"scale": x.new_ones(x.shape[-1:])}


def _rms_norm(params: Params, x: Tensor, *, eps: float, key: Key | None = None) -> Tensor:
    scale, wide = matching("rms_norm", params, "scale", x), at_least_float32(x)
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * scale).to(x.dtype)


@shows_call
def group_norm(groups: int, *, axis: int = -1, eps: float = 1e-5) -> Layer:
    """Normalise each group of features over its features and all axes after them, then scale and shift.

    y = (x - mean) / sqrt(var + eps) * scale + shift, with the mean and biased variance of the group.

    Args:
        groups: Number of groups; must divide the number of features. One feature per group is instance normalisation.
        axis: The axis of the features, counted from the end: -1 for vectors, -3 for images (*, features, h, w).
        eps: Added to the variance; same unit as x squared.
    Returns:
        A layer. params: {"scale": (features,), "shift": (features,)}. apply: keeps the shape and dtype of x.
    Raises:
        ValueError: groups is below 1, or axis is not negative.
        LayerError: The number of features is not divisible by groups, or x does not fit scale.
    Source:
        Wu, He (2018), Group Normalization, eq. 1 to 7, https://arxiv.org/abs/1803.08494
    Example:
        >>> norm = fn.group_norm(2)
        >>> x = torch.tensor([1.0, 3.0, 10.0, 30.0])
        >>> norm.apply(norm.init(fn.random.key(0), x), x)
        tensor([-1.0000,  1.0000, -1.0000,  1.0000])
    """
    if not isinstance(groups, int) or groups < 1:
        raise ValueError(f"group_norm: expected a whole number of groups, at least 1, got {groups}.")
    check_axis("group_norm", axis)
    options: dict[str, Any] = {"groups": groups, "axis": axis}
    return Layer(init=partial(_group_norm_init, **options), apply=partial(_group_norm, **options, eps=eps))


def _group_norm_init(key: Key, x: Tensor, *, groups: int, axis: int) -> Params:
    check_example("group_norm", x, -axis)
    _check_groups(x, groups, axis)
    return {"scale": x.new_ones(x.shape[axis]), "shift": x.new_zeros(x.shape[axis])}


def _group_norm(params: Params, x: Tensor, *, groups: int, axis: int, eps: float, key: Key | None = None) -> Tensor:
    scale, shift = (along(axis, matching("group_norm", params, name, x, axis=axis)) for name in ("scale", "shift"))
    _check_groups(x, groups, axis)
    grouped = at_least_float32(x).unflatten(axis, (groups, -1))
    over = tuple(range(axis, 0))
    centred = grouped - grouped.mean(over, keepdim=True)
    variance = centred.square().mean(over, keepdim=True)
    return ((centred * torch.rsqrt(variance + eps)).reshape(x.shape) * scale + shift).to(x.dtype)


def _check_groups(x: Tensor, groups: int, axis: int) -> None:
    if x.shape[axis] % groups:
        raise LayerError("group_norm", "", f"expected features divisible by {groups} groups, got {x.shape[axis]}.")


def check_axis(operation: str, axis: int) -> None:
    """Refuse a feature axis that is counted from the front, since the number of leading axes may vary."""
    if not isinstance(axis, int) or axis >= 0:
        raise ValueError(f"{operation}: expected an axis counted from the end, such as -1, got {axis}.")


def along(axis: int, values: Tensor) -> Tensor:
    """Reshape one value per feature so that it broadcasts along the feature axis."""
    return values.reshape(-1, *(1,) * (-axis - 1))
