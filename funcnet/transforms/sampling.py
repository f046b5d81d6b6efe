"""Samples of images at places: torch.nn.functional.grid_sample by gathers with weights.

A sample is a weighted sum of a few elements, its taps: along each axis, indices with weights that depend on the place.
Taps outside of the image count as 0, unless padding has moved their places inside. Places are those of torch's kernels.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_CUBIC = -0.75  # the parameter of the kernel of cubic convolution
_FAR = 2**31 - 1  # the largest int, and more than torch's kernels of volumes accept
LINEAR, NEAREST, CUBIC = range(3)
ZEROS, BORDER, REFLECTION = range(3)


class Tap(NamedTuple):
    """An element along an axis for each sample, its weight, and the derivative of that with respect to the place."""

    place: Tensor  # a whole number
    weight: Tensor
    slope: Tensor


class Corner(NamedTuple):
    """An element for each sample: its number in the volume, whether it is inside, and the taps along all axes."""

    element: Tensor
    is_inside: Tensor
    taps: tuple[Tap, ...]

    @property
    def weight(self) -> Tensor:
        return math.prod((tap.weight for tap in self.taps[1:]), start=self.taps[0].weight)

    def slope(self, axis: int) -> Tensor:
        """Return the derivative of the weight with respect to the place along an axis."""
        others = (tap.weight for i, tap in enumerate(self.taps) if i != axis)
        return math.prod(others, start=self.taps[axis].slope)


def grid_sample(x: Tensor, grid: Tensor, mode: int, padding: int, align: bool) -> Tensor:
    """Sample as torch.grid_sampler does; derivatives of all orders are those of the weights."""
    if mode == CUBIC and x.ndim == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    values = x.flatten(2)
    samples = [sampled(values, corner) * corner.weight[:, None] for corner in corners(x, grid, mode, padding, align)]
    total = sum(samples[1:], start=samples[0])
    return total.reshape(*x.shape[:2], *grid.shape[1:-1])


def corners(x: Tensor, grid: Tensor, mode: int, padding: int, align: bool) -> list[Corner]:
    """List the elements of images (n, c, *sizes) that the samples at a grid (n, *counts, axes) depend on."""
    sizes, coordinates = x.shape[2:], grid.flatten(1, -2).flip(-1).unbind(-1)
    is_volume = len(sizes) == 3
    axes = [_taps(*axis, mode, padding, align, is_volume) for axis in zip(coordinates, sizes, strict=True)]
    return [_corner(taps, sizes) for taps in product(*axes)]


def sampled(values: Tensor, corner: Corner) -> Tensor:
    """Return the elements of volumes (n, c, size) at a corner of the samples, (n, c, samples); 0 outside."""
    index = corner.element[:, None].expand(-1, values.shape[1], -1)
    return torch.where(corner.is_inside[:, None], values.gather(2, index), 0)


def scale(coordinate: Tensor, size: int, mode: int, padding: int, align: bool) -> Tensor:
    """Return the derivative of the place along an axis with respect to the coordinate."""
    factor = (size - 1) / 2 if align else size / 2
    place = _place(coordinate, size, align)
    slope = torch.full_like(place, factor)
    if mode == CUBIC or padding == ZEROS:
        return slope
    if padding == REFLECTION:
        place, is_flipped = _reflected(place, size, align)
        slope = torch.where(is_flipped, -slope, slope)
    return torch.where((place > 0) & (place < size - 1), slope, 0)


def _corner(taps: tuple[Tap, ...], sizes: Sequence[int]) -> Corner:
    is_inside = torch.ones_like(taps[0].place, dtype=torch.bool)
    for tap, size in zip(taps, sizes, strict=True):
        is_inside = is_inside & (tap.place >= 0) & (tap.place < size)
    index = torch.zeros_like(taps[0].place, dtype=torch.int64)
    for tap, size in zip(taps, sizes, strict=True):
        index = index * size + torch.where(is_inside, tap.place, 0).to(torch.int64)
    return Corner(index, is_inside, taps)


def _taps(coordinate: Tensor, size: int, mode: int, padding: int, align: bool, is_volume: bool) -> list[Tap]:
    place = _place(coordinate, size, align)
    if mode == CUBIC:
        return _cubic(place, lambda place: _padded(place, size, padding, align))
    place = _padded(place, size, padding, align, is_volume=is_volume)
    one = torch.ones_like(place)
    if mode == NEAREST:
        return [Tap(place.detach().round(), one, one - one)]
    low = place.detach().floor()
    return [Tap(low, low + 1 - place, -one), Tap(low + 1, place - low, one)]


def _cubic(place: Tensor, padded: Callable[[Tensor], Tensor]) -> list[Tap]:
    """Return the two elements before and the two after each place."""
    low = place.detach().floor()
    part = place - low
    near, far = ((_CUBIC + 2, -_CUBIC - 3, 0.0, 1.0), (_CUBIC, -5 * _CUBIC, 8 * _CUBIC, -4 * _CUBIC))
    kernels = [(part + 1, far, 1), (part, near, 1), (1 - part, near, -1), (2 - part, far, -1)]
    return [
        Tap(padded(low + i - 1), _polynomial(k, x), sign * _derivative(k, x)) for i, (x, k, sign) in enumerate(kernels)
    ]


def _polynomial(k: Sequence[float], x: Tensor) -> Tensor:
    return ((k[0] * x + k[1]) * x + k[2]) * x + k[3]


def _derivative(k: Sequence[float], x: Tensor) -> Tensor:
    return (3 * k[0] * x + 2 * k[1]) * x + k[2]


def _place(coordinate: Tensor, size: int, align: bool) -> Tensor:
    """Map -1 and 1 to the centres of the first and the last element, or to the edges."""
    return (coordinate + 1) * ((size - 1) / 2) if align else (coordinate + 1) * (size / 2) - 0.5


def _padded(place: Tensor, size: int, padding: int, align: bool, *, is_volume: bool = False) -> Tensor:
    """Move places inside, unless outside is 0; torch's kernels differ in where NaN is."""
    if padding == ZEROS:
        return torch.where(place.abs() < _FAR, place, -100.0) if is_volume else place
    if padding == REFLECTION:
        place, _ = _reflected(place, size, align)
    below = torch.where(place < size - 1, place, size - 1)
    return torch.where(place <= 0, 0, below) if is_volume else torch.where(place > 0, below, 0)


def _reflected(place: Tensor, size: int, align: bool) -> tuple[Tensor, Tensor]:
    """Reflect places at the centres of the outermost elements, or at the edges; tell which ones run backwards."""
    low, span = (0.0, size - 1) if align else (-0.5, size)
    if not span:
        return torch.zeros_like(place), torch.zeros_like(place, dtype=torch.bool)
    distance = (place - low).abs()
    rest, is_odd = torch.fmod(distance, span), torch.fmod((distance.detach() / span).floor(), 2) == 1
    return torch.where(is_odd, span - rest, rest) + low, is_odd ^ (place < low)


def _by_names(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    return grid_sample(input, grid, _MODES.index(mode), _PADDINGS.index(padding_mode), bool(align_corners))


_MODES, _PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
FUNCTIONS: dict[Any, Callable[..., Any]] = {functional.grid_sample: _by_names, torch.grid_sampler: grid_sample}
