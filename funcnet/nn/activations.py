"""Activations: jax.nn's functions of each element."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.numpy import kinks
from funcnet.numpy.axes import one_axis
from funcnet.numpy.binary import clip
from funcnet.numpy.promotion import ArrayLike, as_tensor, inexact, named, promote

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "identity", "leaky_relu",
    "log1mexp", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_sign", "softplus",
    "sparse_plus", "sparse_sigmoid", "squareplus", "swish",
]  # fmt: skip

Activation = Callable[[ArrayLike], Tensor]


def _float(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Activation:
    """Make an activation of floating-point numbers; integers count as float32."""

    def function(x: ArrayLike) -> Tensor:
        return f(inexact(as_tensor(name, x)))

    return named(function, name, doc)


def _same(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Activation:
    """Make an activation that keeps the dtype."""

    def function(x: ArrayLike) -> Tensor:
        return f(as_tensor(name, x))

    return named(function, name, doc)


def _softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, x.new_zeros(()))


def _mish(x: Tensor) -> Tensor:
    return x * torch.tanh(_softplus(x))


def _hard_sigmoid(x: Tensor) -> Tensor:
    return _relu6(x + 3) / 6


def _hard_silu(x: Tensor) -> Tensor:
    return x * _hard_sigmoid(x)


def _soft_sign(x: Tensor) -> Tensor:
    return x / (kinks.absolute(x) + 1)


def _sparse_plus(x: Tensor) -> Tensor:
    return torch.where(x <= -1, 0.0, torch.where(x >= 1, x, torch.square(x + 1) / 4))


def _log1mexp(x: Tensor) -> Tensor:
    return torch.where(x > math.log(2), torch.log1p(-torch.exp(-x)), torch.log(-torch.expm1(-x)))


def _identity(x: Tensor) -> Tensor:
    return x


def _relu6(x: Tensor) -> Tensor:
    return torch.nn.functional.hardtanh(x, 0, 6)  # unlike that of clamp, its slope is 0 at 0 and at 6


def _relu(x: Tensor) -> Tensor:
    return torch.relu(x.to(torch.int32) if x.dtype == torch.bool else x)


def _hard_tanh(x: Tensor) -> Tensor:
    return torch.clamp(x.to(torch.int32) if x.dtype == torch.bool else x, -1, 1)


relu = _same("relu", _relu, "max(x, 0).")
relu6 = _float("relu6", _relu6, "min(max(x, 0), 6).")
hard_tanh = _same("hard_tanh", _hard_tanh, "x limited to [-1, 1].")
identity = _same("identity", _identity, "x.")
sigmoid = _float("sigmoid", torch.sigmoid, "1 / (1 + exp(-x)).")
silu = swish = _float("silu", torch.nn.functional.silu, "x sigmoid(x).")
softplus = _float("softplus", _softplus, "log(1 + exp(x)).")
soft_sign = _float("soft_sign", _soft_sign, "x / (abs(x) + 1).")
log_sigmoid = _float("log_sigmoid", torch.nn.functional.logsigmoid, "log(sigmoid(x)).")
selu = _float("selu", torch.selu, "scale (x for x > 0, else alpha (exp(x) - 1)), with alpha 1.673 and scale 1.051.")
mish = _float("mish", _mish, "x tanh(softplus(x)).")
hard_sigmoid = _float("hard_sigmoid", _hard_sigmoid, "relu6(x + 3) / 6.")
hard_silu = hard_swish = _float("hard_silu", _hard_silu, "x hard_sigmoid(x).")
sparse_plus = _float("sparse_plus", _sparse_plus, "0 for x <= -1, (x + 1)^2 / 4 for -1 < x < 1, and x for x >= 1.")
log1mexp = _float("log1mexp", _log1mexp, "log(1 - exp(-x)) for x > 0.")


def sparse_sigmoid(x: ArrayLike) -> Tensor:
    """(x + 1) / 2 limited to [0, 1], the derivative of sparse_plus."""
    return clip((inexact(as_tensor("sparse_sigmoid", x)) + 1) / 2, 0, 1)


def gelu(x: ArrayLike, approximate: bool = True) -> Tensor:
    """x times the normal distribution function of x, by default by its tanh approximation (unlike torch's gelu)."""
    x = inexact(as_tensor("gelu", x))
    return torch.nn.functional.gelu(x, approximate="tanh" if approximate else "none")


def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Tensor:
    """x for x > 0, else alpha (exp(x) - 1)."""
    x = inexact(as_tensor("elu", x))
    return torch.where(x > 0, x, alpha * torch.expm1(torch.where(x > 0, 0.0, x)))


def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Tensor:
    """x for x > 0, else alpha (exp(x / alpha) - 1)."""
    x = inexact(as_tensor("celu", x))
    return torch.where(x > 0, x, alpha * torch.expm1(torch.where(x > 0, 0.0, x) / alpha))


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Tensor:
    """x for x >= 0, else negative_slope x."""
    x = inexact(as_tensor("leaky_relu", x))
    return torch.where(x >= 0, x, negative_slope * x)


def squareplus(x: ArrayLike, b: ArrayLike = 4) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2."""
    x, b = promote("squareplus", inexact(as_tensor("squareplus", x)), b)
    return (x + torch.sqrt(torch.square(x) + b)) / 2


def glu(x: ArrayLike, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second.

    Raises:
        ValueError: The length of the axis is odd.
    """
    x = inexact(as_tensor("glu", x))
    axis = one_axis("glu", axis, x.ndim)
    if x.shape[axis] % 2:
        raise ValueError(f"glu: expected an axis of even length, got {x.shape[axis]} in shape {tuple(x.shape)}.")
    first, second = x.chunk(2, axis)
    return first * torch.sigmoid(second)
