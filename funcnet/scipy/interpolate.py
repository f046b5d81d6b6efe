"""Interpolation on grids: jax.scipy.interpolate."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.tree_util import register_pytree_node_class

__all__ = ["RegularGridInterpolator"]

_METHODS = ("linear", "nearest")


@register_pytree_node_class
class RegularGridInterpolator:
    """Interpolate values that are given on a grid of points, axis by axis.

    Args:
        points: The coordinates of the grid along each of its axes, ascending: shapes (n_1,), (n_2,) and so on.
        values: The values, of shape (n_1, n_2, ..., *rest).
        method: "linear", or "nearest" for the value at the nearest point.
        bounds_error: Must be False.
        fill_value: The result outside of the grid; None to extrapolate.
    Raises:
        ValueError: points and values do not fit, or the method is unknown.
        NotImplementedError: bounds_error is True.
    Example:
        >>> f = fn.scipy.interpolate.RegularGridInterpolator([torch.arange(2.0), torch.arange(3.0)], torch.eye(2, 3))
        >>> f(torch.tensor([[0.0, 0.5], [0.5, 0.5], [0.0, 3.0]]))
        tensor([0.5000, 0.5000,    nan])
    """

    def __init__(
        self,
        points: Sequence[ArrayLike],
        values: ArrayLike,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: ArrayLike | None = math.nan,
    ) -> None:
        self.grid = tuple(inexact(as_tensor("RegularGridInterpolator", axis)) for axis in points)
        self.values = inexact(as_tensor("RegularGridInterpolator", values))
        self.method, self.fill_value = _checked(method), fill_value
        sizes = tuple(len(axis) for axis in self.grid)
        if self.values.shape[: len(sizes)] != sizes or min(sizes, default=0) < 2:
            raise ValueError(
                "RegularGridInterpolator: expected at least two points per axis and values of shape (*numbers of "
                f"points, ...), got {sizes} points and values of shape {tuple(self.values.shape)}."
            )
        if bounds_error:
            raise NotImplementedError("RegularGridInterpolator: expected bounds_error=False; errors need known values.")

    def __call__(self, xi: ArrayLike, method: str | None = None) -> Tensor:
        """Return the values at points.

        Args:
            xi: The points: shape (..., axes of the grid), or a tuple of the coordinates along each axis.
            method: "linear" or "nearest" in place of that of the interpolator.
        """
        if isinstance(xi, tuple):
            xi = torch.stack(torch.broadcast_tensors(*floating("RegularGridInterpolator", *xi)), -1)
        x = inexact(as_tensor("RegularGridInterpolator", xi))
        x = x.reshape(-1, len(self.grid)) if x.ndim == 1 else x
        if x.shape[-1] != len(self.grid):
            raise ValueError(
                f"RegularGridInterpolator: expected points of {len(self.grid)} coordinates, got shape {tuple(x.shape)}."
            )
        result = self._at(x.unbind(-1), _checked(method or self.method) == "nearest")
        return result if self.fill_value is None else self._filled(result, x)

    def _at(self, coordinates: Sequence[Tensor], is_nearest: bool) -> Tensor:
        neighbours = [_neighbours(axis, c, is_nearest) for axis, c in zip(self.grid, coordinates, strict=True)]
        rest = self.values.ndim - len(self.grid)
        total = torch.zeros((), dtype=self.values.dtype, device=self.values.device)
        for corner in itertools.product(*neighbours):
            weight = math.prod((weight for _, weight in corner[1:]), start=corner[0][1])
            total = total + self.values[tuple(place for place, _ in corner)] * weight.reshape(
                *weight.shape, *(1,) * rest
            )
        return total

    def _filled(self, result: Tensor, x: Tensor) -> Tensor:
        bounds = [torch.stack([axis[end] for axis in self.grid]) for end in (0, -1)]
        outside = ((x < bounds[0]) | (x > bounds[1])).any(-1)
        outside = outside.reshape(*outside.shape, *(1,) * (result.ndim - outside.ndim))
        return torch.where(outside, torch.as_tensor(self.fill_value, dtype=result.dtype), result)

    def tree_flatten(self) -> tuple[tuple[Any, ...], str]:
        return (self.grid, self.values, self.fill_value), self.method

    @classmethod
    def tree_unflatten(cls, method: str, children: tuple[Any, ...]) -> "RegularGridInterpolator":
        new = cls.__new__(cls)
        new.grid, new.values, new.fill_value = children
        new.method = method
        return new


def _neighbours(axis: Tensor, c: Tensor, is_nearest: bool) -> list[tuple[Tensor, Tensor]]:
    """Return the places of the two points next to coordinates, or of the nearest one, and their weights."""
    below = (torch.searchsorted(axis, c.contiguous()) - 1).clamp(0, len(axis) - 2)
    share = (c - axis[below]) / (axis[below + 1] - axis[below])
    if is_nearest:
        return [(torch.where(share <= 0.5, below, below + 1), torch.ones_like(share))]
    return [(below, 1 - share), (below + 1, share)]


def _checked(method: str) -> str:
    if method not in _METHODS:
        raise ValueError(f"RegularGridInterpolator: expected method to be one of {_METHODS}, got {method!r}.")
    return method


def __dir__() -> list[str]:
    return __all__
