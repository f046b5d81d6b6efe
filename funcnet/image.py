"""Images of other sizes: jax.image on torch tensors.

Example:
    >>> fn.image.resize(torch.tensor([0.0, 4.0]), (4,), "linear")
    tensor([0., 1., 3., 4.])
"""

import math
from collections.abc import Callable, Sequence
from enum import Enum

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, as_tensor, inexact

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]


class ResizeMethod(Enum):
    """How pixels between those of an image are computed."""

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4


def resize(
    image: ArrayLike,
    shape: Sequence[int],
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: object = None,
) -> Tensor:
    """Resize an image, or any tensor, along each axis whose size changes.

    Args:
        image: A tensor of any rank; pixels are squares, and the outer borders of the images are the same.
        shape: The new shape, of the same rank.
        method: "nearest", "linear" (also "bilinear", "trilinear", "triangle"), "cubic" (also "bicubic", "tricubic"),
            "lanczos3" or "lanczos5", or a `ResizeMethod`. "cubic" is Keys' with a = -1/2.
        antialias: Whether smaller images average over all pixels of the larger one.
        precision: Changes nothing.
    Returns:
        The image, in its dtype for "nearest", else a floating-point one.
    Raises:
        ValueError: The ranks differ or the method is unknown.
    Source:
        Keys (1981), Cubic convolution interpolation for digital image processing,
        https://doi.org/10.1109/TASSP.1981.1163711; weights as in jax.image.resize.
    Example:
        >>> fn.image.resize(torch.tensor([[0.0, 4.0]]), (1, 4), "linear")
        tensor([[0., 1., 3., 4.]])
    """
    x, kind = as_tensor("resize", image), _method(method)
    if len(shape) != x.ndim:
        raise ValueError(f"resize: expected a shape of {x.ndim} sizes, got {tuple(shape)}.")
    axes = [axis for axis in range(x.ndim) if x.shape[axis] != shape[axis]]
    if kind is ResizeMethod.NEAREST:
        for axis in axes:
            x = x.index_select(axis, _nearest(x.shape[axis], shape[axis], x.device))
        return x
    scales = torch.tensor([shape[axis] / max(x.shape[axis], 1) for axis in axes], dtype=torch.float64, device=x.device)
    return scale_and_translate(x, shape, axes, scales, torch.zeros_like(scales), kind, antialias)


def scale_and_translate(
    image: ArrayLike,
    shape: Sequence[int],
    spatial_dims: Sequence[int],
    scale: ArrayLike,
    translation: ArrayLike,
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: object = None,
) -> Tensor:
    """Compute an image of another shape at points that are scaled and then moved, with 0 outside of the old one.

    Args:
        image: A tensor of any rank.
        shape: The new shape, of the same rank.
        spatial_dims: The axes that change.
        scale, translation: Of each of these: positions x of the image move to scale x + translation, in pixels.
        method: "linear", "cubic", "lanczos3" or "lanczos5", by the names of `resize`.
        antialias: Whether smaller images average over all pixels of the larger one.
        precision: Changes nothing.
    Example:
        >>> image, half = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1.0])
        >>> fn.image.scale_and_translate(image, (1, 3), (1,), half, torch.tensor([1.0]), "linear")
        tensor([[0., 1., 2.]])
    """
    x, kind = inexact(as_tensor("scale_and_translate", image)), _method(method)
    if kind is ResizeMethod.NEAREST:
        raise ValueError("scale_and_translate: expected a method that interpolates, got 'nearest'.")
    scales, shifts = (as_tensor("scale_and_translate", v).to(x.dtype) for v in (scale, translation))
    for i, axis in enumerate(spatial_dims):
        weights = _weights(x.shape[axis], shape[axis], scales[i], shifts[i], _KERNELS[kind], antialias)
        x = torch.tensordot(x, weights, dims=([axis], [0])).movedim(-1, axis)
    return x


def _nearest(old: int, new: int, device: torch.device) -> Tensor:
    places = (torch.arange(new, dtype=torch.float32, device=device) + 0.5) * old / new
    return places.floor().long().clamp(0, old - 1)


def _weights(
    old: int, new: int, scale: Tensor, shift: Tensor, kernel: Callable[[Tensor], Tensor], antialias: bool
) -> Tensor:
    """Return the weights of the old pixels, the rows, in the new ones."""
    inverse = 1 / scale
    width = inverse.clamp(min=1) if antialias else 1.0
    places = (torch.arange(new, dtype=scale.dtype, device=scale.device) + 0.5 - shift) * inverse - 0.5
    pixels = torch.arange(old, dtype=scale.dtype, device=scale.device)[:, None]
    weights = kernel((places - pixels).abs() / width)
    total = weights.sum(0)
    none = total.abs() <= 1000 * torch.finfo(torch.float32).eps
    inside = (places >= -0.5) & (places <= old - 0.5) & ~none
    return torch.where(inside, weights / torch.where(none, 1, total), 0)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x).clamp(min=0)


def _keys(x: Tensor) -> Tensor:
    near, far = ((1.5 * x - 2.5) * x) * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x >= 2, 0, torch.where(x >= 1, far, near))


def _lanczos(radius: int, x: Tensor) -> Tensor:
    near = x <= 1e-3
    z = torch.where(near, 1, x)
    wave = radius * torch.sin(math.pi * z) * torch.sin(math.pi * z / radius) / (math.pi**2 * z * z)
    return torch.where(x > radius, 0, torch.where(near, 1, wave))


_KERNELS: dict[ResizeMethod, Callable[[Tensor], Tensor]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.CUBIC: _keys,
    ResizeMethod.LANCZOS3: lambda x: _lanczos(3, x),
    ResizeMethod.LANCZOS5: lambda x: _lanczos(5, x),
}
_METHODS = {
    "nearest": ResizeMethod.NEAREST,
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), ResizeMethod.LINEAR),
    "lanczos3": ResizeMethod.LANCZOS3,
    "lanczos5": ResizeMethod.LANCZOS5,
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), ResizeMethod.CUBIC),
}


def _method(method: str | ResizeMethod) -> ResizeMethod:
    if isinstance(method, ResizeMethod):
        return method
    if method not in _METHODS:
        raise ValueError(f"resize: expected a method among {list(_METHODS)}, got {method!r}.")
    return _METHODS[method]


def __dir__() -> list[str]:
    return __all__
