"""The axes of pictures: the range of one direction, the places of values on it and its ticks."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """The range of one direction, low < high; on a logarithmic axis both are positive."""

    low: float
    high: float
    log: bool = False

    def locate(self, values: Tensor, size: int) -> Tensor:
        """Return the index of each value's part among `size` equal parts of the axis, as float64; NaN stays NaN."""
        ends = torch.tensor([self.low, self.high], dtype=torch.float64, device="cpu")
        if self.log:
            ends, values = ends.log(), values.log()
        parts = (values - ends[0]) / (ends[1] - ends[0]) * size
        return parts.floor().clamp(0, size - 1)

    def holds(self, values: Tensor) -> Tensor:
        """Tell which values are within the range of the axis."""
        return (values >= self.low) & (values <= self.high)

    def centres(self, size: int) -> Tensor:
        """Return the middles of `size` equal parts of a linear axis."""
        fractions = (torch.arange(size, dtype=torch.float64, device="cpu") + 0.5) / size
        return fractions * (self.high - self.low) + self.low

    def labels(self, size: int, most: int) -> dict[int, str]:
        """Label about `most` of `size` equal parts of the axis with the round values in them."""
        values = _log_ticks(self.low, self.high, most) if self.log else []
        ticks = {value: f"{value:g}" for value in values} or _linear_ticks(self.low, self.high, most)
        parts = self.locate(torch.tensor(list(ticks), dtype=torch.float64, device="cpu"), size).int().tolist()
        return dict(zip(parts, ticks.values(), strict=True))


def _linear_ticks(low: float, high: float, most: int) -> dict[float, str]:
    step = _round_up(high / most - low / most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)  # includes ends such as 0.6 / 0.2
    values = [k * step for k in range(first, last + 1)]
    largest, place = max(abs(low), abs(high)), math.floor(math.log10(step))
    if largest >= 1e7 or step < 1e-7:
        return {value: f"{value:.{max(0, math.floor(math.log10(largest)) - place)}e}" for value in values}
    return {value: f"{value:,.{max(0, -place)}f}" for value in values}


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten; with 1, 2 and 5 times these if the range has few; nothing if it has almost none."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = math.ceil((last - first) / most)
    for multiples in ((1,), (1, 2, 5)):
        values = [m * 10.0**k for k in range(first - first % stride, last + 1, stride) for m in multiples]
        if len(inside := [value for value in values if low <= value <= high]) >= 3:
            return inside
    return []


def _round_up(step: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))
