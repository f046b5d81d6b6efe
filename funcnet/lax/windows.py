"""Reductions over windows, for pooling, and over axes by a function."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from funcnet import numpy as jnp
from funcnet.lax.convolution import Padding, same_padding
from funcnet.lax.slicing import pad
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor

__all__ = ["reduce", "reduce_window"]

Computation = Callable[[Any, Any], Tensor]
_REDUCTIONS: dict[Any, Callable[[Tensor, tuple[int, ...]], Tensor]] = {
    jnp.add: lambda x, axes: jnp.sum(x, axes, x.dtype),
    jnp.multiply: lambda x, axes: jnp.prod(x, axes, x.dtype),
    jnp.maximum: jnp.max,
    jnp.minimum: jnp.min,
    jnp.logical_and: jnp.all,
    jnp.logical_or: jnp.any,
}


def reduce(operand: ArrayLike, init_value: ArrayLike, computation: Computation, dimensions: Sequence[int]) -> Tensor:
    """Combine the elements over axes, and init_value, by lax.add, mul, max, min, or jnp.logical_and, logical_or."""
    x = as_tensor("reduce", operand)
    start = as_like("reduce", init_value, x)
    return computation(_reduction("reduce", computation)(x, tuple(dimensions)), start)


def reduce_window(
    operand: ArrayLike,
    init_value: ArrayLike,
    computation: Computation,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Padding,
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Tensor:
    """Combine the elements of each window: max pooling is reduce_window(x, -jnp.inf, lax.max, window, strides, "SAME").

    Args:
        operand: The array.
        init_value: The start of each combination, also beyond the edges.
        computation: lax.add, mul, max, min, or jnp.logical_and, logical_or.
        window_dimensions, window_strides: The length of a window and the distance of windows, per axis.
        padding: "SAME", "VALID", or (before, after) per axis.
        base_dilation: The distance of elements of the array, with init_value between them.
        window_dilation: The distance of elements of a window.
    Raises:
        ValueError: computation is another function, or padding another string.
    """
    x = as_tensor("reduce_window", operand)
    combine = _reduction("reduce_window", computation)
    start = as_like("reduce_window", init_value, x)
    spread, gaps = (dilation or (1,) * x.ndim for dilation in (base_dilation, window_dilation))
    lengths = [max((n - 1) * d + 1, 0) for n, d in zip(x.shape, spread, strict=True)]
    windows = [(n - 1) * d + 1 for n, d in zip(window_dimensions, gaps, strict=True)]
    ends = same_padding("reduce_window", padding, lengths, windows, window_strides)
    config = [(low, high, d - 1) for (low, high), d in zip(ends, spread, strict=True)]
    x = pad(x, start, config) if any(any(row) for row in config) else x
    for axis, (window, stride, gap) in enumerate(zip(windows, window_strides, gaps, strict=True)):
        x = combine(x.unfold(axis, window, stride)[..., ::gap], (-1,)) if (window, stride) != (1, 1) else x
    return computation(x, start)


def _reduction(operation: str, computation: Computation) -> Callable[[Tensor, tuple[int, ...]], Tensor]:
    if computation not in _REDUCTIONS:
        raise ValueError(f"{operation}: expected lax.add, mul, max or min as computation, got {computation!r}.")
    return _REDUCTIONS[computation]
