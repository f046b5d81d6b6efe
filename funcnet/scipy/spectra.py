"""Spectra of segments of a signal: jax.scipy.signal.stft, its inverse, and the spectral densities.

Source:
    Welch (1967), The use of fast Fourier transform for the estimation of power spectra,
    https://doi.org/10.1109/TAU.1967.1161901
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import one_axis
from funcnet.numpy.padding import pad
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.numpy.quantiles import median
from funcnet.scipy.segments import segments

__all__ = ["csd", "detrend", "istft", "stft", "welch"]

_EXTENSIONS = {"zeros": "constant", "constant": "edge", "even": "reflect", "odd": "odd"}


def stft(
    x: ArrayLike,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
) -> tuple[Tensor, Tensor, Tensor]:
    """The Fourier transforms of overlapping segments of a signal.

    Args:
        x: The signal.
        fs: Samples per unit of time.
        window: "hann", "hamming", "blackman", "bartlett", "boxcar", or an array of nperseg weights.
        nperseg, noverlap: The length of segments, and how many samples neighbours share, by default half.
        nfft: The length of the transforms, by default nperseg; segments are filled with zeros.
        detrend: False, "constant", "linear" or a function, which is applied to each segment.
        return_onesided: Whether to leave out the negative frequencies of a real signal.
        boundary: The extension by half a segment on both sides: "zeros", "constant", "even", "odd", or None.
        padded: Whether zeros at the end complete the last segment.
        axis: The axis of time, which that of the frequencies replaces.
    Returns:
        (frequencies, times of the segments, transforms with the segments along the last axis).
    Raises:
        ValueError: An option is unknown, or noverlap < nperseg <= nfft does not hold.
    Example:
        >>> frequencies, times, z = fn.scipy.signal.stft(torch.ones(8), nperseg=4)
        >>> z.shape, frequencies.tolist()
        (torch.Size([3, 5]), [0.0, 0.25, 0.5])
    """
    signal, axis = _last("stft", x, axis)
    parts = segments("stft", signal, fs, window, nperseg, noverlap, nfft, return_onesided)
    half = len(parts.window) // 2 if boundary is not None else 0
    if boundary not in (None, *_EXTENSIONS):
        raise ValueError(f"stft: expected boundary to be None or one of {[*_EXTENSIONS]}, got {boundary!r}.")
    if boundary is not None:
        signal = _extended(signal, half, half, _EXTENSIONS[boundary])
    if padded:
        missing = (len(parts.window) - signal.shape[-1]) % parts.step % len(parts.window)
        signal = _extended(signal, 0, missing, "constant")
    spectra = parts.spectra(signal, _detrending("stft", detrend)) / parts.window.sum()
    times = parts.times(signal.shape[-1], len(parts.window) / 2 if boundary is None else 0)
    return parts.frequencies(), times, spectra.movedim(-2, axis - 1)


def _last(name: str, x: ArrayLike, axis: int) -> tuple[Tensor, int]:
    """Move an axis to the end, and count it from there."""
    signal = inexact(as_tensor(name, x))
    axis = one_axis(name, axis, signal.ndim)
    return signal.movedim(axis, -1), axis - signal.ndim


def _extended(x: Tensor, before: int, after: int, mode: str) -> Tensor:
    widths = [(0, 0)] * (x.ndim - 1) + [(before, after)]
    if mode == "odd":  # mirrored at the outermost point
        return 2 * pad(x, widths, "edge") - pad(x, widths, "reflect")
    return pad(x, widths, mode) if before or after else x


def _detrending(name: str, kind: Any) -> Callable[[Tensor], Tensor]:
    if callable(kind):
        return kind
    return (lambda x: detrend(x, type=kind)) if kind else (lambda x: x)


def istft(
    Zxx: ArrayLike,  # noqa: N803
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
) -> tuple[Tensor, Tensor]:
    """The signal of which Zxx is the `stft`, by overlapping and adding.

    Args:
        Zxx: The transforms.
        fs: Samples per unit of time.
        window, nperseg, noverlap, nfft: Those of the transforms; nperseg is by default their even length.
        input_onesided: Whether the negative frequencies are left out.
        boundary: Whether to cut the extension by half a segment from both sides.
        time_axis, freq_axis: The axes of the segments and of the frequencies. The signal has one for both: time_axis.
    Returns:
        (times, signal).
    Example:
        >>> _, _, z = fn.scipy.signal.stft(torch.arange(8.0), nperseg=4)
        >>> fn.scipy.signal.istft(z)[1].round()
        tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    spectra = as_tensor("istft", Zxx).movedim((freq_axis, time_axis), (-2, -1))
    points = 2 * (spectra.shape[-2] - 1) if input_onesided else spectra.shape[-2]
    length = points if nperseg is None else nperseg
    points = nfft or (length if input_onesided and length == points + 1 else points)
    parts = segments("istft", spectra.real.new_zeros(length), fs, window, length, noverlap, points, input_onesided)
    pieces = (torch.fft.irfft if input_onesided else torch.fft.ifft)(spectra.mT, points)[..., :length]
    window_ = parts.window
    signal = _overlapped(pieces * (window_ * window_.sum()).to(pieces.dtype), parts.step)
    weight = _overlapped(window_.square().expand(pieces.shape[-2], length), parts.step)
    signal = signal / torch.where(weight > 1e-10, weight, 1.0)
    half = length // 2 if boundary else 0
    signal = signal[..., half : signal.shape[-1] - half]
    times = torch.arange(signal.shape[-1], dtype=window_.dtype, device=window_.device) / fs
    time, frequency = (one_axis("istft", axis, spectra.ndim) for axis in (time_axis, freq_axis))
    return times, signal.movedim(-1, time - (frequency < time))


def _overlapped(pieces: Tensor, step: int) -> Tensor:
    """Add pieces (..., count, length) at multiples of a step."""
    count, length = pieces.shape[-2:]
    total = pieces.new_zeros((*pieces.shape[:-2], length + (count - 1) * step))
    places = torch.arange(count, device=pieces.device)[:, None] * step + torch.arange(length, device=pieces.device)
    return total.index_add(-1, places.flatten(), pieces.flatten(-2))


def csd(
    x: ArrayLike,
    y: ArrayLike | None,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Tensor, Tensor]:
    """The cross spectral density of two signals: the average over segments of conj(X) Y.

    Args:
        x, y: The signals; zeros at the end make the shorter one as long as the other. None for y
            is x, and gives real numbers.
        fs: Samples per unit of time.
        window: "hann", "hamming", "blackman", "bartlett", "boxcar", or an array of nperseg weights.
        nperseg: The length of segments, by default 256.
        noverlap: How many samples neighbours share, by default half.
        nfft: The length of the transforms, by default nperseg; segments are filled with zeros.
        detrend: False, "constant", "linear" or a function, which is applied to each segment.
        return_onesided: Whether to add the negative frequencies of a real signal to the positive ones.
        scaling: "density", per unit of frequency, or "spectrum".
        axis: The axis of time, which that of the frequencies replaces.
        average: "mean" or "median" of the segments.
    Returns:
        (frequencies, densities).
    Raises:
        ValueError: An option is unknown, or noverlap < nperseg <= nfft does not hold.
    Example:
        >>> x = torch.tensor([1.0, -1.0]).repeat(8)
        >>> frequencies, density = fn.scipy.signal.csd(x, -x, nperseg=4)
        >>> frequencies[density.abs().argmax()], density.real.min() < 0
        (tensor(0.5000), tensor(True))
    """
    if scaling not in ("density", "spectrum") or average not in ("mean", "median"):
        raise ValueError(f"csd: expected 'density' or 'spectrum', 'mean' or 'median', got {scaling!r}, {average!r}.")
    (first, axis), (second, _) = (_last("csd", each, axis) for each in floating("csd", x, x if y is None else y))
    length = max(first.shape[-1], second.shape[-1])
    first, second = (_extended(each, 0, length - each.shape[-1], "constant") for each in (first, second))
    parts = segments("csd", first, fs, window, nperseg, noverlap, nfft, return_onesided)
    one, other = (parts.spectra(each, _detrending("csd", detrend)) for each in (first, second))
    power = one.conj() * other / (fs * parts.window.square().sum() if scaling == "density" else parts.window.sum() ** 2)
    if parts.is_onesided:
        last = power.shape[-2] - (parts.nfft % 2 == 0)
        places = torch.arange(power.shape[-2], device=power.device)[:, None]
        power = torch.where((places > 0) & (places < last), 2 * power, power)
    averaged = (power.mean(-1) if average == "mean" else _middle(power)).movedim(-1, axis)
    return parts.frequencies(), averaged.real if y is None else averaged


def _middle(power: Tensor) -> Tensor:
    """Return the median of the segments over its expected value for noise of mean 1."""
    count = power.shape[-1]
    bias = 1 + sum(1 / (k + 1) - 1 / k for k in range(2, count, 2))
    return torch.complex(median(power.real, -1), median(power.imag, -1)) / bias


def welch(
    x: ArrayLike,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Tensor, Tensor]:
    """The power spectral density of a signal, with the arguments of `csd`.

    Example:
        >>> frequencies, power = fn.scipy.signal.welch(torch.tensor([1.0, -1.0]).repeat(8), nperseg=4)
        >>> frequencies[power.argmax()]
        tensor(0.5000)
    """
    options = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
    return csd(x, None, *options)


def detrend(
    data: ArrayLike, axis: int = -1, type: str = "linear", bp: int | Sequence[int] = 0, overwrite_data: object = None
) -> Tensor:
    """Subtract the mean, or the line of least squares, of each part of a signal.

    Args:
        data: The signal.
        axis: The axis of time.
        type: "linear" or "constant".
        bp: The places between parts that have lines of their own.
        overwrite_data: Changes nothing.
    Example:
        >>> fn.scipy.signal.detrend(torch.tensor([1.0, 3.0, 5.0])).round()
        tensor([0., 0., 0.])
    """
    if type not in ("linear", "constant"):
        raise ValueError(f"detrend: expected type to be 'linear' or 'constant', got {type!r}.")
    signal, axis = _last("detrend", data, axis)
    if type == "constant":
        return (signal - signal.mean(-1, keepdim=True)).movedim(-1, axis)
    ends = sorted({0, signal.shape[-1], *([bp] if isinstance(bp, int) else bp)})
    parts = [signal[..., start:end] for start, end in itertools.pairwise(ends)]
    return torch.cat([_without_line(part) for part in parts], -1).movedim(-1, axis)


def _without_line(x: Tensor) -> Tensor:
    n = x.shape[-1]
    time = torch.arange(n, dtype=x.real.dtype, device=x.device) - (n - 1) / 2
    slope = (x * time).sum(-1, keepdim=True) / (n * (n * n - 1) / 12 or 1)
    return x - x.mean(-1, keepdim=True) - slope * time
