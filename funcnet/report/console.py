"""Where a report goes: the terminal, a pipe or file as plain text, an SVG picture; and the progress bar."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.progress import Progress
from rich.progress import track as rich_track
from rich.segment import Segment, Segments
from rich.text import Text

from funcnet.report.plot import ASCII

Item = TypeVar("Item")

_WIDTH = 80
_WORD = re.compile(r" +|[\u2800-\u28ff]|[^ \u2800-\u28ff]+")  # braille one by one: fonts often make it wider
_FONTS = "'DejaVu Sans Mono', Menlo, Consolas, monospace"


def show(*renderables: RenderableType, svg: str | Path | None = None) -> None:
    """Print what the builders of this module return, with a blank line between, and write it as a picture if asked.

    A terminal gets colours (none if the variable NO_COLOR is set) and its full width. Anything else gets plain text,
    80 columns wide or as wide as the variable COLUMNS says.

    Args:
        renderables: Tables, curves, maps, plain strings, or anything that rich can print.
        svg: The file for the picture, 80 columns wide; missing folders are made, and an older file is replaced whole.
    Example:
        >>> fn.report.show("XOR", fn.report.table(["step", "loss"], [[0, 0.75], [10_000, 0.001]]))
        XOR
        <BLANKLINE>
          step    loss
        ──────────────
             0    0.75
        10,000   0.001
    """
    parts = _spaced(renderables)
    console = _console()
    with console.capture() as capture:
        console.print(parts)
    text = re.sub(r" +\n", "\n", capture.get())
    if console.options.ascii_only:  # rich's name for every encoding but UTF-8
        text = text.translate(ASCII).encode(console.encoding, "replace").decode(console.encoding)
    sys.stdout.write(text)  # which a running progress bar replaces, so that the text lands above it
    if svg is not None:
        _write(Path(svg), _picture(parts, title=Path(svg).stem))


def track(iterable: Iterable[Item], description: str = "", *, total: int | None = None) -> Iterator[Item]:
    """Yield the items of an iterable, with a progress bar below what is printed meanwhile; no bar outside a terminal.

    Args:
        iterable: What to go through, such as `range(10_001)`.
        description: Stands before the bar.
        total: The number of items, for an iterable without a length.
    Example:
        >>> sum(fn.report.track(range(10), "training"))
        45
    """
    console = _console()
    if not console.is_interactive:
        return iter(iterable)
    return iter(rich_track(iterable, escape(description), total=total, console=console))


@contextmanager
def progress(description: str = "") -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar while the block runs; what it yields moves the bar, as callback(done, total).

    Args:
        description: Stands before the bar. Outside a terminal there is no bar.
    Example:
        >>> with fn.report.progress("training") as callback:
        ...     run = fn.jit(lambda x: fn.scan(lambda c, _: (c + 1, None), x, length=100)[0], progress=callback)
        ...     run(torch.tensor(0))
        tensor(100)
    """
    console = _console()
    if not console.is_interactive:
        yield lambda done, total: None
        return
    with Progress(console=console) as bar:
        task = bar.add_task(escape(description), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console() -> Console:
    """A console for standard output as it is now. Rich would give a pipe the width of the terminal behind it."""
    console = Console()
    if console.width < 1 or not (console.is_terminal or os.environ.get("COLUMNS", "").isdigit()):
        console.width = _WIDTH
    return console


def _spaced(renderables: tuple[RenderableType, ...]) -> Group:
    """Put a blank line between parts. A str goes in as Text: rich would read brackets in it as markup."""
    parts = [Text(part) if isinstance(part, str) else part for part in renderables]
    return Group(*(item for i, part in enumerate(parts) for item in ([Text(""), part] if i else [part])))


def _picture(parts: Group, title: str) -> str:
    """Export as SVG without rich's web fonts, and word by word: some viewers drop the spaces a text begins with."""
    console = Console(
        file=io.StringIO(), record=True, width=_WIDTH, force_terminal=True, force_jupyter=False, legacy_windows=False
    )
    segments = [segment for line in console.render_lines(parts, new_lines=True) for segment in line]
    words = [Segment(word, style) for text, style, _ in segments for word in _WORD.findall(text)]
    console.print(Segments(words))
    console.print()  # without an empty line below the descenders of the last one are cut off
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", _FONTS)


def _write(path: Path, text: str) -> None:
    """Write under a temporary name and rename, so that nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
