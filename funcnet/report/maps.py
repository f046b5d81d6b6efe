"""Decision maps: the probability that a model of two inputs assigns to the points of a rectangle."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.report.axes import Axis
from funcnet.report.display import Picture
from funcnet.report.inputs import tensor
from funcnet.report.pictures import Map

Line = tuple[Any, Any]  # w with 2 entries and b with 1: w·x + b = 0

_ROUNDING = 1e-6  # how far a probability may be outside [0, 1]


def decision_map(
    f: Callable[[Tensor], Tensor],
    *,
    points: Tensor | Sequence[Sequence[float]] | None = None,
    labels: Tensor | Sequence[float] | None = None,
    lines: Iterable[Line] = (),
    x_range: tuple[float, float] = (-0.5, 1.5),
    y_range: tuple[float, float] = (-0.5, 1.5),
    quantity: str = "p",
    title: str = "",
    x_label: str = "x1",
    y_label: str = "x2",
    contour: bool = True,
    height: int = 20,
) -> Picture:
    """Draw the probability of class 1 over a rectangle as shades, with data points and lines on top.

    Args:
        f: Maps inputs of shape (n, 2) to probabilities of shape (n,) or (n, 1). A figure calls it again, on a finer
            grid than that of the terminal.
        points: Data, shape (k, 2). f is called with their dtype and device; without points, with float32 on the CPU.
        labels: A whole number from 0 to 9 per point, drawn as its mark; without labels the mark is "o".
        lines: Pairs (w, b) of shapes (2,) and (), such as those of hidden units; the line w·x + b = 0 is drawn. A pair
            with w = 0 has no line.
        x_range, y_range: The rectangle, (low, high) of the first and of the second input.
        quantity: The name of the values of f in the legend, such as "P(class 1)".
        title, x_label, y_label: Text above the drawing, below it, and at the vertical axis.
        contour: Whether a figure shows the line where f is 1/2.
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
          p < 0.25   · p < 0.5   ▒ p < 0.75   ▓ p <= 1
    """
    x, y = _range("x_range", x_range), _range("y_range", y_range)
    data = _points(points)
    edges = [_edge(i, w, b) for i, (w, b) in enumerate(lines)]
    evaluate = partial(_evaluate, f, x, y, data)
    on_top = data.cpu().double(), _marks(labels, len(data)), edges
    texts = quantity, title, x_label, y_label
    return Picture(Map(evaluate(2 * height, height), evaluate, x, y, *on_top, *texts, contour))


def _evaluate(f: Callable[[Tensor], Tensor], x: Axis, y: Axis, like: Tensor, columns: int, rows: int) -> Tensor:
    """Call f at the centres of the cells of a grid and check the result."""
    across, up = x.centres(columns), y.centres(rows).flip(0)
    inputs = torch.stack([across.repeat(rows), up.repeat_interleave(columns)], dim=-1).to(like)
    outputs = f(inputs)
    if not isinstance(outputs, Tensor) or outputs.shape not in ((len(inputs),), (len(inputs), 1)):
        got = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ValueError(
            f"decision_map: f: expected one probability per row of its input of shape {tuple(inputs.shape)}, "
            f"that is shape ({len(inputs)},) or ({len(inputs)}, 1), got {got}."
        )
    probabilities = outputs.detach().cpu().double().reshape(rows, columns)
    strange = probabilities[(probabilities < -_ROUNDING) | (probabilities > 1 + _ROUNDING)]
    if len(strange):
        raise ValueError(
            f"decision_map: f: expected probabilities in [0, 1], got {strange[0]:.4g}. "
            "If f returns logits, pass lambda x: torch.sigmoid(f(x))."
        )
    return probabilities.clamp(0, 1)


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
