"""Convolutions, correlations and spectra of tensors of any rank: jax.scipy.signal."""

from collections.abc import Sequence

import torch
from torch import Tensor

from funcnet.numpy.axes import one_axis
from funcnet.numpy.promotion import ArrayLike, as_tensor, conjugated, floating
from funcnet.scipy.spectra import csd, detrend, istft, stft, welch

__all__ = [
    "convolve", "convolve2d", "correlate", "correlate2d", "csd", "detrend", "fftconvolve", "istft", "stft", "welch",
]  # fmt: skip

_MODES = ("full", "same", "valid")


def convolve(
    in1: ArrayLike, in2: ArrayLike, mode: str = "full", method: str = "auto", precision: object = None
) -> Tensor:
    """The convolution of two tensors of the same rank along all axes.

    Args:
        in1, in2: The tensors.
        mode: "full"; "same" for the middle part of the size of in1; "valid" where the smaller is inside of the larger.
        method: "direct", "auto", or "fft" for `fftconvolve`.
        precision: Changes nothing.
    Example:
        >>> fn.scipy.signal.convolve(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, -1.0]))
        tensor([ 1.,  1.,  1., -3.])
    """
    if method == "fft":
        return fftconvolve(in1, in2, mode)
    if method not in ("auto", "direct"):
        raise ValueError(f"convolve: expected method to be 'auto', 'direct' or 'fft', got {method!r}.")
    x, y = _pair("convolve", in1, in2, mode)
    return _cropped(_full(x, y), x, y, mode, range(x.ndim))


def correlate(
    in1: ArrayLike, in2: ArrayLike, mode: str = "full", method: str = "auto", precision: object = None
) -> Tensor:
    """The correlation of two tensors of the same rank: the convolution with in2, reversed and conjugated.

    Example:
        >>> fn.scipy.signal.correlate(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, -1.0]), mode="valid")
        tensor([-1., -1.])
    """
    return convolve(in1, conjugated(as_tensor("correlate", in2)).flip(_axes(in2)), mode, method)


def convolve2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: float = 0,
    precision: object = None,
) -> Tensor:
    """The convolution of two matrices, with zeros outside of them.

    Example:
        >>> fn.scipy.signal.convolve2d(torch.eye(2), torch.tensor([[1.0, 2.0]]))
        tensor([[1., 2., 0.],
                [0., 1., 2.]])
    """
    _check_matrices("convolve2d", in1, in2, boundary, fillvalue)
    return convolve(in1, in2, mode)


def correlate2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: float = 0,
    precision: object = None,
) -> Tensor:
    """The correlation of two matrices, with zeros outside of them.

    Example:
        >>> fn.scipy.signal.correlate2d(torch.eye(2), torch.tensor([[1.0, 2.0]]))
        tensor([[2., 1., 0.],
                [0., 2., 1.]])
    """
    _check_matrices("correlate2d", in1, in2, boundary, fillvalue)
    if mode != "same":
        return correlate(in1, in2, mode)
    x, y = as_tensor("correlate2d", in1), conjugated(as_tensor("correlate2d", in2))
    return convolve(x.flip(0, 1), y, mode).flip(0, 1)  # as scipy aligns the middle parts of even sizes


def fftconvolve(in1: ArrayLike, in2: ArrayLike, mode: str = "full", axes: int | Sequence[int] | None = None) -> Tensor:
    """The convolution of two tensors along some axes by Fourier transforms; the other axes broadcast.

    Example:
        >>> fn.scipy.signal.fftconvolve(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, -1.0])).round()
        tensor([ 1.,  1.,  1., -3.])
    """
    x, y = _pair("fftconvolve", in1, in2, mode, axes)
    over = _chosen("fftconvolve", axes, x.ndim)
    sizes = [x.shape[axis] + y.shape[axis] - 1 for axis in over]
    if x.is_complex():
        full = torch.fft.ifftn(torch.fft.fftn(x, sizes, over) * torch.fft.fftn(y, sizes, over), sizes, over)
    else:
        full = torch.fft.irfftn(torch.fft.rfftn(x, sizes, over) * torch.fft.rfftn(y, sizes, over), sizes, over)
    return _cropped(full, x, y, mode, over)


def _pair(
    name: str, in1: ArrayLike, in2: ArrayLike, mode: str, axes: int | Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return both tensors; of those for "valid", the larger one first."""
    x, y = floating(name, in1, in2)
    if mode not in _MODES:
        raise ValueError(f"{name}: expected a mode among {_MODES}, got {mode!r}.")
    if x.ndim != y.ndim:
        raise ValueError(
            f"{name}: expected tensors of the same rank, got shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    over = _chosen(name, axes, x.ndim)
    if mode == "valid" and any(x.shape[axis] < y.shape[axis] for axis in over):
        x, y = y, x
        if any(x.shape[axis] < y.shape[axis] for axis in over):
            raise ValueError(
                f"{name}: expected one tensor to be at least as large as the other along these axes, got shapes "
                f"{tuple(x.shape)} and {tuple(y.shape)}."
            )
    return x, y


def _chosen(name: str, axes: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(ndim))
    return tuple(one_axis(name, axis, ndim) for axis in ([axes] if isinstance(axes, int) else axes))


def _full(x: Tensor, y: Tensor) -> Tensor:
    """Return the full convolution: directly for up to 3 axes, else by Fourier transforms."""
    convolution = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}.get(x.ndim)
    if convolution is None:
        return fftconvolve(x, y) if x.ndim else x * y
    padding = [size - 1 for size in y.shape]
    return convolution(x[None, None], y.flip(_axes(y))[None, None], padding=padding)[0, 0]


def _cropped(full: Tensor, x: Tensor, y: Tensor, mode: str, axes: Sequence[int]) -> Tensor:
    for axis in axes:
        size = x.shape[axis] - y.shape[axis] + 1 if mode == "valid" else x.shape[axis]
        if mode != "full":
            full = full.narrow(axis, (full.shape[axis] - size) // 2, size)
    return full


def _axes(x: ArrayLike) -> list[int]:
    return [*range(as_tensor("convolve", x).ndim)]


def _check_matrices(name: str, in1: ArrayLike, in2: ArrayLike, boundary: str, fillvalue: float) -> None:
    if len(_axes(in1)) != 2 or len(_axes(in2)) != 2:
        raise ValueError(f"{name}: expected two matrices, got tensors of {len(_axes(in1))} and {len(_axes(in2))} axes.")
    if boundary != "fill" or fillvalue != 0:
        raise NotImplementedError(f"{name}: expected boundary='fill' and fillvalue=0, got {boundary!r}, {fillvalue}.")


def __dir__() -> list[str]:
    return __all__
