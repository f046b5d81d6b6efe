"""Decision maps drawn in the terminal, as shades with the points and lines on top."""

import math
from collections.abc import Iterator
from functools import partial

from rich.color import Color
from rich.style import Style
from rich.text import Text
from torch import Tensor

from funcnet.report.axes import Axis
from funcnet.report.pictures import Map
from funcnet.report.terminal.plot import Canvas, Cell, Dot, Plot
from funcnet.report.terminal.scale import Scale, divided

_SHADES = " ·▒▓"  # one per quarter of [0, 1], so that 1/2 is a boundary between two of them
_LOW, _MIDDLE, _HIGH = (
    (33, 102, 172),
    (60, 60, 66),
    (200, 110, 20),
)  # blue to orange, distinguishable with colour blindness
_COLOURS = 12
_POINT = Style(color="#000000", bgcolor="#ffffff", bold=True)
_LINE = Style(color="#ffffff", bold=True)


def plot(field: Map) -> Plot:
    """Return the plot of a map; a row is twice as high as a column is wide."""
    return Plot(
        scales=partial(_scales, field),
        paint=partial(_paint, field),
        legend=partial(_legend, field),
        title=field.title,
        x_label=field.x_label,
        y_label=field.y_label,
    )


def _scales(field: Map, columns: int) -> tuple[Scale, Scale]:
    height = len(field.values)
    columns = min(columns, 2 * height)
    return divided(field.x, columns, max(2, columns // 12)), divided(field.y, height, max(2, height // 3))


def _paint(field: Map, canvas: Canvas, x: Scale, y: Scale) -> None:
    """Shade the cells, then draw the lines and the points."""
    _fill(field.values, canvas)
    for line in field.lines:
        canvas.dot(_straight(line, field.x, field.y, canvas), _LINE)
    columns = x.locate(field.points[:, 0], 1).tolist()
    rows = y.locate(field.points[:, 1], 1).tolist()
    for column, row, mark, seen in zip(columns, rows, field.marks, field.inside().tolist(), strict=True):
        if seen:
            canvas.put(int(column), canvas.rows - 1 - int(row), mark, _POINT)


def _fill(values: Tensor, canvas: Canvas) -> None:
    """Shade the cells; a canvas narrower than the grid of values shows only some of its columns."""
    step = values.shape[1] / canvas.columns
    for row, entries in enumerate(values.tolist()):
        for column in range(canvas.columns):
            canvas.put(column, row, *_shade(entries[int((column + 0.5) * step)], canvas.smooth))


def _shade(value: float, smooth: bool) -> Cell:
    """Return the cell of a value; with few colours there is one per quarter of [0, 1], that of the legend."""
    if math.isnan(value):
        return Cell("?", _POINT)
    quarter = min(int(value * 4), 3)
    level = min(int(value * _COLOURS), _COLOURS - 1) / (_COLOURS - 1) if smooth else quarter / 3
    return Cell(_SHADES[quarter], Style(color=_mix(level, lighter=24), bgcolor=_mix(level)))


def _mix(level: float, lighter: int = 0) -> Color:
    """Interpolate from _LOW through _MIDDLE to _HIGH as the level goes from 0 to 1."""
    start, end, way = (_LOW, _MIDDLE, 2 * level) if level < 0.5 else (_MIDDLE, _HIGH, 2 * level - 1)
    return Color.from_rgb(*(min(255, a + (b - a) * way + lighter) for a, b in zip(start, end, strict=True)))


def _straight(line: tuple[float, float, float], x: Axis, y: Axis, canvas: Canvas) -> Iterator[Dot]:
    """Yield the dots of w·x + b = 0: one per column for a flat line, one per row for a steep one.

    With (u, v) the centre of a dot from the bottom left, the line is a u + c v + k = 0.
    """
    (w1, w2, b), width, height = line, 2 * canvas.columns, 4 * canvas.rows
    a, c = w1 * (x.high - x.low) / width, w2 * (y.high - y.low) / height
    k = b + w1 * x.low + w2 * y.low
    crossings: Iterator[tuple[float, float]]
    if a == c == 0:
        return
    if abs(c) >= abs(a):
        crossings = ((i, -(k + a * (i + 0.5)) / c) for i in range(width))
    else:
        crossings = ((-(k + c * (j + 0.5)) / a, j) for j in range(height))
    for u, v in crossings:
        if 0 <= u < width and 0 <= v < height:
            yield int(u), height - 1 - int(v)


def _legend(field: Map, smooth: bool) -> list[Text]:
    name, ends = field.quantity, ("< 0.25", "< 0.5", "< 0.75", "<= 1")
    swatches = [_shade((i + 0.5) / 4, smooth) for i in range(4)]
    shades = [Text.assemble((mark, style), f" {name} {end}") for (mark, style), end in zip(swatches, ends, strict=True)]
    unknown = [Text(f"? {name} is NaN")] if field.values.isnan().any() else []
    lines = [Text("⠒ w·x + b = 0")] if field.lines else []
    return [*shades, *unknown, *lines, *([Text(note)] if (note := field.outside()) else [])]
