"""Descriptions of pictures: the data, independent of how it is drawn. `terminal` and `figures` paint them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from funcnet.report.axes import Axis


class Line(NamedTuple):
    """One series of a plot of curves."""

    name: str
    x: Tensor  # (n,) float64, non-decreasing
    y: Tensor  # (n,) float64, NaN where nothing can be drawn


@dataclass(frozen=True)
class Curves:
    """Series over a common axis."""

    lines: list[Line]
    x: Axis
    y: Axis
    title: str
    x_label: str
    y_label: str
    width: int | None  # columns in the terminal
    height: int  # rows in the terminal

    def entries(self) -> list[str]:
        """Return the text of the legend per series, which counts the values that cannot be drawn."""
        return [line.name + self._gaps(line) for line in self.lines]

    def _gaps(self, line: Line) -> str:
        count = int(line.y.isnan().sum())
        reason = "NaN, infinite or not positive" if self.y.log else "NaN or infinite"
        return f" ({count} of {len(line.y)} {reason})" if count else ""


@dataclass(frozen=True)
class Map:
    """A quantity in [0, 1] over a rectangle, with points and straight lines on top."""

    values: Tensor  # (height, 2 height) float64, from the top left: the cells in the terminal
    evaluate: Callable[[int, int], Tensor]  # (columns, rows) -> values on a finer grid
    x: Axis
    y: Axis
    points: Tensor  # (k, 2) float64
    marks: list[str]  # one per point
    lines: list[tuple[float, float, float]]  # w1, w2, b
    quantity: str
    title: str
    x_label: str
    y_label: str
    contour: bool  # whether a figure shows the line at 1/2

    def inside(self) -> Tensor:
        """Tell which points are on the map."""
        return self.x.holds(self.points[:, 0]) & self.y.holds(self.points[:, 1])

    def outside(self) -> str:
        """Return a note on the points that are not on the map; empty if there are none."""
        count = len(self.points) - int(self.inside().sum())
        return f"({count} of {len(self.points)} points are outside)" if count else ""
