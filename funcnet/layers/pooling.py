"""Pooling: one number per window on the last axes."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from funcnet.layers.layer import Layer, Params, no_params
from funcnet.layers.windows import (
    Padding,
    Sizes,
    Window,
    check_axes,
    extend,
    fold,
    margins,
    refuse_windows_of_padding,
    window,
)
from funcnet.random import Key
from funcnet.reprs import shows_call

_MAX_POOLS: dict[int, Any] = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVG_POOLS: dict[int, Any] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


@shows_call
def max_pool(
    kernel_size: Sequence[int], *, stride: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Layer:
    """Take the maximum of each window on the last axes; among equal maxima, the first gets the gradient.

    Args:
        kernel_size: The size of a window, one number per axis, for 1 to 3 axes.
        stride: Step between windows; by default their size.
        padding: Positions at the borders, which are never the maximum: "valid" (none), "same" (enough for n positions
            to become ceil(n / stride)), a number for both ends of all axes, or for each axis a number or a pair
            (before, after); smaller than the window.
        dilation: Step within a window.
    Returns:
        A layer without parameters. apply: (*, *sizes) -> (*, *sizes'), dtype of x.
    Raises:
        ValueError: An option is invalid.
        LayerError: x is smaller than the window.
    Example:
        >>> fn.max_pool((2,)).apply((), torch.tensor([1.0, 4.0, 3.0, 2.0]))
        tensor([4., 3.])
    """
    form = window("max_pool", kernel_size, kernel_size if stride is None else stride, dilation, padding)
    refuse_windows_of_padding("max_pool", form)
    return Layer(init=no_params, apply=partial(_max_pool, window=form))


def _max_pool(params: Params, x: Tensor, *, window: Window, key: Key | None = None) -> Tensor:
    wide = _prepare("max_pool", x, window, -math.inf)
    y = _MAX_POOLS[len(window.size)](wide, window.size, window.stride, 0, window.dilation)
    return _restore(y, x, window)


@shows_call
def avg_pool(
    kernel_size: Sequence[int],
    *,
    stride: Sizes | None = None,
    padding: Padding = "valid",
    count_include_pad: bool = True,
) -> Layer:
    """Take the mean of each window on the last axes.

    Args:
        kernel_size: The size of a window, one number per axis, for 1 to 3 axes.
        stride: Step between windows; by default their size.
        padding: Zeros at the borders: "valid" (none), "same" (enough for n positions to become ceil(n / stride)), a
            number for both ends of all axes, or for each axis a number or a pair (before, after).
        count_include_pad: Whether the zeros of the padding count. If not, every window must contain an element of x.
    Returns:
        A layer without parameters. apply: (*, *sizes) -> (*, *sizes'), dtype of x.
    Raises:
        ValueError: An option is invalid.
        LayerError: x is smaller than the window.
    Example:
        >>> fn.avg_pool((2,), padding="same", count_include_pad=False).apply((), torch.tensor([1.0, 4.0, 3.0]))
        tensor([2.5000, 3.0000])
    """
    form = window("avg_pool", kernel_size, kernel_size if stride is None else stride, 1, padding)
    if not count_include_pad:
        refuse_windows_of_padding("avg_pool", form)
    return Layer(init=no_params, apply=partial(_avg_pool, window=form, count_include_pad=count_include_pad))


def _avg_pool(params: Params, x: Tensor, *, window: Window, count_include_pad: bool, key: Key | None = None) -> Tensor:
    y = _means(x, window)
    if not count_include_pad:
        shape = x.shape[-len(window.size) :]
        y = y / _means(torch.ones(shape, dtype=y.dtype, device=y.device), window)
    return y


def _means(x: Tensor, window: Window) -> Tensor:
    y = _AVG_POOLS[len(window.size)](_prepare("avg_pool", x, window, 0.0), window.size, window.stride)
    return _restore(y, x, window)


def _prepare(operation: str, x: Tensor, window: Window, value: float) -> Tensor:
    """Add the padding, and reshape x to (batch, 1, *sizes), as torch's pooling functions expect."""
    axes = len(window.size)
    check_axes(operation, x, axes, ", ".join(["size"] * axes))
    return fold(extend(x, margins(operation, x, window), value), axes).unsqueeze(1)


def _restore(y: Tensor, x: Tensor, window: Window) -> Tensor:
    axes = len(window.size)
    return y.reshape(*x.shape[:-axes], *y.shape[-axes:])
