"""Buffers, and the strided views by which loops address their elements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

HALVES = (torch.bfloat16, torch.float16)  # stored only; they are converted to float32 to compute


@dataclass(eq=False)
class Buffer:
    """Elements of one dtype: an argument or result of the kernel (kind "input" or "output"), or a temporary."""

    dtype: torch.dtype
    size: int
    varying: bool
    kind: str = "temporary"
    position: int = 0


@dataclass(eq=False)
class Counter:
    """The index of the current step of a loop: of a scan, or over the rows of arrays."""

    length: int
    is_step: bool = True  # of a scan


@dataclass(frozen=True)
class View:
    """An index map: element (i, j, …) is at offset + i strides[0] + j strides[1] + … + Σ counter × stride."""

    buffer: Buffer
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    steps: tuple[tuple[Counter, int], ...] = ()

    @property
    def varying(self) -> bool:
        return self.buffer.varying

    @property
    def dtype(self) -> torch.dtype:
        return self.buffer.dtype

    @property
    def is_dense(self) -> bool:
        """Whether the elements are side by side, in row-major order."""
        size = math.prod(self.shape)
        flat = self.reshape((size,))
        return flat is not None and (size <= 1 or flat.strides == (1,))

    def fills(self, kind: str, most: int) -> bool:
        """Tell whether this is all of a buffer of some kind, in row-major order, with more than `most` bytes."""
        buffer = self.buffer
        large = buffer.kind == kind and most < buffer.size * buffer.dtype.itemsize
        return large and math.prod(self.shape) == buffer.size and self == whole(buffer, self.shape)

    def permute(self, axes: Sequence[int]) -> "View":
        """Reorder the axes."""
        return replace(self, shape=tuple(self.shape[a] for a in axes), strides=tuple(self.strides[a] for a in axes))

    def expand(self, shape: Sequence[int]) -> "View":
        """Broadcast to a shape: a stride of 0 where an axis is new or repeated."""
        missing = len(shape) - len(self.shape)
        axes = zip(self.shape, self.strides, shape[missing:], strict=True)
        strides = (0,) * missing + tuple(0 if old != new else stride for old, stride, new in axes)
        return replace(self, shape=tuple(shape), strides=strides)

    def reshape(self, shape: Sequence[int]) -> "View | None":
        """Return a view of another shape of the same elements in order, or None if no strides describe it."""
        if math.prod(shape) == 0:
            return replace(self, shape=tuple(shape), strides=(0,) * len(shape))
        runs: list[tuple[int, int]] = []  # (size, stride) of runs of axes that can be merged
        for size, stride in zip(self.shape, self.strides, strict=True):
            if size != 1:
                joined = bool(runs) and runs[-1][1] == size * stride
                runs.append((runs.pop()[0] * size, stride) if joined else (size, stride))
        strides: list[int] = []
        for size in reversed(shape):
            count, stride = runs.pop() if size != 1 else (1, 0)
            if count % size:
                return None
            strides.append(stride)
            if count != size:
                runs.append((count // size, size * stride))
        return replace(self, shape=tuple(shape), strides=tuple(reversed(strides)))


def whole(buffer: Buffer, shape: Sequence[int]) -> View:
    """View a buffer as a tensor of this shape in row-major order."""
    return View(buffer, tuple(shape), row_major(shape))


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a tensor of this shape in row-major order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
