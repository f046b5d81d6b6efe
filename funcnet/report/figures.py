"""The painter of figures: pictures by matplotlib (the extra `plots`), as SVG, PNG or PDF."""

import io
import textwrap
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.report.axes import Axis
from funcnet.report.pictures import Curves, Map

INSTALL = "pip install 'funcnet[plots]'"

# Told apart with colour blindness, and with a contrast of 3 or more on white and on black; the dashes repeat later
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b8608f", "#8c6d1f", "#7a7a7a")
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))
_MARKERS = "o^sDvPX*<>"
_CONTOUR = 1.0  # points: thinner than the lines, which may cover it
_GRID = 200  # evaluations of a map per direction
_WIDTH, _CURVES_HEIGHT, _MAP_HEIGHT = 5.6, 3.4, 4.6  # inches
_DISCS = 40  # most points of a map that are drawn with their marks
_TITLE, _LEGEND = 60, 66  # characters of a line of a title, and of the legend, where a dash with its space is 10
_STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "legend.handlelength": 3.2,  # two periods of most dashes
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "funcnet",  # the same picture gives the same file
}


class Theme(NamedTuple):
    """The colours that depend on the background."""

    page: str
    text: str
    grid: str
    map: tuple[str, str, str]  # of the values 0, 1/2 and 1
    unit: str  # the lines of units

    def settings(self) -> dict[str, str]:
        """Return matplotlib's settings."""
        pages = ("figure.facecolor", "savefig.facecolor", "axes.facecolor")
        texts = ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
        return {**dict.fromkeys(pages, self.page), **dict.fromkeys(texts, self.text), "grid.color": self.grid}


LIGHT = Theme("#ffffff", "#000000", "#dddddd", ("#2166ac", "#f7f7f7", "#c86e14"), "#5e3c99")
DARK = Theme("#0d1117", "#e6edf3", "#30363d", ("#3f8fd9", "#161b22", "#d97a1e"), "#cdb5ff")


def available() -> bool:
    """Tell whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def suffix(path: Path) -> str:
    """Return "svg", "png" or "pdf" by the ending of the name of a figure's file, and check that it can be written."""
    ending = path.suffix.lower().removeprefix(".")
    if ending not in ("svg", "png", "pdf"):
        raise ValueError(f"show: svg: expected a file that ends in .svg, .png or .pdf, got {path.name!r}.")
    if ending != "svg":
        _require(f"show: a figure as {ending.upper()}")
    return ending


def check_gif(path: Path) -> None:
    """Check the name of the file of an animation, and that it can be written."""
    if path.suffix.lower() != ".gif":
        raise ValueError(f"animate: path: expected a file that ends in .gif, got {path.name!r}.")
    _require("animate")


def _require(what: str) -> None:
    if not available():
        raise ImportError(f"{what}: needs matplotlib. Install the extra: {INSTALL}.")


def render_text(text: str, suffix: str, theme: Theme = LIGHT) -> bytes:
    """Return the file of a page of text in a monospaced font; suffix is "png" or "pdf"."""
    lines = text.splitlines()
    size = 0.09 * max(map(len, lines), default=1) + 0.4, 0.17 * len(lines) + 0.4
    page = import_module("matplotlib.figure").Figure(size, facecolor=theme.page)
    style = {"va": "top", "family": "monospace", "size": 10, "color": theme.text}
    page.text(0.2 / size[0], 1 - 0.2 / size[1], text, parse_math=False, **style)
    file = io.BytesIO()
    page.savefig(file, format=suffix, dpi=200)
    return file.getvalue()


def gif(pictures: Sequence[Curves | Map], seconds: float) -> bytes:
    """Return an animated GIF with one picture per frame."""
    if not pictures:
        raise ValueError("animate: expected at least one frame, got none.")
    image = import_module("PIL.Image")
    frames = [image.open(io.BytesIO(render([picture], "png", dpi=100))).quantize(64) for picture in pictures]
    times, file = [int(1000 * seconds)] * (len(frames) - 1) + [2000], io.BytesIO()
    frames[0].save(file, format="gif", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return file.getvalue()


def render(pictures: Sequence[Curves | Map], suffix: str, dpi: int = 200, theme: Theme = LIGHT) -> bytes:
    """Return the file of a figure with the pictures below each other; suffix is "svg", "png" or "pdf"."""
    file, dates = io.BytesIO(), {"svg": "Date", "pdf": "CreationDate"}
    with import_module("matplotlib").rc_context({**_STYLE, **theme.settings()}):
        metadata = {dates[suffix]: None} if suffix in dates else {}
        figure(pictures, theme).savefig(file, format=suffix, dpi=dpi, metadata=metadata)
    return file.getvalue()


def figure(pictures: Sequence[Curves | Map], theme: Theme = LIGHT) -> Any:
    """Return matplotlib's figure."""
    heights = [_CURVES_HEIGHT if isinstance(picture, Curves) else _MAP_HEIGHT for picture in pictures]
    whole = import_module("matplotlib.figure").Figure((_WIDTH, sum(heights)), layout="constrained")
    parts = whole.subfigures(len(pictures), 1, height_ratios=heights, squeeze=False)[:, 0]
    whole.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    for part, picture in zip(parts, pictures, strict=True):
        axes = part.subplots()
        _curves(axes, picture) if isinstance(picture, Curves) else _map(axes, picture, theme)
        axes.set(title=textwrap.fill(picture.title, _TITLE), xlabel=picture.x_label, ylabel=picture.y_label)
        _legend(part, axes)
    return whole


def _legend(part: Any, axes: Any) -> None:
    """Put the legend below the axes, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    most = max(1, _LEGEND // (max(map(len, labels), default=0) + 10))
    columns = ceil(len(labels) / ceil(len(labels) / most)) if labels else 1  # rows of equal lengths
    if labels:
        part.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, borderpad=0)


def _curves(axes: Any, curves: Curves) -> None:
    """Draw the lines, each thinner than the one below it and with other dashes, so that none hides another."""
    count = len(curves.lines)
    for i, (line, entry) in enumerate(zip(curves.lines, curves.entries(), strict=True)):
        axes.plot(
            line.x.tolist(),
            line.y.tolist(),
            label=entry,
            color=COLOURS[i % len(COLOURS)],
            linestyle=_DASHES[(i + i // len(COLOURS)) % len(_DASHES)],
            linewidth=max(1.2, 2.8 - 0.4 * i),
            marker=_MARKERS[i % len(_MARKERS)],
            markersize=5,
            clip_on=False,  # a marker on the frame is drawn in full
            markevery=((i + 0.5) / count * 0.125, 0.125) if len(line.x) > 16 else None,
        )
    _scale(axes, axes.xaxis, curves.x, "x")
    _scale(axes, axes.yaxis, curves.y, "y")
    axes.set_xlim(curves.x.low, curves.x.high)
    axes.margins(y=0.04)
    if curves.y.low == 0 and not curves.y.log:
        axes.set_ylim(bottom=-0.02 * curves.y.high)  # a cost near 0 is drawn on the axis in full


def _scale(axes: Any, side: Any, axis: Axis, name: str) -> None:
    """Make a side logarithmic if it is, and choose round numbers that do not crowd."""
    if axis.log:
        axes.set(**{f"{name}scale": "log"})
        side.set_minor_formatter(import_module("matplotlib.ticker").NullFormatter())
    if axis.log and axis.high < 100 * axis.low:
        side.set_major_locator(import_module("matplotlib.ticker").LogLocator(subs=(1, 2, 5)))
        side.set_major_formatter("{x:g}")
    if not axis.log and 1e3 <= axis.high < 1e6:
        side.get_major_locator().set_params(nbins=6)
        side.set_major_formatter("{x:,g}")


def _map(axes: Any, field: Map, theme: Theme) -> None:
    """Draw the values as a smooth field, the contour at 1/2, the lines and the points."""
    x, y, values = field.x, field.y, field.evaluate(_GRID, _GRID).flip(0)
    colours = import_module("matplotlib.colors").LinearSegmentedColormap.from_list("map", theme.map)
    image = axes.imshow(
        values.tolist(),
        cmap=colours.with_extremes(bad="#999999"),
        vmin=0,
        vmax=1,
        origin="lower",
        extent=(x.low, x.high, y.low, y.high),
        aspect="auto",
        interpolation="bilinear",
    )
    axes.grid(visible=False)
    axes.locator_params(nbins=5)
    axes.figure.colorbar(image, ax=axes, label=field.quantity, ticks=[0, 0.25, 0.5, 0.75, 1])
    if field.contour:
        _half(axes, field, values, theme)
    _lines(axes, field, theme)
    _points(axes, field)


def _half(axes: Any, field: Map, values: Tensor, theme: Theme) -> None:
    """Draw the contour at 1/2."""
    if values.min() < 0.5 < values.max():
        places = field.x.centres(_GRID).tolist(), field.y.centres(_GRID).tolist()
        axes.contour(*places, values.tolist(), [0.5], colors=theme.text, linewidths=_CONTOUR)
    axes.plot([], [], color=theme.text, linewidth=_CONTOUR, label=f"{field.quantity} = 1/2")


def _lines(axes: Any, field: Map, theme: Theme) -> None:
    """Draw the lines of the units, with an edge that sets them off from any part of the field."""
    edge = [import_module("matplotlib.patheffects").withStroke(linewidth=4, foreground=theme.map[1])]
    for i, (w1, w2, b) in enumerate(field.lines):
        label = f"w·x + b = 0, unit {i + 1}" if len(field.lines) > 1 else "w·x + b = 0"
        dashes = _DASHES[1 + i % (len(_DASHES) - 1)]
        if ends := _ends(field, w1, w2, b):
            (line,) = axes.plot(
                *zip(*ends, strict=True), color=theme.unit, linewidth=2.6, linestyle=dashes, label=label
            )
            line.set_path_effects(edge)
    axes.set(xlim=(field.x.low, field.x.high), ylim=(field.y.low, field.y.high))


def _ends(field: Map, w1: float, w2: float, b: float) -> list[tuple[float, float]]:
    """Return two points of w·x + b = 0 on the sides of the map that it crosses, or on their extensions."""
    if abs(w2) * (field.y.high - field.y.low) >= abs(w1) * (field.x.high - field.x.low) and w2:
        return [(x, -(w1 * x + b) / w2) for x in (field.x.low, field.x.high)]
    return [(-(w2 * y + b) / w1, y) for y in (field.y.low, field.y.high)] if w1 else []


def _points(axes: Any, field: Map) -> None:
    """Draw a few points as white discs with their marks, and many as small symbols, which the legend explains."""
    if len(field.points) > _DISCS:
        _symbols(axes, field)
    else:
        _discs(axes, field)
    if note := field.outside():
        axes.plot([], [], " ", label=note)


def _symbols(axes: Any, field: Map) -> None:
    seen = field.inside().tolist()
    for i, mark in enumerate(sorted({*field.marks})):
        chosen = [own == mark and is_seen for own, is_seen in zip(field.marks, seen, strict=True)]
        places = field.points[torch.tensor(chosen)].T.tolist()
        style = {"color": ("white", "black")[i % 2], "markeredgecolor": ("black", "white")[i % 2], "zorder": 5}
        axes.plot(*places, _MARKERS[i], label=f"point of class {mark}", markersize=5, clip_on=False, **style)


def _discs(axes: Any, field: Map) -> None:
    for (x, y), mark, seen in zip(field.points.tolist(), field.marks, field.inside().tolist(), strict=True):
        if seen:
            axes.plot([x], [y], "o", color="white", markeredgecolor="black", markersize=12, clip_on=False, zorder=5)
            style = {"ha": "center", "va": "center_baseline", "fontweight": "bold", "fontsize": 9, "zorder": 6}
            axes.text(x, y, mark, color="black", **style)
