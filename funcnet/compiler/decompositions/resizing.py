"""Resizing of images and padding by the edge: gathers with weights along one axis after another, and their transposes.

An element of the result is a weighted sum of a few elements of x, its taps. In the derivative, the cotangent of the
result is added to the same elements with the same weights. Places are those of torch's kernels.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import decomposition
from funcnet.compiler.decompositions.pooling import nearest_backward

aten = torch.ops.aten

Taps = list[tuple[Tensor, Tensor]]  # indices of elements, and their weights, one per place
_CUBIC = -0.75  # the parameter of the kernel of cubic convolution


def _linear(place: Tensor, size: int) -> Taps:
    """Return the elements before and after each place."""
    place = place.clamp(min=0)
    low = place.to(torch.int64).clamp(max=size - 1)
    part = (place - low).clamp(0, 1)
    return [(low, 1 - part), ((low + 1).clamp(max=size - 1), part)]


def _cubic(place: Tensor, size: int) -> Taps:
    """Return the two elements before and the two after each place; those outside are the element at the edge."""
    low = place.floor()
    part = place - low
    weights = [_far(part + 1), _near(part), _near(1 - part), _far(2 - part)]
    return [((low.to(torch.int64) + i - 1).clamp(0, size - 1), weight) for i, weight in enumerate(weights)]


def _near(x: Tensor) -> Tensor:
    """Compute the kernel up to a distance of 1."""
    return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1


def _far(x: Tensor) -> Tensor:
    """Compute the kernel at distances from 1 to 2."""
    return ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC


def _places(size: int, count: int, align: bool, scale: float | None, like: Tensor) -> Tensor:
    """Return the places in an axis of `size` elements at which the `count` elements of the result are."""
    steps = torch.arange(count, dtype=like.dtype, device=like.device)
    if align:
        return steps * ((size - 1) / (count - 1) if count > 1 else 0)
    return (steps + 0.5) * (1 / scale if scale else size / count) - 0.5


def _resized(taps: Callable[[Tensor, int], Taps], x: Tensor, counts: Sequence[int], align: bool, *scales: Any) -> Any:
    """Interpolate along the last axes."""
    if not _is_usual(x) or 0 in counts:
        return NotImplemented
    for i, count in reversed([*enumerate(counts, -len(counts))]):
        size, scale = x.shape[i], scales[i] if scales else None
        parts = [
            x.index_select(i, index) * _along(weight, i)
            for index, weight in taps(_places(size, count, align, scale, x), size)
        ]
        x = sum(parts[1:], start=parts[0])
    return x


def _by_torchs_rule(name: str) -> Callable[..., Any]:
    """Leave integers, which torch's kernels round otherwise than its rules, and empty results, an error, to torch."""

    def rule(x: Tensor, counts: Sequence[int], *args: Any, **options: Any) -> Any:
        if 0 in counts or not x.is_floating_point():
            return NotImplemented
        return decomposition(name)(x, counts, *args, **options)

    return rule


def _resized_backward(
    taps: Callable[[Tensor, int], Taps],
    grad: Tensor,
    counts: Sequence[int],
    sizes: Sequence[int],
    align: bool,
    *scales: Any,
) -> Any:
    """Add the cotangents to the elements between which the interpolation was, along one axis after another."""
    if not _is_usual(grad):
        return NotImplemented
    for i, count in enumerate(counts, -len(counts)):
        places = _places(sizes[i], count, align, scales[i] if scales else None, grad)
        grad = _transposed(grad, i, sizes[i], taps(places, sizes[i]))
    return grad


def _nearest_backward(shift: float, grad: Tensor, counts: Sequence[int], sizes: Sequence[int], *scales: Any) -> Any:
    """Add each cotangent to the element that was copied; torch computes its index in float32."""
    if (found := nearest_backward(grad, counts, sizes, *scales)) is not NotImplemented or not _is_usual(grad):
        return found
    for i, count in enumerate(counts, -len(counts)):
        scale = scales[i] if scales else None
        step = torch.full((), 1 / scale if scale else sizes[i] / count, dtype=torch.float32, device=grad.device)
        places = (torch.arange(count, dtype=torch.float32, device=grad.device) + shift) * step
        grad = _transposed(grad, i, sizes[i], [(places.to(torch.int64).clamp(max=sizes[i] - 1), grad.new_ones(count))])
    return grad


def _replicated_backward(grad: Tensor, x: Tensor, widths: Sequence[int]) -> Any:
    """Add the cotangents of the copies of an edge to it."""
    if not _is_usual(grad):
        return NotImplemented
    for i, before in enumerate(reversed(widths[::2]), -len(widths) // 2):
        size, count = x.shape[i], grad.shape[i]
        index = (torch.arange(count, device=grad.device) - before).clamp(0, size - 1)
        grad = _transposed(grad, i, size, [(index, grad.new_ones(count))])
    return grad


def _transposed(grad: Tensor, axis: int, size: int, taps: Taps) -> Tensor:
    shape = [*grad.shape]
    shape[axis] = size
    total = grad.new_zeros(shape)
    for index, weight in taps:
        total = total.index_add(axis, index, grad * _along(weight, axis))
    return total


def _along(x: Tensor, axis: int) -> Tensor:
    """View a vector as one along an axis, which counts from the end."""
    return x.view(-1, *(1 for _ in range(-1 - axis)))


def _is_usual(x: Tensor) -> bool:
    return x.dtype in (torch.float32, torch.float64) and x.numel() > 0


_NEAREST = {"upsample_nearest{}d_backward": 0.0, "_upsample_nearest_exact{}d_backward": 0.5}

RULES: dict[Any, Callable[..., Any]] = {
    aten.upsample_linear1d.default: _by_torchs_rule("upsample_linear1d"),
    aten.upsample_bilinear2d.default: _by_torchs_rule("upsample_bilinear2d"),
    aten.upsample_linear1d_backward.default: partial(_resized_backward, _linear),
    aten.upsample_bilinear2d_backward.default: partial(_resized_backward, _linear),
    aten.upsample_trilinear3d.default: partial(_resized, _linear),
    aten.upsample_trilinear3d_backward.default: partial(_resized_backward, _linear),
    aten.upsample_bicubic2d.default: partial(_resized, _cubic),
    aten.upsample_bicubic2d_backward.default: partial(_resized_backward, _cubic),
    **{
        getattr(aten, name.format(axes)).default: partial(_nearest_backward, shift)
        for name, shift in _NEAREST.items()
        for axes in (1, 2, 3)
    },
    **{getattr(aten, f"replication_pad{axes}d_backward").default: _replicated_backward for axes in (1, 2, 3)},
}
