"""Images at arbitrary points: jax.scipy.ndimage."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_tensor, inexact

__all__ = ["map_coordinates"]


def map_coordinates(
    input: ArrayLike, coordinates: Sequence[ArrayLike], order: int, mode: str = "constant", cval: float = 0.0
) -> Tensor:
    """The values of a tensor at points between its entries.

    Args:
        input: A tensor of any rank.
        coordinates: For each axis, the coordinates of the points; they broadcast.
        order: 0 for the nearest entry, 1 for linear interpolation.
        mode: The values outside: "constant" for cval, "nearest" for the nearest entry, "wrap" for periodic, "mirror"
            for reflected at the outer entries, and "reflect" for reflected at their outer borders.
        cval: The constant.
    Returns:
        The values, of the shape of the points and the dtype of input; of integers, they are rounded.
    Raises:
        ValueError: There are more or fewer coordinates than axes, or the mode is unknown.
        NotImplementedError: The order is larger than 1.
    Example:
        >>> fn.scipy.ndimage.map_coordinates(torch.tensor([0.0, 10.0, 20.0]), [torch.tensor([0.5, 1.0, 3.0])], order=1)
        tensor([ 5., 10.,  0.])
    """
    x = as_tensor("map_coordinates", input)
    if len(coordinates) != x.ndim:
        raise ValueError(f"map_coordinates: expected coordinates of {x.ndim} axes, got {len(coordinates)}.")
    if mode not in _INDICES:
        raise ValueError(f"map_coordinates: expected a mode among {list(_INDICES)}, got {mode!r}.")
    if order not in (0, 1):
        raise NotImplementedError(f"map_coordinates: expected order 0 or 1, got {order}.")
    points = torch.broadcast_tensors(*(inexact(as_tensor("map_coordinates", c)) for c in coordinates))
    neighbours = [(_nearest if order == 0 else _linear)(point) for point in points]
    total = sum(_term(x, corner, mode, cval) for corner in itertools.product(*neighbours))
    total = torch.as_tensor(total)
    return total.to(x.dtype) if x.is_floating_point() or x.is_complex() else _rounded(total).to(x.dtype)


def _rounded(x: Tensor) -> Tensor:
    """Round halves away from zero, as in JAX; torch.round rounds them to even numbers."""
    return x.sign() * (x.abs() + 0.5).floor()


def _nearest(c: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(_rounded(c).long(), torch.ones_like(c))]


def _linear(c: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the two neighbours of coordinates, and their weights."""
    low = c.floor()
    return [(low.long(), 1 - (c - low)), (low.long() + 1, c - low)]


def _term(x: Tensor, corner: Sequence[tuple[Tensor, Tensor]], mode: str, cval: float) -> Tensor:
    """Return the entries at one corner of the cells of all points, times their weights."""
    places = [index for index, _ in corner]
    inside = [(index >= 0) & (index < size) for index, size in zip(places, x.shape, strict=True)]
    fixed = [_INDICES[mode](index, size) for index, size in zip(places, x.shape, strict=True)]
    values = x[tuple(fixed)] if fixed else x
    if mode == "constant" and inside:
        values = torch.where(torch.stack(inside).all(0), values, cval)
    return values * math.prod((weight for _, weight in corner), start=torch.ones(()))


def _clamped(i: Tensor, size: int) -> Tensor:
    return i.clamp(0, size - 1)


def _mirrored(i: Tensor, size: int) -> Tensor:
    period = max(2 * (size - 1), 1)
    place = i.abs() % period
    return torch.where(place >= size, period - place, place).clamp(0, size - 1)


def _reflected(i: Tensor, size: int) -> Tensor:
    place = i % (2 * size)
    return torch.where(place >= size, 2 * size - 1 - place, place)


_INDICES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "constant": _clamped,
    "nearest": _clamped,
    "wrap": lambda i, size: i % size,
    "mirror": _mirrored,
    "reflect": _reflected,
}


def __dir__() -> list[str]:
    return __all__
