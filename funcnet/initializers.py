"""Initial values for parameters: functions (key, shape, dtype, device) -> Tensor, by jax.nn.initializers' names.

`zeros` and `ones` are such functions; the others build one. The device is the key's unless one is given, and the same
key gives the same numbers, so every parameter needs a key of its own.

Fans: by default the last two axes of a shape are (in, out), and those before them, if any, the receptive field of a
convolution; fan_in = in * field and fan_out = out * field. Other layouts are told by in_axis, out_axis and batch_axis
(axes that belong to no fan, as of stacked layers), each an int or several.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from funcnet import random
from funcnet.random import Key, Scalar

Axes = int | Sequence[int]
Device = torch.device | str | None
Sizes = tuple[int, ...]
Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]

_STDDEV = 0.87962566103423978  # of the standard normal distribution conditioned on -2 < x < 2


class Initializer(Protocol):
    """What makes a parameter out of a key."""

    def __call__(
        self, key: Key, shape: Sequence[int], dtype: torch.dtype = torch.float32, device: Device = None
    ) -> Tensor:
        """Return a tensor of this shape and dtype, on this device or the key's."""


def zeros(key: Key, shape: Sequence[int], dtype: torch.dtype = torch.float32, device: Device = None) -> Tensor:
    """Make zeros; of the key only the device is used.

    Example:
        >>> fn.initializers.zeros(fn.random.key(0), (2,))
        tensor([0., 0.])
    """
    return torch.zeros(tuple(shape), dtype=dtype, device=key.device if device is None else device)


def ones(key: Key, shape: Sequence[int], dtype: torch.dtype = torch.float32, device: Device = None) -> Tensor:
    """Make ones; of the key only the device is used.

    Example:
        >>> fn.initializers.ones(fn.random.key(0), (2,))
        tensor([1., 1.])
    """
    return torch.ones(tuple(shape), dtype=dtype, device=key.device if device is None else device)


def constant(value: Scalar) -> Initializer:
    """Make copies of a number, or of a tensor that broadcasts to the shape.

    Example:
        >>> fn.initializers.constant(0.5)(fn.random.key(0), (2,))
        tensor([0.5000, 0.5000])
    """
    return partial(_initialize, draw=_constant, value=value)


def uniform(scale: Scalar = 1e-2) -> Initializer:
    """Draw from the uniform distribution on [0, scale).

    Example:
        >>> fn.initializers.uniform(1.0)(fn.random.key(0), (2,))
        tensor([0.9477, 0.9786])
    """
    return partial(_initialize, draw=_uniform, scale=scale)


def normal(stddev: Scalar = 1e-2) -> Initializer:
    """Draw from the normal distribution of mean 0 and standard deviation stddev.

    Example:
        >>> fn.initializers.normal(1.0)(fn.random.key(0), (2,))
        tensor([1.6226, 2.0253])
    """
    return partial(_initialize, draw=_normal, stddev=stddev)


def truncated_normal(stddev: Scalar = 1e-2, lower: Scalar = -2.0, upper: Scalar = 2.0) -> Initializer:
    """Draw stddev x, where x is standard normal conditioned on lower < x < upper.

    The result's standard deviation is less than stddev, by a factor of 0.88 for the default bounds.

    Example:
        >>> fn.initializers.truncated_normal(1.0)(fn.random.key(0), (2,))
        tensor([1.4560, 1.7147])
    """
    return partial(_initialize, draw=_truncated_normal, stddev=stddev, lower=lower, upper=upper)


def variance_scaling(
    scale: Scalar,
    mode: Mode,
    distribution: Distribution,
    *,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """Draw with mean 0 and variance scale / fan.

    Args:
        scale: The variance times the fan, at least 0.
        mode: Which fan: "fan_in", "fan_out", their mean "fan_avg", or their geometric mean "fan_geo_avg".
        distribution: "uniform" (symmetric), "normal", or "truncated_normal" (a normal cut off at two of its standard
            deviations and widened, to the variance above).
        in_axis, out_axis, batch_axis: The layout, see the module.
    Raises:
        ValueError: Another mode or distribution, a negative scale; when called, a shape that lacks these axes.
    Example:
        >>> fn.initializers.variance_scaling(1.0, "fan_avg", "uniform")(fn.random.key(0), (2, 1))
        tensor([[1.2662],
                [1.3536]])
    """
    _check_choice("mode", mode, Mode)
    _check_choice("distribution", distribution, Distribution)
    if not isinstance(scale, Tensor) and scale < 0:
        raise ValueError(f"initializers.variance_scaling: expected a scale of at least 0, got {scale}.")
    return partial(
        _initialize,
        draw=_variance_scaling,
        scale=scale,
        mode=mode,
        distribution=distribution,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


def glorot_uniform(**axes: Axes) -> Initializer:
    """Draw uniformly with variance 2 / (fan_in + fan_out). Takes variance_scaling's axes.

    Source:
        Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16,
        https://proceedings.mlr.press/v9/glorot10a.html
    """
    return variance_scaling(1.0, "fan_avg", "uniform", **axes)


def glorot_normal(**axes: Axes) -> Initializer:
    """Draw from a truncated normal distribution with variance 2 / (fan_in + fan_out). See `glorot_uniform`."""
    return variance_scaling(1.0, "fan_avg", "truncated_normal", **axes)


def lecun_uniform(**axes: Axes) -> Initializer:
    """Draw uniformly with variance 1 / fan_in. See `lecun_normal`."""
    return variance_scaling(1.0, "fan_in", "uniform", **axes)


def lecun_normal(**axes: Axes) -> Initializer:
    """Draw from a truncated normal distribution with variance 1 / fan_in. Takes variance_scaling's axes.

    Source:
        LeCun, Bottou, Orr, Müller (1998), Efficient BackProp, sec. 4.6,
        http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf
    Example:
        >>> fn.initializers.lecun_normal()(fn.random.key(0), (2, 1))
        tensor([[1.1704],
                [1.3784]])
    """
    return variance_scaling(1.0, "fan_in", "truncated_normal", **axes)


def he_uniform(**axes: Axes) -> Initializer:
    """Draw uniformly with variance 2 / fan_in. See `he_normal`."""
    return variance_scaling(2.0, "fan_in", "uniform", **axes)


def he_normal(**axes: Axes) -> Initializer:
    """Draw from a truncated normal distribution with variance 2 / fan_in. Takes variance_scaling's axes.

    Source:
        He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers, eq. 10, https://arxiv.org/abs/1502.01852
    """
    return variance_scaling(2.0, "fan_in", "truncated_normal", **axes)


def orthogonal(scale: Scalar = 1.0, column_axis: int = -1) -> Initializer:
    """Draw uniformly from the matrices with orthonormal columns, or rows where there are fewer of them, times scale.

    Args:
        scale: The length of the columns or rows.
        column_axis: The axis that counts the columns; all others together count the rows.
    Raises:
        ValueError: When called, a shape of fewer than two axes.
    Source:
        Mezzadri (2007), How to generate random matrices from the classical compact groups, sec. 5,
        https://arxiv.org/abs/math-ph/0609050
    Example:
        >>> w = fn.initializers.orthogonal()(fn.random.key(0), (3, 2))
        >>> torch.allclose(w.T @ w, torch.eye(2), atol=1e-6)
        True
    """
    return partial(_initialize, draw=_orthogonal, scale=scale, column_axis=column_axis)


def torch_uniform(fan_in: int | None = None) -> Initializer:
    """Draw uniformly from [-1 / sqrt(fan_in), 1 / sqrt(fan_in)), as torch.nn.Linear and Conv do by default.

    Args:
        fan_in: By default that of the shape. A bias, whose shape lacks it, must be told that of its weights.
    Raises:
        ValueError: When called, a shape without fan_in.
    Source:
        torch.nn.Linear, https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    Example:
        >>> fn.initializers.torch_uniform(fan_in=4)(fn.random.key(0), (2,))
        tensor([0.4477, 0.4786])
    """
    return partial(_initialize, draw=_torch_uniform, fan_in=fan_in)


def _initialize(
    key: Key,
    shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
    device: Device = None,
    *,
    draw: Callable[..., Tensor],
    **options: Any,
) -> Tensor:
    """Draw on the given device: what every built initialiser is, with `draw` and its options filled in."""
    return draw(key if device is None else key.to(device), tuple(shape), dtype, **options)


def _constant(key: Key, shape: Sizes, dtype: torch.dtype, value: Scalar) -> Tensor:
    return _like(value, zeros(key, (), dtype)).expand(shape).clone()


def _uniform(key: Key, shape: Sizes, dtype: torch.dtype, scale: Scalar) -> Tensor:
    x = random.uniform(key, shape, dtype)
    return x * _like(scale, x)


def _normal(key: Key, shape: Sizes, dtype: torch.dtype, stddev: Scalar) -> Tensor:
    x = random.normal(key, shape, dtype)
    return x * _like(stddev, x)


def _truncated_normal(
    key: Key, shape: Sizes, dtype: torch.dtype, stddev: Scalar, lower: Scalar, upper: Scalar
) -> Tensor:
    x = random.truncated_normal(key, lower, upper, shape, dtype)
    return x * _like(stddev, x)


def _variance_scaling(
    key: Key, shape: Sizes, dtype: torch.dtype, scale: Scalar, mode: Mode, distribution: Distribution, **axes: Axes
) -> Tensor:
    variance = _like(scale / max(_fan(mode, *_fans("variance_scaling", shape, **axes)), 1.0), zeros(key, (), dtype))
    if distribution == "uniform":
        return random.uniform(key, shape, dtype, -1.0) * _root(3 * variance)
    if distribution == "normal":
        return random.normal(key, shape, dtype) * _root(variance)
    return random.truncated_normal(key, -2.0, 2.0, shape, dtype) * (_root(variance) / _like(_STDDEV, variance))


def _root(x: Tensor) -> Tensor:
    """Compute the square root rounded correctly, which torch's float32 one is not on every processor."""
    return torch.sqrt(x.double()).to(x.dtype)


def _orthogonal(key: Key, shape: Sizes, dtype: torch.dtype, scale: Scalar, column_axis: int) -> Tensor:
    if len(shape) < 2:
        raise ValueError(f"initializers.orthogonal: expected a shape of at least two axes, got {shape}.")
    if 0 in shape:
        return zeros(key, shape, dtype)
    others = [size for axis, size in enumerate(shape) if axis != column_axis % len(shape)]
    rows, columns = math.prod(others), shape[column_axis]
    q, r = torch.linalg.qr(random.normal(key, (max(rows, columns), min(rows, columns)), dtype))
    q = q * r.diagonal().sign()  # without the signs of R the distribution would not be uniform
    w = (q if rows >= columns else q.mT).reshape(*others, columns).movedim(-1, column_axis)
    return _like(scale, w) * w.contiguous()


def _torch_uniform(key: Key, shape: Sizes, dtype: torch.dtype, fan_in: int | None) -> Tensor:
    fan = _fans("torch_uniform", shape)[0] if fan_in is None else fan_in
    bound = 1 / math.sqrt(fan) if fan else 0.0
    return random.uniform(key, shape, dtype, -bound, bound)


def _fan(mode: Mode, fan_in: float, fan_out: float) -> float:
    mean, geometric = (fan_in + fan_out) / 2, math.sqrt(fan_in * fan_out)
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": mean, "fan_geo_avg": geometric}[mode]


def _fans(
    operation: str, shape: Sizes, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()
) -> tuple[int, int]:
    """Count the inputs of every output and the outputs of every input."""
    inputs, outputs, batch = (_select(operation, shape, axes) for axes in (in_axis, out_axis, batch_axis))
    field = math.prod([size for axis, size in enumerate(shape) if axis not in inputs | outputs | batch])
    return field * math.prod([shape[axis] for axis in inputs]), field * math.prod([shape[axis] for axis in outputs])


def _select(operation: str, shape: Sizes, axes: Axes) -> set[int]:
    axes = (axes,) if isinstance(axes, int) else axes
    if any(not -len(shape) <= axis < len(shape) for axis in axes):
        expected = (
            f"initializers.{operation}: expected a shape with axes {tuple(axes)}, got {shape}, which has no fans."
        )
        raise ValueError(f"{expected} For a bias take zeros, constant, normal, or torch_uniform(fan_in=...).")
    return {axis % len(shape) for axis in axes}


def _like(value: Scalar, x: Tensor) -> Tensor:
    """Turn a number into a tensor of x's dtype and device, so that what is computed from it is rounded as in JAX."""
    return value.to(x) if isinstance(value, Tensor) else x.new_full((), value)


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        expected = ", ".join(repr(choice) for choice in get_args(choices))
        raise ValueError(f"initializers.variance_scaling: expected {name} to be one of {expected}, got {value!r}.")
