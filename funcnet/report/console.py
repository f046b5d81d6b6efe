"""Output of reports to the terminal, as plain text to a pipe or file, or as a figure."""

import io
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.segment import Segment, Segments
from rich.text import Text

from funcnet.report import figures, notebook
from funcnet.report.display import Picture, plain
from funcnet.report.terminal.plot import ASCII

_WIDTH = 80
_WORD = re.compile(r" +|[\u2800-\u28ff]|[^ \u2800-\u28ff]+")  # braille one by one: fonts often make it wider
_FONTS = "'DejaVu Sans Mono', Menlo, Consolas, monospace"


def show(*renderables: RenderableType, answer: str = "", svg: str | Path | None = None, dark: bool = False) -> None:
    """Print the results of this package's builders, separated by blank lines, and optionally write them as a picture.

    A notebook displays tables as HTML and pictures as figures. Output to a terminal has its full width and colours,
    unless the environment variable NO_COLOR is set. Other output is plain text, 80 columns wide or as wide as the
    environment variable COLUMNS says.

    Args:
        renderables: Tables, curves, maps, plain strings, or anything that rich can print.
        answer: The result in a sentence. It stands above the first curve or map, and is repeated at the end in a
            terminal that has too few rows for both.
        svg: The file for a figure of the curves and maps by matplotlib: SVG, PNG or PDF by its ending. Without curves
            and maps, or for SVG without matplotlib, it is a picture of the printed text, 80 columns wide. Missing
            folders are created, and an existing file is replaced atomically.
        dark: Whether the figure has a dark background.
    Raises:
        ValueError: svg has another ending.
        ImportError: svg ends in .png or .pdf, and the extra `plots` is not installed.
    Example:
        >>> fn.report.show("XOR", fn.report.table(["step", "loss"], [[0, 0.75], [10_000, 0.001]]))
        XOR
        <BLANKLINE>
          step    loss
        ──────────────
             0    0.75
        10,000   0.001
    """
    suffix = None if svg is None else figures.suffix(Path(svg))
    parts = _with_answer(renderables, answer)
    if in_notebook():
        notebook.display(*parts)
    else:
        _print(_spaced(parts))
        if answer and _scrolls(parts[parts.index(answer) :]):
            _print(_spaced((f"\n{answer}",)))
    if svg is not None and suffix is not None:
        theme = figures.DARK if dark else figures.LIGHT
        _write(Path(svg), _file(parts, suffix, Path(svg).stem, theme))


def _with_answer(parts: tuple[RenderableType, ...], answer: str) -> tuple[RenderableType, ...]:
    """Put the answer above the first picture, or at the end if there is none."""
    if not answer:
        return parts
    place = next((i for i, part in enumerate(parts) if isinstance(part, Picture)), len(parts))
    return (*parts[:place], answer, *parts[place:])


def _scrolls(parts: tuple[RenderableType, ...]) -> bool:
    """Tell whether the parts and a prompt below them have more rows than the terminal."""
    console = present_console()
    return console.is_terminal and len(console.render_lines(_spaced(parts))) + 1 > console.height


def _print(parts: Group) -> None:
    console = present_console()
    with console.capture() as capture:
        console.print(parts)
    text = re.sub(r" +\n", "\n", capture.get())
    if console.options.ascii_only:  # rich's name for every encoding but UTF-8
        text = text.translate(ASCII).encode(console.encoding, "replace").decode(console.encoding)
    sys.stdout.write(text)  # a running progress bar replaces sys.stdout, so that the text appears above it


def animate(pictures: Iterable[Picture], path: str | Path, *, seconds: float = 0.15) -> None:
    """Write curves or maps of one size as the frames of an animated GIF.

    Args:
        pictures: The frames.
        path: The file, which ends in .gif.
        seconds: The time per frame; the last one stays for 2 s.
    Raises:
        ValueError: path has another ending, or there are no frames.
        ImportError: The extra `plots` is not installed.
    Example:
        >>> frames = [fn.report.curve({"wave": (torch.arange(50.0) + i).sin()}) for i in range(9)]
        >>> fn.report.animate(frames, "wave.gif")  # doctest: +SKIP
    """
    figures.check_gif(Path(path))
    _write(Path(path), figures.gif([picture.description for picture in pictures], seconds))


def in_notebook() -> bool:
    """Tell whether the code runs in a notebook."""
    return Console().is_jupyter


def present_console() -> Console:
    """Return a console for the present standard output. By itself, rich would use the terminal's width for a pipe."""
    console = Console(force_jupyter=False)  # in a notebook, rich displays an empty output after a capture
    if console.width < 1 or not (console.is_terminal or os.environ.get("COLUMNS", "").isdigit()):
        console.width = _WIDTH
    return console


def _spaced(renderables: tuple[RenderableType, ...]) -> Group:
    """Put a blank line between parts. Strings become Text, because rich would read brackets in a str as markup."""
    parts = [Text(part) if isinstance(part, str) else part for part in renderables]
    return Group(*(item for i, part in enumerate(parts) for item in ([Text(""), part] if i else [part])))


def _file(renderables: tuple[RenderableType, ...], suffix: str, title: str, theme: figures.Theme) -> bytes:
    """Return the contents of a figure, or of a picture of the text."""
    pictures = [part.description for part in renderables if isinstance(part, Picture)]
    if pictures and figures.available():
        return figures.render(pictures, suffix, theme=theme)
    if suffix != "svg":
        return figures.render_text(plain(_spaced(renderables)), suffix, theme)
    if pictures:
        print(f"The picture shows the terminal's text. For a figure: {figures.INSTALL}", file=sys.stderr)
    return _picture(_spaced(renderables), title).encode()


def _picture(parts: Group, title: str) -> str:
    """Export as SVG without rich's web fonts, and word by word: some viewers drop leading spaces of a text."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=_WIDTH,
        color_system="truecolor",
        force_terminal=True,
        force_jupyter=False,
        legacy_windows=False,
    )
    segments = [segment for line in console.render_lines(parts, new_lines=True) for segment in line]
    words = [Segment(word, style) for text, style, _ in segments for word in _WORD.findall(text)]
    console.print(Segments(words))
    console.print()  # without an empty last line, the descenders of the line above are cut off
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", _FONTS)


def _write(path: Path, content: bytes) -> None:
    """Write under a temporary name and rename, so that nobody reads an incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
