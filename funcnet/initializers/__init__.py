"""Initialisers for parameters: functions (key, shape, dtype, device) -> Tensor, named as in jax.nn.initializers.

`zeros` and `ones` are such functions; the others build one. The device defaults to the key's. The same key gives the
same numbers, so every parameter needs its own key.

Fans: by default the last two axes of a shape are (in, out), and those before them, if any, the receptive field of a
convolution; fan_in = in * field and fan_out = out * field. For other layouts set in_axis, out_axis and batch_axis (axes
that belong to neither fan, such as those of stacked layers), each an int or several.
"""

from funcnet.initializers.orthogonal import orthogonal
from funcnet.initializers.plain import Initializer, constant, normal, ones, truncated_normal, uniform, zeros
from funcnet.initializers.variance import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    torch_uniform,
    variance_scaling,
)

__all__ = [
    "Initializer",
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "torch_uniform",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__
