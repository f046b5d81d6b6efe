"""AND, OR and XOR drawn: a line separates the 0s from the 1s of AND and of OR; for XOR there is no such line.

Random lines are tried on all three gates. The share of lines that separate a gate estimates how hard it is to hit one.
"""

from functools import partial

import options
import torch
from torch import Tensor

import funcnet as fn
from course.data import GATES, X
from funcnet import report

LINES = 100_000
DRAWN = {"AND": ([1.0, 1.0], -1.5), "OR": ([1.0, 1.0], -0.5), "XOR": ([1.0, 1.0], -0.5)}  # XOR: one point is wrong


def answer(line: Tensor, x: Tensor) -> Tensor:
    """Return 1 on one side of the line w·x + b = 0, and 0 on the other."""
    return torch.where(x @ line[:2] + line[2] > 0, 1.0, 0.0)


def right(line: Tensor, y: Tensor) -> Tensor:
    """Count the points that are on the right side of a line."""
    return (answer(line, X) == y[:, 0]).sum()


def tried(key: Tensor) -> Tensor:
    """Draw random lines; count for each gate (rows) and line (columns) the points that are right."""
    lines = fn.random.normal(key, (LINES, 3))
    return torch.stack([fn.vmap(right, in_dims=(0, None))(lines, y) for y in GATES.values()])


def main() -> str:
    """Draw the gates with a line each, and try random lines; return the answer."""
    args = options.parse(options.parser(__doc__, takes="1 s", seed="seed of the random lines"))
    counts = tried(fn.random.key(args.seed))
    rows = [
        [gate, *(f"{(row == n).float().mean().item():.1%}" for n in range(5))]
        for gate, row in zip(GATES, counts, strict=True)
    ]
    maps = []
    for gate, (w, b) in DRAWN.items():
        line = torch.tensor([*w, b])
        wrong = 4 - int(right(line, GATES[gate]))
        picture = report.decision_map(
            partial(answer, line),
            points=X,
            labels=GATES[gate],
            lines=[(w, b)],
            height=8,
            quantity="answer",
            title=f"{gate}: {wrong} of 4 points on the wrong side",
        )
        maps.append(picture)
    table = report.table(
        ["gate", *(f"{n} right" for n in range(5))], rows, title=f"{LINES:,} random lines: points on the right side"
    )
    said = "AND and OR have a line with all four points on their sides; for XOR, three of four is the best"
    report.show(*maps, table, answer=said, svg=args.svg, dark=args.dark)
    return said
