"""Windows on the last axes of a tensor: one strided slice per element of the window, over all positions."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

_MOST = 2**17  # elements of all windows, about what fits into a core's cache


class Windows:
    """The positions of windows. The sizes are lists of one number per axis, or of one number for all axes."""

    def __init__(
        self,
        shape: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
    ) -> None:
        axes = len(kernel)
        self.stride, self.padding, self.dilation = (list(v) * (axes // len(v)) for v in (stride, padding, dilation))
        self.kernel, self.shape = list(kernel), list(shape[-axes:])
        self.margin = [m for p in reversed(self.padding) for m in (p, p)]
        reach = [d * (k - 1) for d, k in zip(self.dilation, kernel, strict=True)]
        free = [n + 2 * p - r for n, p, r in zip(self.shape, self.padding, reach, strict=True)]
        self.positions = [(f - 1) // s + 1 for f, s in zip(free, self.stride, strict=True)]
        self.starts = list(itertools.product(*(range(0, r + 1, d) for r, d in zip(reach, self.dilation, strict=True))))
        self.slices: list[Any] = [(..., *map(_slice, start, self.positions, self.stride)) for start in self.starts]
        size = math.prod(shape[:-axes]) * math.prod(kernel) * math.prod(self.positions)
        self.is_large = not 0 < size <= _MOST

    def take(self, x: Tensor, value: float = 0.0) -> list[Tensor]:
        """Return each element of the window at all positions, as tensors (*, *positions); the margin holds `value`."""
        padded = pad(x, self.margin, value=value)
        return [padded[s] for s in self.slices]

    def scatter(self, parts: Iterable[Tensor], like: Tensor) -> Tensor:
        """Add every element at the place where `take` reads it: the transpose of `take`."""
        total = pad(torch.zeros_like(like), self.margin)
        for s, part in zip(self.slices, parts, strict=True):
            total[s] += part
        return pad(total, [-m for m in self.margin])


def _slice(start: int, count: int, step: int) -> slice:
    return slice(start, start + (count - 1) * step + 1, step)
