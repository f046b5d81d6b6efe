"""Layers that bring the last axis to a common size."""

from functools import partial

import torch
from torch import Tensor

from funcnet.layers.base import Layer, Params, check_example, matching
from funcnet.random import Key


def layer_norm(*, eps: float = 1e-5) -> Layer:
    """Normalise the last axis, then scale and shift it.

    y = (x - mean) / sqrt(var + eps) * scale + shift, with the biased variance.

    Args:
        eps: Added to the variance; same unit as x squared.
    Returns:
        A layer. params: {"scale": (features,), "shift": (features,)}.
        apply: (*, features) -> (*, features), dtype of x.
    Raises:
        LayerError: x has another last axis, dtype or device than scale.
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
    wide = _at_least_float32(x)
    centred = wide - wide.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return (centred * torch.rsqrt(variance + eps) * scale + shift).to(x.dtype)


def rms_norm(*, eps: float = 1e-6) -> Layer:
    """Divide the last axis by its root mean square, then scale it.

    y = x / sqrt(mean(x^2) + eps) * scale.

    Args:
        eps: Added to the mean square; same unit as x squared.
    Returns:
        A layer. params: {"scale": (features,)}. apply: (*, features) -> (*, features), dtype of x.
    Raises:
        LayerError: x has another last axis, dtype or device than scale.
    Source:
        Zhang, Sennrich (2019), Root Mean Square Layer Normalization, eq. 4, https://arxiv.org/abs/1910.07467
    """
    return Layer(init=_rms_norm_init, apply=partial(_rms_norm, eps=eps))


def _rms_norm_init(key: Key, x: Tensor) -> Params:
    check_example("rms_norm", x)
    return {"scale": x.new_ones(x.shape[-1:])}


def _rms_norm(params: Params, x: Tensor, *, eps: float, key: Key | None = None) -> Tensor:
    scale, wide = matching("rms_norm", params, "scale", x), _at_least_float32(x)
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * scale).to(x.dtype)


def _at_least_float32(x: Tensor) -> Tensor:
    """The square of a float16 above 256 is infinite."""
    return x.float() if x.dtype.itemsize < 4 else x
