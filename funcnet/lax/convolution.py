"""Convolutions with jax.lax's arguments, computed by torch's."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.lax.slicing import pad
from funcnet.numpy.products import operands_in, result_in
from funcnet.numpy.promotion import ArrayLike, DType, as_tensor, promote

__all__ = [
    "conv", "conv_general_dilated", "conv_general_dilated_patches", "conv_transpose", "conv_with_general_padding",
]  # fmt: skip

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
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: DType | None = None,
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
        batch_group_count: Must be 1.
        precision: Accepted; products are computed in the dtype of the operands, or in a wider preferred one.
        preferred_element_type: The dtype of the result. None: that of the operands.
    Returns:
        The output, by default (batch, features, *space).
    Raises:
        ValueError: The number of axes, or padding, is none of these.
    """
    if batch_group_count != 1:
        raise NotImplementedError(f"conv_general_dilated: expected batch_group_count=1, got {batch_group_count}.")
    x, kernel = operands_in(preferred_element_type, promote("conv_general_dilated", lhs, rhs))
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
    ends = same_padding("conv_general_dilated", padding, lengths, windows, window_strides)
    config = [(0, 0, 0)] * 2 + [(low, high, d - 1) for (low, high), d in zip(ends, spread, strict=True)]
    x = pad(x, 0, config) if any(any(row) for row in config) else x
    y = _CONVOLUTIONS[space](x, kernel, None, tuple(window_strides), 0, dilation, feature_group_count)
    return result_in(preferred_element_type, y.permute(_inverse(_order(layouts[2], "NC"))))


def conv_general_dilated_patches(
    lhs: ArrayLike,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: DType | None = None,
) -> Tensor:
    """The windows that a convolution reads, as features of its output: for each channel the elements of its window.

    Args:
        lhs: The input, by default (batch, channels, *space).
        filter_shape: The length of the window per axis of space.
        window_strides, padding, lhs_dilation, rhs_dilation: As in `conv_general_dilated`.
        dimension_numbers: As in `conv_general_dilated`; of the second arrangement only the axes' number matters.
        precision, preferred_element_type: Accepted; elements are copied.
    Returns:
        The windows, by default (batch, channels * elements of a window, *space).
    """
    x = as_tensor("conv_general_dilated_patches", lhs)
    layouts = _layouts(dimension_numbers, x.ndim - 2)
    channels, count = x.shape[layouts[0].index("C")], math.prod(filter_shape)
    kernel = torch.eye(count, dtype=x.dtype, device=x.device).reshape(count, 1, *filter_shape)
    kernel = kernel.repeat(channels, 1, *[1] * len(filter_shape))
    numbers = layouts[0], "OI" + "DHW"[5 - x.ndim :], layouts[2]
    options: dict[str, Any] = {"dimension_numbers": numbers, "feature_group_count": channels}
    return conv_general_dilated(x, kernel, window_strides, padding, lhs_dilation, rhs_dilation, **options)


def _layouts(given: Any, space: int) -> tuple[str, str, str]:
    axes = "DHW"[3 - space :]
    return ("NC" + axes, "OI" + axes, "NC" + axes) if given is None else tuple(given)


def _order(layout: str, first: str) -> list[int]:
    """Return the places of the axes: the two named first, then those of space in the order of the layout."""
    rest = [i for i, name in enumerate(layout) if name not in first]
    return [layout.index(name) for name in first] + rest


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]


def same_padding(
    operation: str, padding: Padding, lengths: Sequence[int], windows: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the elements to add before and after each axis."""
    if not isinstance(padding, str):
        return [(low, high) for low, high in padding]
    if padding.upper() not in ("SAME", "VALID"):
        raise ValueError(f"{operation}: expected padding 'SAME', 'VALID' or pairs, got {padding!r}.")
    if padding.upper() == "VALID":
        return [(0, 0)] * len(lengths)
    totals = [
        max((-(-n // stride) - 1) * stride + window - n, 0)
        for n, window, stride in zip(lengths, windows, strides, strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]


def conv_with_general_padding(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
) -> Tensor:
    """`conv_general_dilated` in the default arrangement of axes."""
    return conv_general_dilated(lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation)


def conv_transpose(
    lhs: ArrayLike,
    rhs: ArrayLike,
    strides: Sequence[int],
    padding: Padding,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
) -> Tensor:
    """A convolution of the input with `strides - 1` zeros between its elements, as in jax.lax.

    Args:
        lhs, rhs: The input and the kernel; by default, channels are last: ("NHWC", "HWIO", "NHWC").
        strides: How many times longer the output is than the input, per axis of space.
        padding: "SAME", "VALID", or the (before, after) of the convolution.
        rhs_dilation: The distance of elements of the kernel.
        dimension_numbers: The arrangements of input, kernel and output.
        transpose_kernel: Whether to flip the kernel and swap its channels: the gradient of a convolution.
        precision: Accepted; products are computed in the dtype of the operands.
    """
    x, kernel = promote("conv_transpose", lhs, rhs)
    space = x.ndim - 2
    axes = "DHW"[3 - space :]
    layouts = ("N" + axes + "C", axes + "IO", "N" + axes + "C") if dimension_numbers is None else dimension_numbers
    places = [i for i, name in enumerate(layouts[1]) if name not in "OI"]
    dilation = (1,) * space if rhs_dilation is None else tuple(rhs_dilation)
    windows = [(kernel.shape[i] - 1) * d + 1 for i, d in zip(places, dilation, strict=True)]
    ends = padding if not isinstance(padding, str) else _transposed_ends(padding, windows, strides)
    if transpose_kernel:
        kernel = kernel.flip(places).transpose(layouts[1].index("O"), layouts[1].index("I"))
    return conv_general_dilated(x, kernel, (1,) * space, ends, tuple(strides), dilation, layouts)


def _transposed_ends(padding: str, windows: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"conv_transpose: expected padding 'SAME', 'VALID' or pairs, got {padding!r}.")
    pairs = list(zip(windows, strides, strict=True))
    if padding == "VALID":
        return [(window - 1, stride - 1 + max(window - stride, 0)) for window, stride in pairs]
    first = [window - 1 if stride > window - 1 else -(-(window + stride - 2) // 2) for window, stride in pairs]
    return [(low, window + stride - 2 - low) for low, (window, stride) in zip(first, pairs, strict=True)]
