"""Small convolutions as matrix products: the windows under the kernel side by side, times the weights.

Shapes: x (n, channels, *size), weights (out, channels / groups, *kernel), windows (n, groups, channels / groups *
prod(kernel), prod(positions)). A large convolution stays one operation, which torch's libraries do better.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

_MOST = 2**17  # elements of the windows, about what stays in a core's cache


class _Geometry:
    """Where the windows of a convolution lie."""

    def __init__(self, x: Tensor, w: Tensor, stride: Any, padding: Any, dilation: Any, groups: int) -> None:
        dims = x.ndim - 2
        stride, padding, dilation = (list(v) * (dims if len(v) == 1 else 1) for v in (stride, padding, dilation))
        self.groups, self.kernel = groups, w.shape[2:]
        self.margin = [m for p in reversed(padding) for m in (p, p)]
        reach = [d * (k - 1) for d, k in zip(dilation, self.kernel, strict=True)]
        free = [n + 2 * p - r for n, p, r in zip(x.shape[2:], padding, reach, strict=True)]
        self.positions = [(f - 1) // s + 1 for f, s in zip(free, stride, strict=True)]
        starts = itertools.product(*(range(0, r + 1, d) for r, d in zip(reach, dilation, strict=True)))
        self.slices: list[Any] = [(..., *map(self._slice, start, self.positions, stride)) for start in starts]
        size = x.shape[0] * x.shape[1] * math.prod(self.kernel) * math.prod(self.positions)
        self.is_large = not 0 < size <= _MOST

    def windows(self, x: Tensor) -> Tensor:
        padded = pad(x, self.margin)
        return torch.stack([padded[s] for s in self.slices], 2).reshape(x.shape[0], self.groups, -1, self.area)

    def scatter(self, windows: Tensor, like: Tensor) -> Tensor:
        """Add every window to where it was taken from: the transpose of `windows`."""
        total = pad(torch.zeros_like(like), self.margin)
        parts = windows.reshape(*like.shape[:2], -1, *self.positions)
        for s, part in zip(self.slices, parts.unbind(2), strict=True):
            total[s] += part
        return pad(total, [-m for m in self.margin])

    @property
    def area(self) -> int:
        return math.prod(self.positions)

    @staticmethod
    def _slice(start: int, count: int, step: int) -> slice:
        return slice(start, start + (count - 1) * step + 1, step)


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
    """y = w windows(x) + bias."""
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
    """The cotangents of x, w and bias, where the mask asks for them."""
    if transposed or (at := _Geometry(x, w, stride, padding, dilation, groups)).is_large:
        return NotImplemented
    rows, weights = grad.reshape(x.shape[0], groups, -1, at.area), w.reshape(groups, w.shape[0] // groups, -1)
    by_x = at.scatter(weights.mT @ rows, x) if mask[0] else None
    by_w = (rows @ at.windows(x).mT).sum(0).reshape(w.shape) if mask[1] else None
    return by_x, by_w, grad.sum([0, *range(2, grad.ndim)]) if mask[2] else None
