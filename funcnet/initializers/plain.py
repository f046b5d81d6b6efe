"""The protocol of initialisers, the initialisers that need no fans, and common helpers."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from funcnet import random
from funcnet.random import Key, Scalar
from funcnet.reprs import names_call

Device = torch.device | str | None
Sizes = tuple[int, ...]


class Initializer(Protocol):
    """A function that makes a parameter from a key."""

    def __call__(
        self, key: Key, shape: Sequence[int], dtype: torch.dtype = torch.float32, device: Device = None
    ) -> Tensor:
        """Return a tensor of the given shape and dtype, on the given device or the key's."""


def zeros(key: Key, shape: Sequence[int], dtype: torch.dtype = torch.float32, device: Device = None) -> Tensor:
    """Make zeros; only the device of the key is used.

    Example:
        >>> fn.initializers.zeros(fn.random.key(0), (2,))
        tensor([0., 0.])
    """
    return torch.zeros(tuple(shape), dtype=dtype, device=key.device if device is None else device)


def ones(key: Key, shape: Sequence[int], dtype: torch.dtype = torch.float32, device: Device = None) -> Tensor:
    """Make ones; only the device of the key is used.

    Example:
        >>> fn.initializers.ones(fn.random.key(0), (2,))
        tensor([1., 1.])
    """
    return torch.ones(tuple(shape), dtype=dtype, device=key.device if device is None else device)


@names_call
def constant(value: Scalar) -> Initializer:
    """Make copies of a number, or of a tensor that broadcasts to the shape.

    Example:
        >>> fn.initializers.constant(0.5)(fn.random.key(0), (2,))
        tensor([0.5000, 0.5000])
    """
    return partial(initialize, draw=_constant, value=value)


@names_call
def uniform(scale: Scalar = 1e-2) -> Initializer:
    """Draw from the uniform distribution on [0, scale).

    Example:
        >>> fn.initializers.uniform(1.0)(fn.random.key(0), (2,))
        tensor([0.9477, 0.9786])
    """
    return partial(initialize, draw=_uniform, scale=scale)


@names_call
def normal(stddev: Scalar = 1e-2) -> Initializer:
    """Draw from the normal distribution of mean 0 and standard deviation stddev.

    Example:
        >>> fn.initializers.normal(1.0)(fn.random.key(0), (2,))
        tensor([1.6226, 2.0253])
    """
    return partial(initialize, draw=_normal, stddev=stddev)


@names_call
def truncated_normal(stddev: Scalar = 1e-2, lower: Scalar = -2.0, upper: Scalar = 2.0) -> Initializer:
    """Draw stddev x, where x is standard normal conditioned on lower < x < upper.

    The result's standard deviation is less than stddev, by a factor of 0.88 for the default bounds.

    Example:
        >>> fn.initializers.truncated_normal(1.0)(fn.random.key(0), (2,))
        tensor([1.4560, 1.7147])
    """
    return partial(initialize, draw=_truncated_normal, stddev=stddev, lower=lower, upper=upper)


def initialize(
    key: Key,
    shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
    device: Device = None,
    *,
    draw: Callable[..., Tensor],
    **options: Any,
) -> Tensor:
    """Draw on the given device. Every initialiser built here is a partial of this with `draw` and its options."""
    return draw(key if device is None else key.to(device), tuple(shape), dtype, **options)


def _constant(key: Key, shape: Sizes, dtype: torch.dtype, value: Scalar) -> Tensor:
    return like(value, zeros(key, (), dtype)).expand(shape).clone()


def _uniform(key: Key, shape: Sizes, dtype: torch.dtype, scale: Scalar) -> Tensor:
    x = random.uniform(key, shape, dtype)
    return x * like(scale, x)


def _normal(key: Key, shape: Sizes, dtype: torch.dtype, stddev: Scalar) -> Tensor:
    x = random.normal(key, shape, dtype)
    return x * like(stddev, x)


def _truncated_normal(
    key: Key, shape: Sizes, dtype: torch.dtype, stddev: Scalar, lower: Scalar, upper: Scalar
) -> Tensor:
    x = random.truncated_normal(key, lower, upper, shape, dtype)
    return x * like(stddev, x)


def like(value: Scalar, x: Tensor) -> Tensor:
    """Convert a number to a tensor of x's dtype and device, so that results computed from it are rounded as in JAX."""
    return value.to(x) if isinstance(value, Tensor) else x.new_full((), value)
