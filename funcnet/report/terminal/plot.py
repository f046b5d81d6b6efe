"""The frame of every plot: a grid of character cells with two labelled axes, as wide as the terminal allows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from funcnet.report.axes import Axis

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


def _text(line: list[Cell], options: ConsoleOptions) -> Text:
    """Join cells into text, with one span per run of equal style."""
    runs = [(style, "".join(cell.text for cell in run)) for style, run in groupby(line, key=lambda cell: cell.style)]
    return Text.assemble(*((_encoded(text, options), style) for style, text in runs), no_wrap=True, overflow="crop")


def _encoded(text: str, options: ConsoleOptions) -> str:
    """Replace characters by ASCII ones if the console supports only ASCII."""
    return text.translate(ASCII) if options.ascii_only else text
