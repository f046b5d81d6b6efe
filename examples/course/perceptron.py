"""The perceptron as a drawn unit: many inputs, one output.

    y = step(w1 x1 + w2 x2 + b)

The weights and the bias are set by hand: the unit is the gate AND.
"""

import options
import torch
from torch import Tensor

from course.data import X
from funcnet import report

W, B = torch.tensor([1.0, 1.0]), torch.tensor(-1.5)


def z(x: Tensor) -> Tensor:
    """Weigh the inputs and add the bias."""
    return x @ W + B


def unit(x: Tensor) -> Tensor:
    """Fire (1) if the weighted sum is positive, else do not (0)."""
    return torch.where(z(x) > 0, 1.0, 0.0)


def drawing() -> str:
    """Draw the unit with its numbers, inputs on the left and the output on the right."""
    w1, w2, b = (f"{number:+g}" for number in (*W.tolist(), B.item()))
    return (
        f"  x1 ──── w1 = {w1:4} ──┐\n"
        f"  x2 ──── w2 = {w2:4} ──┼── z = w1 x1 + w2 x2 + b ── step ── y\n"
        f"   1 ────  b = {b:4} ──┘"
    )


def main() -> str:
    """Draw the unit, show what it computes, and the line between its answers; return the answer."""
    args = options.parse(options.parser(__doc__, takes="1 s", seed="not used: nothing is drawn at random here"))
    rows = [[*x, f"{s:+g}", int(y)] for x, s, y in zip(X.tolist(), z(X).tolist(), unit(X).tolist(), strict=True)]
    picture = report.decision_map(
        unit,
        points=X,
        labels=unit(X),
        lines=[(W, B)],
        height=10,
        quantity="y",
        title="The line z = 0 between the answers 0 and 1",
    )
    table = report.table(["x1", "x2", "z", "y"], rows)
    said = "the unit answers 1 where z > 0, on one side of a line"
    report.show(drawing(), table, picture, answer=said, svg=args.svg, dark=args.dark)
    return said
