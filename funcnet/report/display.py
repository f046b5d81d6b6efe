"""The results of the builders of reports: printed by rich in a terminal, displayed as figures in a notebook."""

import html
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from funcnet.report import figures, terminal
from funcnet.report.pictures import Curves, Map

Bundle = dict[str, Any]  # from MIME types to contents

_BRAILLE = re.compile("[\u2800-\u28ff]")  # fonts often make it wider than other characters


class Displayed:
    """Something with `__rich_console__`; a notebook shows its HTML or SVG, too."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        raise NotImplementedError

    def rich_contents(self) -> Bundle:
        """Return the contents besides plain text."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return plain(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return {"text/plain": repr(self), **self.rich_contents()}


@dataclass(frozen=True, repr=False)
class Picture(Displayed):
    """Curves or a map, with a painter for the terminal and one for figures."""

    description: Curves | Map

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield terminal.plot(self.description)

    def rich_contents(self) -> Bundle:
        """Return the figure as SVG, or what the terminal shows as HTML if matplotlib is missing."""
        if figures.available():
            return {"image/svg+xml": figures.render([self.description], "svg").decode()}
        return {"text/html": terminal_html(self)}


@dataclass(frozen=True, repr=False)
class Table(Displayed):
    """Rows of text under headers, with a title and a row of totals if they are not empty."""

    columns: list[str]
    rows: list[list[str]]
    title: str
    total: list[str]
    right: set[int]  # columns aligned to the right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield Text(self.title, style="bold")
        words = (max(map(len, " ".join(column).split()), default=0) for column in zip(*self._all(), strict=True))
        if sum(words) + 3 * (len(self.columns) - 1) <= options.max_width:
            yield self._built()
        else:
            yield from self._records()

    def _all(self) -> list[list[str]]:
        return [self.columns, *self.rows, *([self.total] if self.total else [])]

    def _records(self) -> Iterator[Text]:
        """Yield a line per cell, "header: cell", where a table would break words."""
        for row in self._all()[1:]:
            cells = [(name, cell) for name, cell in zip(self.columns, row, strict=True) if cell]
            yield Text("\n".join(f"{name}: {cell}" if name else cell for name, cell in cells))
            yield Text("")

    def _built(self) -> RichTable:
        """Build rich's table. Strings become Text, because rich would read brackets in a str as markup."""
        built = RichTable(box=box.SIMPLE, show_edge=False, pad_edge=False, show_footer=bool(self.total))
        for i, (head, foot) in enumerate(zip(self.columns, self.total or self.columns, strict=True)):
            justify: JustifyMethod = "right" if i in self.right else "left"
            built.add_column(Text(head), Text(foot), justify=justify, overflow="fold")
        for row in self.rows:
            built.add_row(*map(Text, row))
        return built

    def rich_contents(self) -> Bundle:
        """Return the table as HTML, in the fonts and colours of the notebook."""
        caption = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        rows = "".join(self._row("td", row) for row in self.rows)
        foot = f"<tfoot>{self._row('th', self.total)}</tfoot>" if self.total else ""
        head = f"<thead>{self._row('th', self.columns)}</thead>"
        return {"text/html": f"<table>{caption}{head}<tbody>{rows}</tbody>{foot}</table>"}

    def _row(self, tag: str, cells: list[str]) -> str:
        sides = ("right" if i in self.right else "left" for i in range(len(cells)))
        pairs = zip(sides, cells, strict=True)
        inside = (f'<{tag} style="text-align: {side}">{html.escape(cell)}</{tag}>' for side, cell in pairs)
        return f"<tr>{''.join(inside)}</tr>"


def plain(renderable: RenderableType, width: int = 80) -> str:
    """Return the text of a renderable without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_jupyter=False, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def terminal_html(renderable: RenderableType) -> str:
    """Return the HTML of a renderable as in a terminal with all colours."""
    console = Console(
        file=io.StringIO(),
        width=80,
        record=True,
        color_system="truecolor",
        force_terminal=True,
        force_jupyter=False,
        legacy_windows=False,
    )
    console.print(renderable)
    text = console.export_html(inline_styles=True, code_format='<pre style="line-height: 1.2">{code}</pre>')
    return _BRAILLE.sub(r'<span style="display: inline-block; width: 1ch">\g<0></span>', text)
