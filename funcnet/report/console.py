"""Output of reports to the terminal, as plain text to a pipe or file, or as an SVG picture; and the progress bar."""

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
    """Print the results of this package's builders, separated by blank lines, and optionally write them as a picture.

    Output to a terminal has its full width and colours, unless the environment variable NO_COLOR is set. Other output
    is plain text, 80 columns wide or as wide as the environment variable COLUMNS says.

    Args:
        renderables: Tables, curves, maps, plain strings, or anything that rich can print.
        svg: The file for the picture, 80 columns wide; missing folders are created, and an existing file is replaced
            atomically.
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
    sys.stdout.write(text)  # a running progress bar replaces sys.stdout, so that the text appears above it
    if svg is not None:
        _write(Path(svg), _picture(parts, title=Path(svg).stem))


def track(iterable: Iterable[Item], description: str = "", *, total: int | None = None) -> Iterator[Item]:
    """Yield the items of an iterable and show a progress bar below the other output; no bar outside a terminal.

    Args:
        iterable: The items, such as `range(10_001)`.
        description: The text in front of the bar.
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
    """Show a progress bar while the block runs, and yield callback(done, total), which updates it.

    Args:
        description: The text in front of the bar. Outside a terminal, no bar is shown.
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
    """Return a console for the present standard output. By itself, rich would use the terminal's width for a pipe."""
    console = Console()
    if console.width < 1 or not (console.is_terminal or os.environ.get("COLUMNS", "").isdigit()):
        console.width = _WIDTH
    return console


def _spaced(renderables: tuple[RenderableType, ...]) -> Group:
    """Put a blank line between parts. Strings become Text, because rich would read brackets in a str as markup."""
    parts = [Text(part) if isinstance(part, str) else part for part in renderables]
    return Group(*(item for i, part in enumerate(parts) for item in ([Text(""), part] if i else [part])))


def _picture(parts: Group, title: str) -> str:
    """Export as SVG without rich's web fonts, and word by word: some viewers drop leading spaces of a text."""
    console = Console(
        file=io.StringIO(), record=True, width=_WIDTH, force_terminal=True, force_jupyter=False, legacy_windows=False
    )
    segments = [segment for line in console.render_lines(parts, new_lines=True) for segment in line]
    words = [Segment(word, style) for text, style, _ in segments for word in _WORD.findall(text)]
    console.print(Segments(words))
    console.print()  # without an empty last line, the descenders of the line above are cut off
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", _FONTS)


def _write(path: Path, text: str) -> None:
    """Write under a temporary name and rename, so that nobody reads an incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
