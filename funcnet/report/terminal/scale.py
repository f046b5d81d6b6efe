"""Axes in a terminal: the values at the middles of equal cells, with ticks at whole cells."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import torch
from torch import Tensor

from funcnet.report.axes import Axis

_ROUNDING = 1e-6  # cells, so that a value and its float32 have one place


@dataclass(frozen=True)
class Scale:
    """An axis in cells. On a logarithmic axis, start and unit are exponents of 10."""

    start: float  # at the middle of the first cell
    unit: float  # per cell
    cells: int
    ticks: dict[int, str]  # by their cell
    log: bool = False

    def locate(self, values: Tensor, parts: int) -> Tensor:
        """Return the place of each value, counted in cells of `parts` equal parts, as float64; NaN stays NaN."""
        values = values.log10() if self.log else values
        places = ((values - self.start) / self.unit + 0.5) * parts
        return (places + _ROUNDING * parts).floor().clamp(0, parts * self.cells - 1)


def snapped(axis: Axis, size: int, most: int, *, share: float) -> Scale:
    """Return a scale of at most `size` cells, from the first value to the last, with ticks at equal distances.

    Each step between two of the about `most` ticks is a whole number of cells. The scale covers
    that share of the cells or more, if one with such ticks does; the one with most ticks is taken.
    """
    low, high = (math.log10(axis.low), math.log10(axis.high)) if axis.log else (axis.low, axis.high)
    if axis.log and high - low < 2:
        return _by_eye(low, high, size, most)
    found = [*_fits(low, high, size, most, log=axis.log)]
    if not found:
        return _exact(low, high, size, axis.log)
    wide = [fit for fit in found if fit.cells >= share * size] or [max(found, key=lambda fit: fit.cells)]
    return max(wide, key=lambda fit: (len(fit.ticks), fit.cells))


def divided(axis: Axis, size: int, most: int) -> Scale:
    """Return a scale of exactly `size` cells whose outer edges are the ends of a linear axis."""
    unit = (axis.high - axis.low) / size
    scale = Scale(axis.low + unit / 2, unit, size, {})
    span = axis.high - axis.low
    for step in chain(_steps(span / most, span), _steps(span / most / 2, span)):
        values = _multiples(step, axis.low, axis.high)
        cells = [int(cell) for cell in scale.locate(torch.tensor(values, dtype=torch.float64, device="cpu"), 1)]
        if cells and len({b - a for a, b in pairwise(cells)}) <= 1:
            return Scale(scale.start, unit, size, dict(zip(cells, _labels(values, step), strict=True)))
    return scale


def _fits(low: float, high: float, size: int, most: int, log: bool) -> Iterator[Scale]:
    """Yield scales with two or more ticks that are a whole number of cells apart."""
    for step in _steps(max((high - low) / (2 * most), 1.0 if log else 0.0), 2 * (high - low)):
        between = min(size, math.floor((size - 1) * step / (high - low) + 1e-9))
        while between and _ends(low, high, step / between)[1] - _ends(low, high, step / between)[0] >= size:
            between -= 1
        if between:
            unit = step / between
            first, last = _ends(low, high, unit)
            ticks = _multiples(step, first * unit, last * unit)
            places = [round(tick / step) * between - first for tick in ticks]
            texts = [_power(round(tick)) for tick in ticks] if log else _labels(ticks, step)
            if 2 <= len(ticks) <= most + 2:
                yield Scale(first * unit, unit, last - first + 1, dict(zip(places, texts, strict=True)), log)


def _power(exponent: int) -> str:
    """Return a power of ten as text, even beyond the range of floats."""
    return f"{10.0**exponent:,g}" if -5 < exponent < 6 else f"1e{exponent:+03d}"


def _ends(low: float, high: float, unit: float) -> tuple[int, int]:
    """Return the numbers of the first and the last cell."""
    return math.floor(low / unit + 0.5 + _ROUNDING), math.floor(high / unit + 0.5 + _ROUNDING)


def _by_eye(low: float, high: float, size: int, most: int) -> Scale:
    """Return a logarithmic scale of less than two decades, with ticks at 1, 2 and 5 times powers of ten or others."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    exact = [m * 10.0**k for k in powers for m in (1, 2, 5) if low - 1e-9 <= k + math.log10(m) <= high + 1e-9]
    step = next(_steps((10**high - 10**low) / most, math.inf))
    ticks = dict(zip(exact, (f"{value:,g}" for value in exact), strict=True))
    if len(exact) < 3:
        values = _multiples(step, 10**low, 10**high)
        ticks = dict(zip(values, _labels(values, step), strict=True))
    scale = Scale(low, (high - low) / max(1, size - 1), size, {}, log=True)
    cells = scale.locate(torch.tensor([*ticks], dtype=torch.float64, device="cpu"), 1).int().tolist()
    return Scale(scale.start, scale.unit, size, dict(zip(cells, ticks.values(), strict=True)), log=True)


def _exact(low: float, high: float, size: int, log: bool) -> Scale:
    """Return a scale from end to end for an axis with few cells, with a tick at its first."""
    text = f"{10.0**low:.3g}" if log else f"{low:.3g}"
    return Scale(low, (high - low) / max(1, size - 1), size, {0: text}, log)


def _steps(least: float, largest: float) -> Iterator[float]:
    """Yield 1, 2 and 5 times powers of ten, from `least` on."""
    power = 10.0 ** math.floor(math.log10(least))
    while power <= largest:
        yield from (m * power for m in (1, 2, 5) if least * (1 - 1e-9) <= m * power <= largest)
        power *= 10


def _multiples(step: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)  # includes ends such as 0.6 / 0.2
    return [k * step for k in range(first, last + 1)]


def _labels(values: list[float], step: float) -> list[str]:
    """Return the numbers of ticks with as many digits as the step between them needs."""
    largest, place = max(map(abs, values), default=0.0), math.floor(math.log10(step) + 1e-9)
    if largest >= 1e7 or step < 1e-7:
        digits = max(0, math.floor(math.log10(max(largest, step))) - place)
        return [f"{value:.{digits}e}" for value in values]
    return [f"{value:,.{max(0, -place)}f}" for value in values]
