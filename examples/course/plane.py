"""The plane of a linear unit on XOR: its heights at the corners are tied to each other, so that it cannot follow XOR.

    z(0, 0) + z(1, 1) = z(0, 1) + z(1, 0)   for each plane z = w1 x1 + w2 x2 + b

XOR wants the left sum to be negative and the right one positive. The plane that is closest to the targets 0 and 1 in
the mean square is flat, at height 1/2.
"""

import options
import torch
from torch import Tensor

import funcnet as fn
from course.data import XOR, X
from funcnet import report

PLANES = 1_000


def heights(plane: Tensor) -> Tensor:
    """Return z at (0, 0), (0, 1), (1, 0), (1, 1) for a plane (w1, w2, b)."""
    return X @ plane[:2] + plane[2]


def closest() -> Tensor:
    """Solve the least-squares problem: the plane (w1, w2, b) that is closest to XOR."""
    return torch.linalg.lstsq(torch.cat([X, torch.ones(4, 1)], 1), XOR).solution[:, 0]


def drawing(z: Tensor) -> str:
    """Write the heights at the corners of the square of the inputs, x1 to the right, x2 upwards."""
    z00, z01, z10, z11 = (f"{height:+.2f}" for height in z.tolist())
    return (
        f"  x2 = 1   {z01} ───────── {z11}\n"
        "             │               │\n"
        "             │               │\n"
        f"  x2 = 0   {z00} ───────── {z10}\n"
        "           x1 = 0          x1 = 1"
    )


def main() -> str:
    """Draw a plane, check the identity on many, and show the closest one; return the answer."""
    args = options.parse(options.parser(__doc__, takes="1 s", seed="seed of the planes"))
    planes = fn.random.normal(fn.random.key(args.seed), (PLANES, 3))
    z = fn.vmap(heights)(planes)
    difference = (z[:, 0] + z[:, 3] - z[:, 1] - z[:, 2]).abs().max().item()
    wanted = ((z > 0) == (XOR[:, 0] > 0.5)).sum(1)
    w1, w2, b = (f"{number:.3f}" for number in (closest() + 0.0).round(decimals=3).abs().tolist())
    rows = [[f"{n} of 4", int((wanted == n).sum())] for n in range(5)]
    w, offset = planes[0, :2], planes[0, 2]
    said = f"closest to XOR in the mean square: w1 = {w1}, w2 = {w2}, b = {b}, height 1/2 everywhere"
    report.show(
        "One plane, its height z at the corners; XOR wants + at (0, 1) and (1, 0), - at the others:",
        drawing(z[0]),
        f"largest |z(0, 0) + z(1, 1) - z(0, 1) - z(1, 0)| of {PLANES:,} planes: {difference:.0e}",
        report.table(["signs right", "planes"], rows, title=f"{PLANES:,} random planes"),
        report.decision_map(
            lambda x: torch.sigmoid(x @ w + offset),
            points=X,
            labels=XOR,
            lines=[(w, offset)],
            height=8,
            quantity="sigmoid(z)",
            title="sigmoid of that plane",
        ),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said
