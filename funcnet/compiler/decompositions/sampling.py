"""Samples of images at places, and their derivatives: gathers with weights, and sums at the same places."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.transforms import sampling

aten = torch.ops.aten


def _sample(x: Tensor, grid: Tensor, mode: int, padding: int, align: bool) -> Any:
    return sampling.grid_sample(x, grid, mode, padding, align) if _is_usual(x, grid) else NotImplemented


def _sample_backward(
    grad: Tensor, x: Tensor, grid: Tensor, mode: int, padding: int, align: bool, mask: Sequence[bool]
) -> Any:
    """Return the cotangents of the images, if they are asked for, and of the grid."""
    if not _is_usual(x, grid):
        return NotImplemented
    corners, cotangents = sampling.corners(x, grid, mode, padding, align), grad.flatten(2)
    if x.ndim == 5:  # where torch's kernel finds places of NaN outside, other than when it samples
        is_nan = ~grid.isfinite() if padding == sampling.REFLECTION else grid.isnan()
        cotangents = torch.where(is_nan.any(-1).flatten(1)[:, None], 0, cotangents)
    images = _of_images(x, corners, cotangents) if mask[0] else None
    return images, _of_grid(x, grid, corners, cotangents, mode, padding, align)


def _of_images(x: Tensor, corners: Sequence[sampling.Corner], cotangents: Tensor) -> Tensor:
    total = torch.zeros_like(x.flatten(2))
    for corner in corners:
        parts = torch.where(corner.is_inside[:, None], cotangents * corner.weight[:, None], 0)
        total = total.scatter_add(2, corner.element[:, None].expand(parts.shape), parts)
    return total.reshape(x.shape)


def _of_grid(
    x: Tensor,
    grid: Tensor,
    corners: Sequence[sampling.Corner],
    cotangents: Tensor,
    mode: int,
    padding: int,
    align: bool,
) -> Tensor:
    if mode == sampling.NEAREST:
        return torch.zeros_like(grid)
    values, axes = x.flatten(2), range(grid.shape[-1])
    pulled = [(corner, (sampling.sampled(values, corner) * cotangents).sum(1)) for corner in corners]
    slopes = [sum(corner.slope(axis) * part for corner, part in pulled) for axis in reversed(axes)]
    sizes, coordinates = x.shape[:1:-1], grid.flatten(1, -2).unbind(-1)
    parts = [
        slope * sampling.scale(coordinate, size, mode, padding, align)
        for slope, coordinate, size in zip(slopes, coordinates, sizes, strict=True)
    ]
    return torch.stack(parts, -1).reshape(grid.shape)


def _is_usual(x: Tensor, grid: Tensor) -> bool:
    """Tell whether these are not empty, of one common dtype, and of shapes that fit."""
    fits = x.ndim == grid.ndim and grid.shape[-1] == x.ndim - 2 and x.shape[0] == grid.shape[0]
    return fits and x.dtype == grid.dtype and x.dtype in (torch.float32, torch.float64) and x.numel() * grid.numel() > 0


RULES: dict[Any, Callable[..., Any]] = {
    getattr(aten, f"grid_sampler_{axes}d{suffix}").default: rule
    for axes in (2, 3)
    for suffix, rule in (("", _sample), ("_backward", _sample_backward))
}
