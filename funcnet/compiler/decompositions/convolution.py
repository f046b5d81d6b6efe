"""Small convolutions as matrix products of the windows under the kernel with the weights.

Shapes: x (n, channels, *size), weights (out, channels / groups, *kernel), windows (n, groups, channels / groups *
prod(kernel), prod(positions)). A large convolution stays one operation: torch's libraries are faster there.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.decompositions.windows import Windows


class _Geometry(Windows):
    """The windows of a convolution as the columns of matrices."""

    def __init__(self, x: Tensor, w: Tensor, stride: Any, padding: Any, dilation: Any, groups: int) -> None:
        super().__init__(x.shape, w.shape[2:], stride, padding, dilation)
        self.groups, self.area = groups, math.prod(self.positions)

    def windows(self, x: Tensor) -> Tensor:
        return torch.stack(self.take(x), 2).reshape(x.shape[0], self.groups, -1, self.area)

    def add(self, windows: Tensor, like: Tensor) -> Tensor:
        """Add windows to a tensor like the input: the transpose of `windows`."""
        return self.scatter(windows.reshape(*like.shape[:2], -1, *self.positions).unbind(2), like)


def convolution(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    """Return w windows(x) + bias."""
    if transposed or (at := _Geometry(x, w, stride, padding, dilation, groups)).is_large:
        return NotImplemented
    y = (w.reshape(groups, w.shape[0] // groups, -1) @ at.windows(x)).reshape(x.shape[0], w.shape[0], *at.positions)
    return y if bias is None else y + bias.reshape(-1, *(1,) * len(at.positions))


def convolution_backward(
    grad: Tensor,
    x: Tensor,
    w: Tensor,
    bias_sizes: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> Any:
    """Return the cotangents of x, w and bias, None where the mask does not ask for them."""
    if transposed or (at := _Geometry(x, w, stride, padding, dilation, groups)).is_large:
        return NotImplemented
    rows, weights = grad.reshape(x.shape[0], groups, -1, at.area), w.reshape(groups, w.shape[0] // groups, -1)
    by_x = at.add(weights.mT @ rows, x) if mask[0] else None
    by_w = (rows @ at.windows(x).mT).sum(0).reshape(w.shape) if mask[1] else None
    return by_x, by_w, grad.sum([0, *range(2, grad.ndim)]) if mask[2] else None
