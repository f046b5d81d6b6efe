"""Discrete cosine transforms: jax.scipy.fft. Fourier transforms are in funcnet.numpy.fft.

X[k] = 2 Σ_n x[n] cos(π k (2n + 1) / (2N)), the transform of type 2, and its inverse. With norm="ortho", X[0] is divided
by sqrt(4N) and the others by sqrt(2N), which makes the transform orthogonal.

Source:
    Makhoul (1980), A fast cosine transform in one and two dimensions, https://doi.org/10.1109/TASSP.1980.1163351
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from funcnet.numpy.axes import all_axes, one_axis
from funcnet.numpy.promotion import ArrayLike, as_tensor, inexact

__all__ = ["dct", "dctn", "idct", "idctn"]


def dct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The cosine transform along an axis, which is first cut or filled with zeros to length n.

    Args:
        x: Real numbers.
        type: 2; the others are not implemented.
        n: The length of the result, by default that of x.
        axis: The axis.
        norm: None or "ortho".
    Raises:
        NotImplementedError: The type is not 2.
        ValueError: norm is another string, or x is complex.
    Example:
        >>> fn.scipy.fft.dct(torch.tensor([1.0, 2.0, 4.0]))
        tensor([14.0000, -5.1962,  1.0000])
    """
    return _along("dct", _forward, x, type, n, axis, norm)


def idct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `dct`, with the same arguments.

    Example:
        >>> fn.scipy.fft.idct(fn.scipy.fft.dct(torch.tensor([1.0, 2.0, 3.0])))
        tensor([1., 2., 3.])
    """
    return _along("idct", _inverse, x, type, n, axis, norm)


def dctn(
    x: ArrayLike,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Tensor:
    """The cosine transform along several axes, by default all; s are their lengths."""
    return _along_all("dctn", _forward, x, type, s, axes, norm)


def idctn(
    x: ArrayLike,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Tensor:
    """The inverse of `dctn`."""
    return _along_all("idctn", _inverse, x, type, s, axes, norm)


_Transform = Callable[[Tensor, bool], Tensor]


def _along_all(
    name: str,
    transform: _Transform,
    x: ArrayLike,
    type: int,
    s: Sequence[int] | None,
    axes: Sequence[int] | None,
    norm: str | None,
) -> Tensor:
    values = as_tensor(name, x)
    chosen = all_axes(name, axes if axes is None else tuple(axes), values.ndim)
    if axes is None and s is not None:
        chosen = chosen[-len(s) :]
    lengths: Sequence[int | None] = s or [None] * len(chosen)
    for axis, n in zip(chosen, lengths, strict=True):
        values = _along(name, transform, values, type, n, axis, norm)
    return values


def _along(
    name: str, transform: _Transform, x: ArrayLike, type: int, n: int | None, axis: int, norm: str | None
) -> Tensor:
    values = inexact(as_tensor(name, x))
    if type != 2:
        raise NotImplementedError(f"{name}: expected type=2, got {type!r}.")
    if norm not in (None, "ortho", "backward") or values.is_complex():
        raise ValueError(f"{name}: expected real numbers and norm None or 'ortho', got {values.dtype} and {norm!r}.")
    rows = values.movedim(one_axis(name, axis, values.ndim), -1)
    if n is not None:
        rows = torch.nn.functional.pad(rows, (0, n - rows.shape[-1]))  # a negative width cuts
    return transform(rows, norm == "ortho").movedim(-1, axis) if rows.shape[-1] else rows.movedim(-1, axis)


def _forward(x: Tensor, is_orthogonal: bool) -> Tensor:
    spectrum = torch.fft.fft(torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], -1))
    result = 2 * (spectrum * _turns(x, -1)).real
    return result / _lengths(x) if is_orthogonal else result


def _inverse(x: Tensor, is_orthogonal: bool) -> Tensor:
    n = x.shape[-1]
    x = x * _lengths(x) if is_orthogonal else x
    reversed_ = torch.cat([torch.zeros_like(x[..., :1]), x[..., 1:].flip(-1)], -1)
    folded = torch.fft.ifft(torch.complex(x, -reversed_) * _turns(x, 1) / 2).real
    even, odd = folded[..., : (n + 1) // 2], folded[..., (n + 1) // 2 :].flip(-1)
    pairs = torch.stack([even, torch.nn.functional.pad(odd, (0, even.shape[-1] - odd.shape[-1]))], -1)
    return pairs.flatten(-2)[..., :n]


def _turns(x: Tensor, sign: int) -> Tensor:
    """Return exp(± i π k / (2N))."""
    n = x.shape[-1]
    angles = torch.arange(n, dtype=x.dtype, device=x.device) * (sign * math.pi / (2 * n))
    return torch.complex(angles.cos(), angles.sin())


def _lengths(x: Tensor) -> Tensor:
    """Return the lengths of the rows of the transform as a matrix."""
    n = x.shape[-1]
    first = torch.arange(n, device=x.device) == 0
    return torch.where(first, 2 * math.sqrt(n), math.sqrt(2 * n)).to(x.dtype)


def __dir__() -> list[str]:
    return __all__
