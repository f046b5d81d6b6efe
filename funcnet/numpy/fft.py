"""Discrete Fourier transforms: jax.numpy.fft. Real numbers become complex64, and complex128 for float64."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import all_axes, one_axis
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, inexact, named

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


def _one(name: str, f: Callable[..., Tensor], doc: str) -> Callable[..., Tensor]:
    """Make a transform of one axis."""

    def function(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
        x = inexact(as_tensor(name, a))
        return f(x, n, one_axis(name, axis, x.ndim), norm)

    return named(function, name, doc)


def _two(name: str, f: Callable[..., Tensor], doc: str) -> Callable[..., Tensor]:
    """Make a transform of two axes."""

    def function(
        a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = None
    ) -> Tensor:
        x = inexact(as_tensor(name, a))
        return f(x, s, all_axes(name, axes, x.ndim), norm)

    return named(function, name, doc)


def _many(name: str, f: Callable[..., Tensor], doc: str) -> Callable[..., Tensor]:
    """Make a transform of several axes, by default all."""

    def function(
        a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
    ) -> Tensor:
        return f(inexact(as_tensor(name, a)), s, axes, norm)

    return named(function, name, doc)


fft = _one("fft", torch.fft.fft, "The transform along an axis, cut or filled with zeros to length n.")
ifft = _one("ifft", torch.fft.ifft, "The inverse of `fft`.")
rfft = _one("rfft", torch.fft.rfft, "The first half of the transform of real numbers.")
irfft = _one("irfft", torch.fft.irfft, "The inverse of `rfft`; n is the length of the result.")
hfft = _one("hfft", torch.fft.hfft, "The transform of a signal that is Hermitian; the result is real.")
ihfft = _one("ihfft", torch.fft.ihfft, "The inverse of `hfft`.")
fft2 = _two("fft2", torch.fft.fft2, "The transform along two axes.")
ifft2 = _two("ifft2", torch.fft.ifft2, "The inverse of `fft2`.")
rfft2 = _two("rfft2", torch.fft.rfft2, "The transform of real numbers along two axes, half of the last one.")
irfft2 = _two("irfft2", torch.fft.irfft2, "The inverse of `rfft2`.")
fftn = _many("fftn", torch.fft.fftn, "The transform along several axes.")
ifftn = _many("ifftn", torch.fft.ifftn, "The inverse of `fftn`.")
rfftn = _many("rfftn", torch.fft.rfftn, "The transform of real numbers along several axes, half of the last one.")
irfftn = _many("irfftn", torch.fft.irfftn, "The inverse of `rfftn`.")


def fftfreq(n: int, d: ArrayLike = 1.0, *, dtype: DType | None = None) -> Tensor:
    """The frequencies of `fft` for n points at distance d."""
    kind = torch.float32 if dtype is None else as_dtype("fftfreq", dtype)
    places = torch.arange(n)
    return torch.where(places < (n + 1) // 2, places, places - n).to(kind) / (d * n)


def rfftfreq(n: int, d: ArrayLike = 1.0, *, dtype: DType | None = None) -> Tensor:
    """The frequencies of `rfft` for n points at distance d."""
    kind = torch.float32 if dtype is None else as_dtype("rfftfreq", dtype)
    return torch.arange(n // 2 + 1).to(kind) / (d * n)


def fftshift(x: ArrayLike, axes: Any = None) -> Tensor:
    """Move the frequency 0 to the middle of the axes."""
    x = as_tensor("fftshift", x)
    return torch.fft.fftshift(x, all_axes("fftshift", axes, x.ndim))


def ifftshift(x: ArrayLike, axes: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    x = as_tensor("ifftshift", x)
    return torch.fft.ifftshift(x, all_axes("ifftshift", axes, x.ndim))


def __dir__() -> list[str]:
    return __all__
