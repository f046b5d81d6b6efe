"""Coordinates of grids."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.creation import Shape, arange, linspace, sizes
from funcnet.numpy.promotion import ArrayLike, DType, as_tensor, promote

__all__ = ["fromfunction", "indices", "ix_", "meshgrid", "mgrid", "ogrid"]


def meshgrid(*xi: ArrayLike, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid. indexing "xy", the default (torch's is "ij"), swaps the first two axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: expected indexing to be 'xy' or 'ij', got {indexing!r}.")
    axes = [as_tensor("meshgrid", x).reshape(-1) for x in xi]
    order = [1, 0, *range(2, len(axes))] if indexing == "xy" and len(axes) > 1 else list(range(len(axes)))
    grids = [
        x.reshape([-1 if place == i else 1 for place in range(len(axes))]) for i, x in zip(order, axes, strict=True)
    ]
    return grids if sparse else list(torch.broadcast_tensors(*grids))


def ix_(*args: ArrayLike) -> tuple[Tensor, ...]:
    """Indices that select the outer product of vectors of indices: x[ix_(rows, columns)]."""
    return tuple(meshgrid(*args, sparse=True, indexing="ij"))


def indices(dimensions: Sequence[int], dtype: DType = torch.int32, sparse: bool = False) -> Any:
    """The index of each element along each axis: stacked, or if sparse, as a tuple of arrays that broadcast."""
    grid = meshgrid(*(arange(size, dtype=dtype) for size in dimensions), sparse=sparse, indexing="ij")
    return tuple(grid) if sparse else torch.stack(grid)


def fromfunction(function: Callable[..., Any], shape: Shape, *, dtype: DType = torch.float32, **kwargs: Any) -> Any:
    """The value of a function at the index of each element; it is called once, with arrays."""
    grid = meshgrid(*(arange(size, dtype=dtype) for size in sizes("fromfunction", shape)), indexing="ij")
    return function(*grid, **kwargs)


class _Grid:
    """mgrid[0:2, 0:1:5j]: coordinates of a grid by slices; an imaginary step is a number of points, ends included."""

    def __init__(self, sparse: bool) -> None:
        self._sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        axes = [points(part) for part in (key if isinstance(key, tuple) else (key,))]
        grid = meshgrid(*promote("mgrid", *axes), sparse=self._sparse, indexing="ij")
        if not isinstance(key, tuple):
            return grid[0]
        return grid if self._sparse else torch.stack(grid)


def points(part: slice) -> Tensor:
    """Return the numbers of a slice; an imaginary step is their number."""
    start, step = (0 if part.start is None else part.start), part.step
    if isinstance(step, complex):
        return linspace(start, part.stop, int(math.fabs(step.imag)))
    return arange(start, part.stop, step)


mgrid, ogrid = _Grid(sparse=False), _Grid(sparse=True)
