"""The frame of every plot: a grid of character cells with two labelled axes, as wide as the terminal allows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from funcnet.report.terminal.scale import Scale

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

    def __init__(self, columns: int, rows: int, *, smooth: bool = True) -> None:
        self.columns, self.rows, self.smooth = columns, rows, smooth  # smooth: the console has all colours
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
class Plot:
    """A titled grid with axes and legend; `paint` draws on a canvas whose width is known only when it is printed."""

    scales: Callable[[int], tuple[Scale, Scale]]  # from the columns at hand to the horizontal and vertical scale
    paint: Callable[[Canvas, Scale, Scale], None]
    legend: Callable[[bool], list[Text]]  # given whether the console has all colours
    title: str = ""
    x_label: str = ""
    y_label: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        gutter = max(map(len, self.scales(options.max_width)[1].ticks.values()), default=0)
        x, y = self.scales(max(1, options.max_width - gutter - 2))
        canvas = Canvas(x.cells, y.cells, smooth=console.color_system == "truecolor")
        self.paint(canvas, x, y)
        if self.title:
            yield Text(self.title.center(gutter + 2 + canvas.columns), style="bold")
        if self.y_label:
            yield Text(self.y_label)
        for place, row in zip(reversed(range(y.cells)), canvas.cells, strict=True):
            label = y.ticks.get(place, "")
            yield _text([Cell(f"{label:>{gutter}} {'┤' if label else '│'}"), *row], options)
        yield from (_text([Cell(line)], options) for line in self._bottom(x, gutter))
        if entries := self.legend(canvas.smooth):
            yield Columns([_encoded(entry, options) for entry in entries], padding=(0, 3))

    def _bottom(self, x: Scale, gutter: int) -> Iterator[str]:
        """Yield the lines of the horizontal axis: ticks, numbers and name."""
        width = gutter + 2 + x.cells
        yield " " * (gutter + 1) + "└" + "".join("┴" if i in x.ticks else "─" for i in range(x.cells))
        line = ""
        for i, label in x.ticks.items():
            start = max(0, min(gutter + 2 + i - len(label) // 2, width - len(label)))
            line = f"{line:{start}}{label}" if start > len(line) or not line else line
        yield line
        if self.x_label:
            yield self.x_label.center(x.cells).rjust(width)


def _text(line: list[Cell], options: ConsoleOptions) -> Text:
    """Join cells into text, with one span per run of equal style."""
    runs = [(style, "".join(cell.text for cell in run)) for style, run in groupby(line, key=lambda cell: cell.style)]
    return _encoded(Text.assemble(*((text, style) for style, text in runs), no_wrap=True, overflow="crop"), options)


def _encoded(text: Text, options: ConsoleOptions) -> Text:
    """Replace characters by ASCII ones if the console supports only ASCII."""
    if options.ascii_only:
        text.plain = text.plain.translate(ASCII)
    return text
