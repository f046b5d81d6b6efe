"""The frame of every plot: a grid of character cells with two labelled axes, as wide as the terminal allows."""

import math
import reprlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import torch
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text
from torch import Tensor

Dot = tuple[int, int]  # column and row, counted from the top left; a cell is 2 dots wide and 4 high

PLAIN = Style()
MARKERS = "●▲■◆○△□◇abcdefghijklmnopqrstuvwxyz"

_BRAILLE = 0x2800
_BRAILLE_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
ASCII = str.maketrans("●▲■◆○△□◇│┤└┘┌┐─┴·×▒▓", "O^#@0%&$||++++-+.x+#") | dict.fromkeys(
    range(_BRAILLE, _BRAILLE + 256), ord("*")
)


class Cell(NamedTuple):
    text: str
    style: Style = PLAIN


class Canvas:
    """A grid of cells that holds characters, and dots finer than a cell."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells = [[Cell(" ")] * columns for _ in range(rows)]

    def put(self, column: int, row: int, text: str, style: Style = PLAIN) -> None:
        """Overwrite one character; the background is kept unless the style has one."""
        self.cells[row][column] = Cell(text, self.cells[row][column].style + style)

    def dot(self, dots: Iterable[Dot], style: Style) -> None:
        """Set dots, in addition to those already set in their cells."""
        for x, y in dots:
            present = ord(self.cells[y // 4][x // 2].text)
            lit = present if _BRAILLE <= present < _BRAILLE + 256 else _BRAILLE
            self.put(x // 2, y // 4, chr(lit | _BRAILLE_BITS[x % 2][y % 4]), style)


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

    def labels(self, size: int, most: int) -> dict[int, str]:
        """Label about `most` of `size` equal parts of the axis with the round values in them."""
        values = _log_ticks(self.low, self.high, most) if self.log else []
        ticks = {value: f"{value:g}" for value in values} or _linear_ticks(self.low, self.high, most)
        parts = self.locate(torch.tensor(list(ticks), dtype=torch.float64, device="cpu"), size).int().tolist()
        return dict(zip(parts, ticks.values(), strict=True))


@dataclass(frozen=True)
class Plot:
    """A titled grid with axes and legend; `paint` draws on a canvas whose width is known only when it is printed."""

    x: Axis
    y: Axis
    paint: Callable[[Canvas], None]
    legend: list[Cell]
    height: int
    width: int | None = None  # maximum; None: that of the terminal
    title: str = ""
    x_label: str = ""
    y_label: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts = self.y.labels(self.height, most=max(2, self.height // 3))
        gutter = max(map(len, parts.values()), default=0)
        room = max(1, options.max_width - gutter - 2)
        canvas = Canvas(min(room, self.width or room), self.height)
        self.paint(canvas)
        if self.title:
            yield Text(self.title.center(gutter + 2 + canvas.columns), style="bold")
        if self.y_label:
            yield Text(self.y_label)
        for part, row in zip(reversed(range(self.height)), canvas.cells, strict=True):
            label = parts.get(part, "")
            yield _text([Cell(f"{label:>{gutter}} {'┤' if label else '│'}"), *row], options)
        yield from (_text([Cell(line)], options) for line in self._bottom(canvas.columns, gutter))
        if self.legend:
            entries = (Text(_encoded(entry.text, options), entry.style) for entry in self.legend)
            yield Columns(entries, padding=(0, 3))

    def _bottom(self, columns: int, gutter: int) -> Iterator[str]:
        """Yield the lines of the horizontal axis: ticks, numbers and name."""
        ticks = self.x.labels(columns, most=max(2, columns // 12))
        width = gutter + 2 + columns
        yield " " * (gutter + 1) + "└" + "".join("┴" if i in ticks else "─" for i in range(columns))
        line = ""
        for i, label in ticks.items():
            start = max(0, min(gutter + 2 + i - len(label) // 2, width - len(label)))
            line = f"{line:{start}}{label}" if start > len(line) or not line else line
        yield line
        if self.x_label:
            yield self.x_label.center(columns).rjust(width)


def tensor(where: str, values: Any) -> Tensor:
    """Detach a tensor, or convert a sequence of numbers or one-element tensors to a float64 tensor."""
    if isinstance(values, Tensor):
        return values.detach()
    try:
        numbers = [v.item() if isinstance(v, Tensor) and v.numel() == 1 else v for v in values]
        return torch.as_tensor(numbers, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{where}: expected numbers or a tensor, got {reprlib.repr(values)}.") from error


def _text(line: list[Cell], options: ConsoleOptions) -> Text:
    """Join cells into text, with one span per run of equal style."""
    runs = [(style, "".join(cell.text for cell in run)) for style, run in groupby(line, key=lambda cell: cell.style)]
    return Text.assemble(*((_encoded(text, options), style) for style, text in runs), no_wrap=True, overflow="crop")


def _encoded(text: str, options: ConsoleOptions) -> str:
    """Replace characters by ASCII ones if the console supports only ASCII."""
    return text.translate(ASCII) if options.ascii_only else text


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
