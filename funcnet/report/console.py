"""Output of reports to the terminal, as plain text to a pipe or file, or as an SVG picture."""

import io
import os
import re
import sys
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.segment import Segment, Segments
from rich.text import Text

from funcnet.report.plot import ASCII

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
    console = present_console()
    with console.capture() as capture:
        console.print(parts)
    text = re.sub(r" +\n", "\n", capture.get())
    if console.options.ascii_only:  # rich's name for every encoding but UTF-8
        text = text.translate(ASCII).encode(console.encoding, "replace").decode(console.encoding)
    sys.stdout.write(text)  # a running progress bar replaces sys.stdout, so that the text appears above it
    if svg is not None:
        _write(Path(svg), _picture(parts, title=Path(svg).stem))


def present_console() -> Console:
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
