"""Initialisers whose variance is set by a fan: the number of inputs of an output, or of outputs of an input."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from funcnet import random
from funcnet.initializers.plain import Initializer, Sizes, initialize, like, zeros
from funcnet.random import Key, Scalar
from funcnet.reprs import names_call

Axes = int | Sequence[int]
Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]

_STDDEV = 0.87962566103423978  # of the standard normal distribution conditioned on -2 < x < 2


@names_call
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
        distribution: "uniform" (symmetric), "normal", or "truncated_normal" (a normal truncated at two of its standard
            deviations and rescaled to the variance above).
        in_axis, out_axis, batch_axis: The layout; see the module's docstring.
    Raises:
        ValueError: mode or distribution is another string, or scale is negative; when called, the shape lacks an axis.
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
        initialize,
        draw=_variance_scaling,
        scale=scale,
        mode=mode,
        distribution=distribution,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


@names_call
def glorot_uniform(**axes: Axes) -> Initializer:
    """Draw uniformly with variance 2 / (fan_in + fan_out). Takes variance_scaling's axes.

    Source:
        Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16,
        https://proceedings.mlr.press/v9/glorot10a.html
    Example:
        >>> fn.initializers.glorot_uniform()(fn.random.key(0), (2, 3)).shape
        torch.Size([2, 3])
    """
    return variance_scaling(1.0, "fan_avg", "uniform", **axes)


@names_call
def glorot_normal(**axes: Axes) -> Initializer:
    """Draw from a truncated normal distribution with variance 2 / (fan_in + fan_out). See `glorot_uniform`.

    Example:
        >>> fn.initializers.glorot_normal()(fn.random.key(0), (2, 3)).shape
        torch.Size([2, 3])
    """
    return variance_scaling(1.0, "fan_avg", "truncated_normal", **axes)


@names_call
def lecun_uniform(**axes: Axes) -> Initializer:
    """Draw uniformly with variance 1 / fan_in. See `lecun_normal`.

    Example:
        >>> fn.initializers.lecun_uniform()(fn.random.key(0), (2, 3)).shape
        torch.Size([2, 3])
    """
    return variance_scaling(1.0, "fan_in", "uniform", **axes)


@names_call
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


@names_call
def he_uniform(**axes: Axes) -> Initializer:
    """Draw uniformly with variance 2 / fan_in. See `he_normal`.

    Example:
        >>> fn.initializers.he_uniform()(fn.random.key(0), (2, 3)).shape
        torch.Size([2, 3])
    """
    return variance_scaling(2.0, "fan_in", "uniform", **axes)


@names_call
def he_normal(**axes: Axes) -> Initializer:
    """Draw from a truncated normal distribution with variance 2 / fan_in. Takes variance_scaling's axes.

    Source:
        He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers, eq. 10, https://arxiv.org/abs/1502.01852
    Example:
        >>> fn.initializers.he_normal()(fn.random.key(0), (2, 3)).shape
        torch.Size([2, 3])
    """
    return variance_scaling(2.0, "fan_in", "truncated_normal", **axes)


@names_call
def torch_uniform(fan_in: int | None = None) -> Initializer:
    """Draw uniformly from [-1 / sqrt(fan_in), 1 / sqrt(fan_in)), as torch.nn.Linear and Conv do by default.

    Args:
        fan_in: By default that of the shape. The shape of a bias has none: pass the fan_in of its weights.
    Raises:
        ValueError: When called without fan_in and with a shape that has none.
    Source:
        torch.nn.Linear, https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    Example:
        >>> fn.initializers.torch_uniform(fan_in=4)(fn.random.key(0), (2,))
        tensor([0.4477, 0.4786])
    """
    return partial(initialize, draw=_torch_uniform, fan_in=fan_in)


def _variance_scaling(
    key: Key, shape: Sizes, dtype: torch.dtype, scale: Scalar, mode: Mode, distribution: Distribution, **axes: Axes
) -> Tensor:
    variance = like(scale / max(_fan(mode, *_fans("variance_scaling", shape, **axes)), 1.0), zeros(key, (), dtype))
    if distribution == "uniform":
        return random.uniform(key, shape, dtype, -1.0) * _root(3 * variance)
    if distribution == "normal":
        return random.normal(key, shape, dtype) * _root(variance)
    return random.truncated_normal(key, -2.0, 2.0, shape, dtype) * (_root(variance) / like(_STDDEV, variance))


def _root(x: Tensor) -> Tensor:
    """Compute a correctly rounded square root; torch's float32 root is not correctly rounded on every processor."""
    return torch.sqrt(x.double()).to(x.dtype)


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
        raise ValueError(f"{expected} For a bias use zeros, constant, normal, or torch_uniform(fan_in=...).")
    return {axis % len(shape) for axis in axes}


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        expected = ", ".join(repr(choice) for choice in get_args(choices))
        raise ValueError(f"initializers.variance_scaling: expected {name} to be one of {expected}, got {value!r}.")
