"""Curves over steps, such as losses."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from funcnet.report.axes import Axis
from funcnet.report.display import Picture
from funcnet.report.inputs import tensor
from funcnet.report.pictures import Curves, Line
from funcnet.report.terminal.plot import MARKERS

Values = Tensor | Sequence[float]

_LARGEST, _SMALLEST = 1e300, 1e-300  # the range of magnitudes on axes; others count as infinite or 0


def curve(
    series: Mapping[str, Values],
    *,
    x: Values | None = None,
    log_x: bool = False,
    log_y: bool = False,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: int | None = None,
    height: int = 16,
) -> Picture:
    """Draw one or more series as lines over a common axis, each with its own colour and marker.

    Values that are NaN or infinite, and on a logarithmic axis those at or below 0, leave gaps; the legend counts them.

    Args:
        series: A dict from names to values of shape (n,); lengths may differ.
        x: The horizontal positions, shape (n,), non-decreasing, common to all series; 0, 1, 2, … by default.
        log_x, log_y: Whether the horizontal and the vertical axis are logarithmic; log_x needs positive `x`.
        title, x_label, y_label: Text above the drawing, below it, and at the vertical axis, with its unit as in
            "cost (nats)".
        width: Maximum number of columns; by default that of the terminal.
        height: Maximum number of rows.
    Raises:
        ValueError: There are no series, one is empty or has a shape other than (n,), or x does not fit
            or is not positive on a logarithmic axis.
    Example:
        >>> fn.report.show(fn.report.curve({"loss": [4, 1, 0.2, 0]}, x_label="step", width=24, height=4))
        4 ┤⠐⠢⢄⡀
        2 ┤   ⠈⠉⠒⠤⣀⣀⡀
        0 ┤         ⠈●⠉⠉⠒⠒⠒⠒⠒⠒⠒⠒⠒
          └┴──────┴──────┴──────┴
           0      1      2      3
                    step
        ● loss
    """
    if log_x and x is None:
        raise ValueError("curve: log_x: expected x with positive positions, got none; by default x starts at 0.")
    if not series:
        raise ValueError('curve: expected at least one series, got none. Pass {"loss": losses}.')
    if len(series) > len(MARKERS):
        raise ValueError(f"curve: expected at most {len(MARKERS)} series, one for each marker, got {len(series)}.")
    positions = None if x is None else _positions(x, log_x)
    lines = [_line(name, values, positions, log_y) for name, values in series.items()]
    spans = _span([line.x for line in lines], log_x), _span([line.y for line in lines], log_y, origin=True)
    return Picture(Curves(lines, *spans, title, x_label, y_label, width, height))


def _line(name: str, values: Values, positions: Tensor | None, log_y: bool) -> Line:
    y = _vector(f'series "{name}"', values)
    if len(y) == 0:
        raise ValueError(f'curve: series "{name}" is empty, expected at least one value.')
    if positions is not None and len(positions) != len(y):
        raise ValueError(f'curve: series "{name}" has {len(y)} values and x has {len(positions)}, expected as many.')
    drawable = (y.abs() <= _LARGEST) & ((y >= _SMALLEST) | (not log_y))
    x = torch.arange(len(y), dtype=torch.float64, device="cpu") if positions is None else positions
    return Line(name, x, y.where(drawable, math.nan))


def _positions(x: Values, log_x: bool) -> Tensor:
    positions = _vector("x", x)
    if log_x and (positions < _SMALLEST).any():
        raise ValueError(f"curve: x: expected positive values on a logarithmic axis, got {positions.min().item():g}.")
    if not (positions.abs() <= _LARGEST).all() or (positions.diff() < 0).any():
        raise ValueError("curve: x: expected finite, non-decreasing values. Sort the points by x.")
    return positions


def _vector(what: str, values: Values) -> Tensor:
    vector = tensor(f"curve: {what}", values).cpu().double()
    if vector.ndim != 1:
        raise ValueError(
            f"curve: {what}: expected shape (n,), got {tuple(vector.shape)}. Pass each row under its own name."
        )
    return vector


def _span(values: list[Tensor], log: bool, *, origin: bool = False) -> Axis:
    """Return the range of the values, widened if it is a single value; with `origin` from 0 if the lowest is close."""
    drawn = torch.cat([column[column.isfinite()] for column in values])
    if not len(drawn):
        return Axis(0.1, 1.0, log)
    low, high = drawn.min().item(), drawn.max().item()
    low = 0.0 if origin and 0 < low < high / 10 and not log else low
    largest = max(abs(low), abs(high))
    if high - low > 1e-12 * largest and largest > _SMALLEST:
        return Axis(low, high, log)
    if log:
        return Axis(low / 2, high * 2, log)
    margin = largest / 10 if largest > _SMALLEST else 1.0
    return Axis(low - margin, high + margin)
