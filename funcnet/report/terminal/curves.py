"""Curves drawn in the terminal, in braille dots."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from rich.style import Style
from rich.text import Text
from torch import Tensor

from funcnet.report.pictures import Curves, Line
from funcnet.report.terminal.plot import MARKERS, Canvas, Cell, Dot, Plot
from funcnet.report.terminal.scale import Scale, snapped

_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue")


def plot(curves: Curves) -> Plot:
    """Return the plot of curves: a colour and a marker per series."""
    markers = [Cell(MARKERS[i], Style(color=_COLOURS[i % len(_COLOURS)])) for i in range(len(curves.lines))]
    entries = zip(markers, curves.entries(), strict=True)
    legend = [Text(f"{marker.text} {entry}", marker.style) for marker, entry in entries]
    return Plot(
        scales=partial(_scales, curves),
        paint=partial(_paint, curves, markers),
        legend=lambda smooth: legend,
        title=curves.title,
        x_label=curves.x_label,
        y_label=curves.y_label,
    )


def _scales(curves: Curves, columns: int) -> tuple[Scale, Scale]:
    columns = min(columns, curves.width or columns)
    x = snapped(curves.x, columns, max(2, columns // 12), share=0.9)
    return x, snapped(curves.y, curves.height, max(2, curves.height // 3), share=0.75)


def _paint(curves: Curves, markers: list[Cell], canvas: Canvas, x: Scale, y: Scale) -> None:
    traces = [list(_trace(*_dots(line, x, y))) for line in curves.lines]
    for marker, trace in zip(markers, traces, strict=True):
        canvas.dot(trace, marker.style)
    for i, (marker, trace) in enumerate(zip(markers, traces, strict=True)):
        for column, row in _marked(trace, canvas.columns, offset=(i + 0.5) / len(markers)):
            canvas.put(column, row, *marker)


def _dots(line: Line, x: Scale, y: Scale) -> tuple[Tensor, Tensor]:
    """Return the columns and the rows of a line's points."""
    return x.locate(line.x, 2), 4 * y.cells - 1 - y.locate(line.y, 4)


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
    """Choose cells for markers along a trace: about one per 12 columns, offset between series; at least one.

    Near each wanted column, it is the cell that the line passes nearest to its middle, where the marker is.
    """
    rows: dict[int, list[int]] = {}
    for x, y in trace:
        rows.setdefault(x // 2, []).append(y)
    middles = {column: sorted(found)[len(found) // 2] for column, found in rows.items()}
    count = max(1, columns // 12)
    wanted = [int((k + offset) * columns / count) for k in range(count)]
    near = [[c for c in range(w - 1, w + 2) if c in middles] for w in wanted if w in middles] or [list(middles)[:1]]
    chosen = [min(places, key=lambda c: abs(middles[c] % 4 - 1.5)) for places in near if places]
    return [(column, middles[column] // 4) for column in chosen]
