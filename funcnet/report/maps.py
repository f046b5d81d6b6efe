"""Decision maps: the probability that a model of two inputs assigns to the points of a rectangle."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from rich.color import Color
from rich.console import RenderableType
from rich.style import Style
from torch import Tensor

from funcnet.report.plot import Axis, Canvas, Cell, Dot, Plot, tensor

Line = tuple[Any, Any]  # w with 2 entries and b with 1: w·x + b = 0

_SHADES = " ·▒▓"  # one per quarter of [0, 1], so that 1/2 is a boundary between two of them
_LOW, _MIDDLE, _HIGH = (
    (33, 102, 172),
    (60, 60, 66),
    (200, 110, 20),
)  # blue to orange, distinguishable with colour blindness
_COLOURS = 12
_POINT = Style(color="#000000", bgcolor="#ffffff", bold=True)
_LINE = Style(color="#ffffff", bold=True)
_ROUNDING = 1e-6  # how far a probability may be outside [0, 1]


def decision_map(
    f: Callable[[Tensor], Tensor],
    *,
    points: Tensor | Sequence[Sequence[float]] | None = None,
    labels: Tensor | Sequence[float] | None = None,
    lines: Iterable[Line] = (),
    x_range: tuple[float, float] = (-0.5, 1.5),
    y_range: tuple[float, float] = (-0.5, 1.5),
    title: str = "",
    x_label: str = "x1",
    y_label: str = "x2",
    height: int = 20,
) -> RenderableType:
    """Draw the probability of class 1 over a rectangle as shades, with data points and lines on top.

    Args:
        f: Maps inputs of shape (n, 2) to probabilities of shape (n,) or (n, 1).
        points: Data, shape (k, 2). f is called with their dtype and device; without points, with float32 on the CPU.
        labels: A whole number from 0 to 9 per point, drawn as its mark; without labels the mark is "o".
        lines: Pairs (w, b) of shapes (2,) and (), such as those of hidden units; the line w·x + b = 0 is drawn. A pair
            with w = 0 has no line.
        x_range, y_range: The rectangle, (low, high) of the first and of the second input.
        title, x_label, y_label: Text above the drawing, below it, and at the top of the vertical axis.
        height: Rows of the drawing; it has twice as many columns, or fewer in a narrow terminal.
    Raises:
        ValueError: f returns another shape or values outside [0, 1], or an argument has a wrong shape.
    Example:
        >>> fn.report.show(fn.report.decision_map(lambda x: torch.sigmoid(4 * x.sum(-1) - 4), height=8))
        x2
          │·▒▒▓▓▓▓▓▓▓▓▓▓▓▓▓
        1 ┤ ··▒▒▓▓▓▓▓▓▓▓▓▓▓
          │   ··▒▒▓▓▓▓▓▓▓▓▓
          │     ··▒▒▓▓▓▓▓▓▓
          │       ··▒▒▓▓▓▓▓
        0 ┤         ··▒▒▓▓▓
          │           ··▒▒▓
          │             ··▒
          └────┴───────┴───
               0       1
                  x1
          p < 0.25    · p < 0.5    ▒ p < 0.75    ▓ p <= 1
    """
    x, y = _range("x_range", x_range), _range("y_range", y_range)
    data = _points(points)
    edges = [_edge(i, w, b) for i, (w, b) in enumerate(lines)]
    painting = _Painting(x, y, _evaluate(f, x, y, height, data), data.cpu().double(), _marks(labels, len(data)), edges)
    return Plot(
        x=x,
        y=y,
        paint=painting.paint,
        legend=_legend(painting),
        height=height,
        width=2 * height,
        title=title,
        x_label=x_label,
        y_label=y_label,
    )


class _Painting(NamedTuple):
    x: Axis
    y: Axis
    probabilities: Tensor  # (height, 2 height) float64, from the top left
    points: Tensor  # (k, 2) float64
    marks: list[str]
    lines: list[tuple[float, float, float]]  # w1, w2, b

    def paint(self, canvas: Canvas) -> None:
        """Shade the cells, then draw the lines and the points."""
        self._shade(canvas)
        for line in self.lines:
            canvas.dot(_straight(line, self.x, self.y, canvas), _LINE)
        columns = self.x.locate(self.points[:, 0], canvas.columns).tolist()
        rows = self.y.locate(self.points[:, 1], canvas.rows).tolist()
        for column, row, mark, seen in zip(columns, rows, self.marks, self.inside().tolist(), strict=True):
            if seen:
                canvas.put(int(column), canvas.rows - 1 - int(row), mark, _POINT)

    def _shade(self, canvas: Canvas) -> None:
        """Shade the cells; a canvas narrower than the grid of probabilities shows only some of its columns."""
        step = self.probabilities.shape[1] / canvas.columns
        for row, values in enumerate(self.probabilities.tolist()):
            for column in range(canvas.columns):
                canvas.put(column, row, *_shade(values[int((column + 0.5) * step)]))

    def inside(self) -> Tensor:
        """Tell which points are on the map."""
        return self.x.holds(self.points[:, 0]) & self.y.holds(self.points[:, 1])


def _evaluate(f: Callable[[Tensor], Tensor], x: Axis, y: Axis, height: int, like: Tensor) -> Tensor:
    """Call f at the centres of the cells and check the result."""
    across, up = _middles(x, 2 * height), _middles(y, height).flip(0)
    inputs = torch.stack([across.repeat(height), up.repeat_interleave(2 * height)], dim=-1).to(like)
    outputs = f(inputs)
    if not isinstance(outputs, Tensor) or outputs.shape not in ((len(inputs),), (len(inputs), 1)):
        got = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ValueError(
            f"decision_map: f: expected one probability per row of its input of shape {tuple(inputs.shape)}, "
            f"that is shape ({len(inputs)},) or ({len(inputs)}, 1), got {got}."
        )
    probabilities = outputs.detach().cpu().double().reshape(height, 2 * height)
    strange = probabilities[(probabilities < -_ROUNDING) | (probabilities > 1 + _ROUNDING)]
    if len(strange):
        raise ValueError(
            f"decision_map: f: expected probabilities in [0, 1], got {strange[0]:.4g}. "
            "If f returns logits, pass lambda x: torch.sigmoid(f(x))."
        )
    return probabilities.clamp(0, 1)


def _middles(axis: Axis, size: int) -> Tensor:
    fractions = (torch.arange(size, dtype=torch.float64, device="cpu") + 0.5) / size
    return fractions * (axis.high - axis.low) + axis.low


def _shade(probability: float) -> Cell:
    if math.isnan(probability):
        return Cell("?", _POINT)
    level = min(int(probability * _COLOURS), _COLOURS - 1) / (_COLOURS - 1)
    return Cell(_SHADES[min(int(probability * 4), 3)], Style(color=_mix(level, lighter=24), bgcolor=_mix(level)))


def _mix(level: float, lighter: int = 0) -> Color:
    """Interpolate from _LOW through _MIDDLE to _HIGH as the level goes from 0 to 1."""
    start, end, way = (_LOW, _MIDDLE, 2 * level) if level < 0.5 else (_MIDDLE, _HIGH, 2 * level - 1)
    return Color.from_rgb(*(min(255, a + (b - a) * way + lighter) for a, b in zip(start, end, strict=True)))


def _straight(line: tuple[float, float, float], x: Axis, y: Axis, canvas: Canvas) -> Iterator[Dot]:
    """Yield the dots of w·x + b = 0: one per column for a flat line, one per row for a steep one.

    With (u, v) the centre of a dot from the bottom left, the line is a u + c v + k = 0.
    """
    (w1, w2, b), width, height = line, 2 * canvas.columns, 4 * canvas.rows
    a, c = w1 * (x.high - x.low) / width, w2 * (y.high - y.low) / height
    k = b + w1 * x.low + w2 * y.low
    crossings: Iterator[tuple[float, float]]
    if a == c == 0:
        return
    if abs(c) >= abs(a):
        crossings = ((i, -(k + a * (i + 0.5)) / c) for i in range(width))
    else:
        crossings = ((-(k + c * (j + 0.5)) / a, j) for j in range(height))
    for u, v in crossings:
        if 0 <= u < width and 0 <= v < height:
            yield int(u), height - 1 - int(v)


def _legend(painting: _Painting) -> list[Cell]:
    shades = [Cell(f"{_SHADES[i]} p {'<' if i < 3 else '<='} {(i + 1) / 4:g} ", _swatch(i / 3)) for i in range(4)]
    unknown = [Cell("? p is NaN")] if painting.probabilities.isnan().any() else []
    lines = [Cell("⠒ w·x + b = 0")] if painting.lines else []
    outside = len(painting.points) - int(painting.inside().sum())
    missing = [Cell(f"({outside} of {len(painting.points)} points are outside)")] if outside else []
    return [*shades, *unknown, *lines, *missing]


def _swatch(probability: float) -> Style:
    return _shade(probability).style + Style(color="#ffffff")


def _range(name: str, ends: tuple[float, float]) -> Axis:
    low, high = ends
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"decision_map: {name}: expected finite (low, high) with low < high, got {ends}.")
    return Axis(float(low), float(high))


def _points(points: Tensor | Sequence[Sequence[float]] | None) -> Tensor:
    data = tensor("decision_map: points", torch.zeros(0, 2, device="cpu") if points is None else points)
    if data.ndim != 2 or data.shape[1] != 2:
        raise ValueError(f"decision_map: points: expected shape (k, 2), got {tuple(data.shape)}.")
    return data if isinstance(points, Tensor) and data.is_floating_point() else data.float()


def _marks(labels: Tensor | Sequence[float] | None, count: int) -> list[str]:
    if labels is None:
        return ["o"] * count
    values = tensor("decision_map: labels", labels).reshape(-1).tolist()
    if len(values) != count:
        raise ValueError(f"decision_map: expected {count} labels, one per point, got {len(values)}.")
    if strange := [value for value in values if value not in range(10)]:
        raise ValueError(f"decision_map: labels: expected whole numbers from 0 to 9, got {strange[0]}.")
    return [str(int(value)) for value in values]


def _edge(index: int, w: Any, b: Any) -> tuple[float, float, float]:
    where = f"decision_map: lines[{index}]"
    bias = b if isinstance(b, Tensor) else [b]
    coefficients = torch.cat([tensor(where, part).reshape(-1).cpu().double() for part in (w, bias)]).tolist()
    if len(coefficients) != 3:
        raise ValueError(f"{where}: expected w with 2 numbers and b with 1, got {len(coefficients)} in all.")
    return coefficients[0], coefficients[1], coefficients[2]
