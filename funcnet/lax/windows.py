"""Reductions over windows, for pooling, and over axes by a function."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet import numpy as jnp
from funcnet import tree
from funcnet.lax.convolution import Padding, same_padding
from funcnet.lax.slicing import pad
from funcnet.numpy.axes import all_axes
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


def reduce(operands: Any, init_values: Any, computation: Callable[[Any, Any], Any], dimensions: Sequence[int]) -> Any:
    """Combine the elements over axes, and init_values, by an associative function.

    Args:
        operands: An array, or a tree of arrays of one shape.
        init_values: The neutral elements of the function, in a tree of the same structure.
        computation: (tree of elements, tree of elements) -> tree of elements, such as lax.add.
        dimensions: The axes, which the results lack.
    Example:
        >>> def larger(one, other):  # of (value, index)
        ...     return tuple(torch.where(one[0] >= other[0], a, b) for a, b in zip(one, other))
        >>> fn.lax.reduce((torch.tensor([2.0, 5.0, 3.0]), torch.arange(3)), (-torch.inf, 0), larger, (0,))
        (tensor(5.), tensor(1))
    """
    xs = tree.map(lambda x: as_tensor("reduce", x), operands)
    starts = tree.map(lambda x, start: as_like("reduce", start, x), xs, init_values)
    if computation in _REDUCTIONS:
        return computation(_REDUCTIONS[computation](xs, tuple(dimensions)), starts)
    ndim = tree.leaves(xs)[0].ndim
    axes = all_axes("reduce", tuple(dimensions), ndim)
    rows = tree.map(
        lambda x: x.movedim(axes, tuple(range(len(axes)))).flatten(0, len(axes) - 1) if axes else x[None], xs
    )
    if _count(rows) == 0:
        return tree.map(lambda x, start: start.expand(x.shape[1:]), rows, starts)
    return computation(_folded(rows, computation), starts)


def _folded(rows: Any, computation: Callable[[Any, Any], Any]) -> Any:
    """Combine the rows by halves; an odd one is kept for the next round."""
    while (half := _count(rows) // 2) > 0:
        first, second, rest = (_sliced(rows, *ends) for ends in ((0, half), (half, 2 * half), (2 * half, None)))
        rows = tree.map(lambda *parts: torch.cat(parts), computation(first, second), rest)
    return tree.map(lambda x: x[0], rows)


def _sliced(rows: Any, start: int, end: int | None) -> Any:
    return tree.map(lambda x: x[start:end], rows)


def _count(rows: Any) -> int:
    return len(tree.leaves(rows)[0])


def reduce_window(
    operand: ArrayLike,
    init_value: ArrayLike,
    computation: Computation,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Tensor:
    """Combine the elements of each window: max pooling is reduce_window(x, -jnp.inf, lax.max, window, strides, "SAME").

    Args:
        operand: The array.
        init_value: The start of each combination, also beyond the edges.
        computation: lax.add, mul, max, min, or jnp.logical_and, logical_or.
        window_dimensions: The length of a window, per axis.
        window_strides: The distance of windows, per axis, by default 1.
        padding: "SAME", "VALID", or (before, after) per axis.
        base_dilation: The distance of elements of the array, with init_value between them.
        window_dilation: The distance of elements of a window.
    Raises:
        ValueError: computation is another function, or padding another string.
    """
    x = as_tensor("reduce_window", operand)
    combine = _reduction("reduce_window", computation)
    start = as_like("reduce_window", init_value, x)
    strides = window_strides or (1,) * x.ndim
    spread, gaps = (dilation or (1,) * x.ndim for dilation in (base_dilation, window_dilation))
    lengths = [max((n - 1) * d + 1, 0) for n, d in zip(x.shape, spread, strict=True)]
    windows = [(n - 1) * d + 1 for n, d in zip(window_dimensions, gaps, strict=True)]
    ends = same_padding("reduce_window", padding, lengths, windows, strides)
    config = [(low, high, d - 1) for (low, high), d in zip(ends, spread, strict=True)]
    x = pad(x, start, config) if any(any(row) for row in config) else x
    for axis, (window, stride, gap) in enumerate(zip(windows, strides, gaps, strict=True)):
        x = combine(x.unfold(axis, window, stride)[..., ::gap], (-1,)) if (window, stride) != (1, 1) else x
    return computation(x, start)


def _reduction(operation: str, computation: Computation) -> Callable[[Tensor, tuple[int, ...]], Tensor]:
    if computation not in _REDUCTIONS:
        raise ValueError(f"{operation}: expected lax.add, mul, max or min as computation, got {computation!r}.")
    return _REDUCTIONS[computation]
