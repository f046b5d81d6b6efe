"""Convolutions with jax.lax's arguments, computed by torch's."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.lax.slicing import pad
from funcnet.numpy.promotion import ArrayLike, promote

__all__ = ["conv", "conv_general_dilated"]

_CONVOLUTIONS = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
Padding = str | Sequence[tuple[int, int]]


def conv(lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: Padding) -> Tensor:
    """`conv_general_dilated` of (batch, channels, ...) and (features, channels, ...) without dilation."""
    return conv_general_dilated(lhs, rhs, window_strides, padding)


def conv_general_dilated(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
) -> Tensor:
    """The cross-correlation of an input with a kernel.

    Args:
        lhs: The input, by default (batch, channels, *space), with up to three axes of space.
        rhs: The kernel, by default (features, channels / feature_group_count, *space).
        window_strides: The stride per axis of space.
        padding: "SAME", "VALID", or (before, after) per axis of space.
        lhs_dilation: The distance of elements of the input, with zeros between them: a transposed convolution.
        rhs_dilation: The distance of elements of the kernel.
        dimension_numbers: The arrangements of input, kernel and output, such as ("NHWC", "HWIO", "NHWC").
        feature_group_count: The number of groups of channels that are convolved separately.
        precision: Accepted; products are computed in the dtype of the operands.
    Returns:
        The output, by default (batch, features, *space).
    Raises:
        ValueError: The number of axes, or padding, is none of these.
    """
    x, kernel = promote("conv_general_dilated", lhs, rhs)
    space = x.ndim - 2
    if space not in _CONVOLUTIONS or kernel.ndim != x.ndim:
        shapes = f"{tuple(x.shape)} and {tuple(kernel.shape)}"
        raise ValueError(f"conv_general_dilated: expected an input and a kernel of 3 to 5 axes, got {shapes}.")
    layouts = _layouts(dimension_numbers, space)
    x, kernel = x.permute(_order(layouts[0], "NC")), kernel.permute(_order(layouts[1], "OI"))
    spread = (1,) * space if lhs_dilation is None else tuple(lhs_dilation)
    dilation = (1,) * space if rhs_dilation is None else tuple(rhs_dilation)
    lengths = [(n - 1) * d + 1 for n, d in zip(x.shape[2:], spread, strict=True)]
    windows = [(n - 1) * d + 1 for n, d in zip(kernel.shape[2:], dilation, strict=True)]
    ends = _ends(padding, lengths, windows, window_strides)
    config = [(0, 0, 0)] * 2 + [(low, high, d - 1) for (low, high), d in zip(ends, spread, strict=True)]
    x = pad(x, 0, config) if any(any(row) for row in config) else x
    y = _CONVOLUTIONS[space](x, kernel, None, tuple(window_strides), 0, dilation, feature_group_count)
    return y.permute(_inverse(_order(layouts[2], "NC")))


def _layouts(given: Any, space: int) -> tuple[str, str, str]:
    axes = "DHW"[3 - space :]
    return ("NC" + axes, "OI" + axes, "NC" + axes) if given is None else tuple(given)


def _order(layout: str, first: str) -> list[int]:
    """Return the places of the axes: the two named first, then those of space in the order of the layout."""
    rest = [i for i, name in enumerate(layout) if name not in first]
    return [layout.index(name) for name in first] + rest


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]


def _ends(padding: Padding, lengths: Sequence[int], windows: Sequence[int], strides: Sequence[int]) -> Any:
    if not isinstance(padding, str):
        return padding
    if padding.upper() not in ("SAME", "VALID"):
        raise ValueError(f"conv_general_dilated: expected padding 'SAME', 'VALID' or pairs, got {padding!r}.")
    if padding.upper() == "VALID":
        return [(0, 0)] * len(lengths)
    totals = [
        max((-(-n // stride) - 1) * stride + window - n, 0)
        for n, window, stride in zip(lengths, windows, strides, strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]
