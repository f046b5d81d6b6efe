"""Curves over steps, such as losses, drawn in braille dots."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from rich.console import RenderableType
from rich.style import Style
from torch import Tensor

from funcnet.report.plot import MARKERS, Axis, Canvas, Cell, Dot, Plot, tensor

Values = Tensor | Sequence[float]

_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue")
_LARGEST, _SMALLEST = 1e300, 1e-300  # the range of magnitudes on axes; others count as infinite or 0


class _Line(NamedTuple):
    name: str
    x: Tensor  # (n,) float64, non-decreasing
    y: Tensor  # (n,) float64, NaN where nothing can be drawn
    marker: Cell


def curve(
    series: Mapping[str, Values],
    *,
    x: Values | None = None,
    log_y: bool = False,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: int | None = None,
    height: int = 16,
) -> RenderableType:
    """Draw one or more series as lines over a common axis, each with its own colour and marker.

    Values that are NaN or infinite, and on a logarithmic axis those at or below 0, leave gaps; the legend counts them.

    Args:
        series: A dict from names to values of shape (n,); lengths may differ.
        x: The horizontal positions, shape (n,), non-decreasing, common to all series; 0, 1, 2, … by default.
        log_y: Whether the vertical axis is logarithmic.
        title, x_label, y_label: Text above the drawing, below it, and at the top of the vertical axis.
        width: Maximum number of columns; by default that of the terminal.
        height: Rows of the drawing.
    Raises:
        ValueError: There are no series, one is empty or has a shape other than (n,), or x does not fit.
    Example:
        >>> fn.report.show(fn.report.curve({"loss": [4, 1, 0.2, 0]}, x_label="step", width=24, height=4))
        4 ┤⠑⠢⣀
        2 ┤   ⠑⠤⡀
          │     ⠈●⠤⣀⡀
        0 ┤         ⠈⠉⠒⠒⠢⠤⣀⣀⣀●⣀⣀⣀⣀⣀
          └┴───────────────┴───────
           0               2
                     step
        ● loss
    """
    if not series:
        raise ValueError('curve: expected at least one series, got none. Pass {"loss": losses}.')
    if len(series) > len(MARKERS):
        raise ValueError(f"curve: expected at most {len(MARKERS)} series, one for each marker, got {len(series)}.")
    positions = None if x is None else _positions(x)
    lines = [_line(i, name, values, positions, log_y) for i, (name, values) in enumerate(series.items())]
    x_axis, y_axis = _span([line.x for line in lines]), _span([line.y for line in lines], log=log_y)
    return Plot(
        x=x_axis,
        y=y_axis,
        paint=partial(_paint, lines, x_axis, y_axis),
        legend=[_entry(line, log_y) for line in lines],
        height=height,
        width=width,
        title=title,
        x_label=x_label,
        y_label=y_label,
    )


def _line(index: int, name: str, values: Values, positions: Tensor | None, log_y: bool) -> _Line:
    y = _vector(f'series "{name}"', values)
    if len(y) == 0:
        raise ValueError(f'curve: series "{name}" is empty, expected at least one value.')
    if positions is not None and len(positions) != len(y):
        raise ValueError(f'curve: series "{name}" has {len(y)} values and x has {len(positions)}, expected as many.')
    drawable = (y.abs() <= _LARGEST) & ((y >= _SMALLEST) | (not log_y))
    x = torch.arange(len(y), dtype=torch.float64, device="cpu") if positions is None else positions
    marker = Cell(MARKERS[index], Style(color=_COLOURS[index % len(_COLOURS)]))
    return _Line(name, x, y.where(drawable, math.nan), marker)


def _positions(x: Values) -> Tensor:
    positions = _vector("x", x)
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


def _span(values: list[Tensor], *, log: bool = False) -> Axis:
    """Return the range of the values: widened if it is a single value; from 0 if all are positive, some close to 0."""
    drawn = torch.cat([column[column.isfinite()] for column in values])
    if not len(drawn):
        return Axis(0.1, 1.0, log)
    low, high = drawn.min().item(), drawn.max().item()
    low = 0.0 if 0 < low < high / 10 and not log else low
    largest = max(abs(low), abs(high))
    if high - low > 1e-12 * largest and largest > _SMALLEST:
        return Axis(low, high, log)
    if log:
        return Axis(low / 2, high * 2, log)
    margin = largest / 10 if largest > _SMALLEST else 1.0
    return Axis(low - margin, high + margin)


def _entry(line: _Line, log_y: bool) -> Cell:
    gaps = int(line.y.isnan().sum())
    reason = "NaN, infinite or not positive" if log_y else "NaN or infinite"
    note = f" ({gaps} of {len(line.y)} {reason})" if gaps else ""
    return Cell(f"{line.marker.text} {line.name}{note}", line.marker.style)


def _paint(lines: list[_Line], x: Axis, y: Axis, canvas: Canvas) -> None:
    traces = [list(_trace(*_dots(line, x, y, canvas))) for line in lines]
    for line, trace in zip(lines, traces, strict=True):
        canvas.dot(trace, line.marker.style)
    for i, (line, trace) in enumerate(zip(lines, traces, strict=True)):
        for column, row in _marked(trace, canvas.columns, offset=(i + 0.5) / len(lines)):
            canvas.put(column, row, *line.marker)


def _dots(line: _Line, x: Axis, y: Axis, canvas: Canvas) -> tuple[Tensor, Tensor]:
    size = 4 * canvas.rows
    return x.locate(line.x, 2 * canvas.columns), size - 1 - y.locate(line.y, size)


def _trace(columns: Tensor, rows: Tensor) -> Iterator[Dot]:
    """Fill each column between its lowest and highest row; join it to the previous column unless there is a gap.

    These are the dots of the line through all points, in one step per column regardless of the number of points.
    """
    before: Dot | None = None
    places, counts = torch.unique_consecutive(columns, return_counts=True)
    for column, met in zip(places.int().tolist(), torch.split(rows, counts.tolist()), strict=True):
        first, last = met[0].item(), met[-1].item()
        if before and math.isfinite(first):
            yield from _straight(before, (column, int(first)))
        if len(drawn := met[met.isfinite()]):
            yield from ((column, row) for row in range(int(drawn.min()), int(drawn.max()) + 1))
        before = (column, int(last)) if math.isfinite(last) else None


def _straight(start: Dot, end: Dot) -> Iterator[Dot]:
    (x, y), width, height = start, end[0] - start[0], end[1] - start[1]
    steps = max(abs(width), abs(height))
    return ((x + round(width * i / steps), y + round(height * i / steps)) for i in range(steps + 1))


def _marked(trace: list[Dot], columns: int, offset: float) -> list[tuple[int, int]]:
    """Choose cells for markers along a trace: one per 12 columns, offset between series; at least one."""
    rows: dict[int, list[int]] = {}
    for x, y in trace:
        rows.setdefault(x // 2, []).append(y // 4)
    count = max(1, columns // 12)
    wanted = [int((k + offset) * columns / count) for k in range(count)]
    chosen = [column for column in wanted if column in rows] or list(rows)[:1]
    return [(column, sorted(rows[column])[len(rows[column]) // 2]) for column in chosen]
