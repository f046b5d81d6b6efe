"""jax.nn.initializers: the initialisers of `fn.initializers` under all of their names in JAX.

As in JAX, each takes the dtype of its draws, which a call may override: `normal(0.02, jnp.float16)(key, shape)`.

Example:
    >>> from funcnet.nn.initializers import glorot_normal
    >>> glorot_normal(dtype=torch.float64)(fn.random.key(0), (2, 3)).dtype
    torch.float64
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from funcnet import initializers
from funcnet.initializers import Initializer, ones, zeros
from funcnet.initializers.plain import Device
from funcnet.initializers.variance import Axes, Distribution, Mode
from funcnet.random import Key, Scalar

__all__ = [
    "Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal",
    "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip


def constant(value: Scalar, dtype: torch.dtype = torch.float32) -> Initializer:
    """Make copies of a number, or of a tensor that broadcasts to the shape."""
    return _with_dtype(initializers.constant(value), dtype)


def uniform(scale: Scalar = 1e-2, dtype: torch.dtype = torch.float32) -> Initializer:
    """Draw from the uniform distribution on [0, scale)."""
    return _with_dtype(initializers.uniform(scale), dtype)


def normal(stddev: Scalar = 1e-2, dtype: torch.dtype = torch.float32) -> Initializer:
    """Draw from the normal distribution of mean 0 and standard deviation stddev."""
    return _with_dtype(initializers.normal(stddev), dtype)


def truncated_normal(
    stddev: Scalar = 1e-2, dtype: torch.dtype = torch.float32, lower: Scalar = -2.0, upper: Scalar = 2.0
) -> Initializer:
    """Draw stddev x, where x is standard normal conditioned on lower < x < upper."""
    return _with_dtype(initializers.truncated_normal(stddev, lower, upper), dtype)


def orthogonal(scale: Scalar = 1.0, column_axis: int = -1, dtype: torch.dtype = torch.float32) -> Initializer:
    """Draw scale times a uniformly distributed matrix with orthonormal columns, or rows if there are fewer rows."""
    return _with_dtype(initializers.orthogonal(scale, column_axis), dtype)


def delta_orthogonal(scale: Scalar = 1.0, column_axis: int = -1, dtype: torch.dtype = torch.float32) -> Initializer:
    """Draw the kernel of a convolution, (*window, inputs, outputs), that is `orthogonal` in the middle, 0 elsewhere.

    Source:
        Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington (2018), Dynamical Isometry and a Mean Field Theory of CNNs,
        section 3, https://arxiv.org/abs/1806.05393
    """
    return partial(_delta_orthogonal, scale=scale, column_axis=column_axis, own=dtype)


def variance_scaling(
    scale: Scalar,
    mode: Mode,
    distribution: Distribution,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: torch.dtype = torch.float32,
) -> Initializer:
    """Draw with mean 0 and variance scale / fan. See `fn.initializers.variance_scaling`."""
    axes = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
    return _with_dtype(initializers.variance_scaling(scale, mode, distribution, **axes), dtype)


def glorot_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: torch.dtype = torch.float32
) -> Initializer:
    """Draw uniformly with variance 2 / (fan_in + fan_out)."""
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def glorot_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: torch.dtype = torch.float32
) -> Initializer:
    """Draw from a truncated normal distribution with variance 2 / (fan_in + fan_out)."""
    return variance_scaling(1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: torch.dtype = torch.float32
) -> Initializer:
    """Draw uniformly with variance 1 / fan_in."""
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: torch.dtype = torch.float32
) -> Initializer:
    """Draw from a truncated normal distribution with variance 1 / fan_in."""
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: torch.dtype = torch.float32
) -> Initializer:
    """Draw uniformly with variance 2 / fan_in."""
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: torch.dtype = torch.float32
) -> Initializer:
    """Draw from a truncated normal distribution with variance 2 / fan_in."""
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


kaiming_normal, kaiming_uniform = he_normal, he_uniform
xavier_normal, xavier_uniform = glorot_normal, glorot_uniform


def _delta_orthogonal(
    key: Key,
    shape: Sequence[int],
    dtype: torch.dtype | None = None,
    device: Device = None,
    *,
    scale: Scalar,
    column_axis: int,
    own: torch.dtype,
) -> Tensor:
    if len(shape) not in (3, 4, 5) or shape[-1] < shape[-2]:
        raise ValueError(
            "delta_orthogonal: expected a shape (*window, inputs, outputs) of 3 to 5 axes, with at least as many"
            f" outputs as inputs, got {tuple(shape)}."
        )
    matrix = orthogonal(scale, column_axis)(key, tuple(shape[-2:]), own if dtype is None else dtype, device)
    sides = [((size - 1) // 2, size - 1 - (size - 1) // 2) for size in shape[:-2]]
    padding = [side for pair in reversed(sides) for side in pair]
    return pad(matrix.reshape(*(1,) * len(sides), *matrix.shape), [0, 0, 0, 0, *padding])


def _with_dtype(init: Initializer, dtype: torch.dtype) -> Initializer:
    return init if dtype is torch.float32 else partial(_initialize, init=init, own=dtype)


def _initialize(
    key: Key,
    shape: Sequence[int],
    dtype: torch.dtype | None = None,
    device: Device = None,
    *,
    init: Initializer,
    own: torch.dtype,
) -> Tensor:
    return init(key, shape, own if dtype is None else dtype, device)


def __dir__() -> list[str]:
    return __all__
