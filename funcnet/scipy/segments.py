"""The weighted segments of a signal whose transforms are its spectra."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.numpy.promotion import as_like

_WINDOWS: dict[str, Callable[..., Tensor]] = {
    "boxcar": lambda n, dtype: torch.ones(n, dtype=dtype),
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "bartlett": torch.bartlett_window,
}


class Segments(NamedTuple):
    window: Tensor  # (nperseg,)
    step: int
    nfft: int
    is_onesided: bool
    fs: float

    def spectra(self, x: Tensor, detrended: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the transforms (..., frequencies, segments) of the segments of the last axis."""
        windows = detrended(x.unfold(-1, len(self.window), self.step)) * self.window.to(x.dtype)
        transform = torch.fft.rfft if self.is_onesided else torch.fft.fft
        return transform(windows, self.nfft).mT

    def frequencies(self) -> Tensor:
        places = torch.fft.rfftfreq if self.is_onesided else torch.fft.fftfreq
        return places(self.nfft, 1 / self.fs, dtype=self.window.dtype, device=self.window.device)

    def times(self, length: int, start: float) -> Tensor:
        count = (length - len(self.window)) // self.step + 1
        places = torch.arange(count, dtype=self.window.dtype, device=self.window.device)
        return (places * self.step + start) / self.fs


def segments(
    name: str, x: Tensor, fs: float, window: Any, nperseg: int | None, noverlap: int | None, nfft: int | None, one: bool
) -> Segments:
    length = min(x.shape[-1], nperseg or 256) if isinstance(window, str) else nperseg
    weights = _weights(name, window, length, x)
    length = len(weights)
    overlap = length // 2 if noverlap is None else noverlap
    points = length if nfft is None else nfft
    if overlap >= length or points < length:
        raise ValueError(f"{name}: expected noverlap < nperseg <= nfft, got {overlap}, {length} and {points}.")
    return Segments(weights, length - overlap, points, one and not x.is_complex(), fs)


def _weights(name: str, window: Any, length: int | None, x: Tensor) -> Tensor:
    if isinstance(window, str):
        if window not in _WINDOWS:
            raise ValueError(f"{name}: expected window to be an array or one of {[*_WINDOWS]}, got {window!r}.")
        return _WINDOWS[window](length, dtype=x.real.dtype).to(x.device)
    weights = as_like(name, window, x.real)
    if weights.ndim != 1 or length not in (None, len(weights)):
        raise ValueError(
            f"{name}: expected a window of shape (nperseg,), got {tuple(weights.shape)}, nperseg={length}."
        )
    return weights
