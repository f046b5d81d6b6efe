"""Exercise: one line of this backward pass of the 2-2-1 net has a defect; find it from the numbers.

Another --seed may plant another defect. `--line N` checks your answer.
"""

import textwrap
from typing import Any, NamedTuple

import options
import torch
from torch import Tensor

import funcnet as fn
from course.data import XOR, X
from course.write_backward import SHAPES, cost
from funcnet import report

CODE = [
    'a1 = (x @ params["w1"] + params["b1"]).sigmoid()',
    'p = (a1 @ params["w2"] + params["b2"]).sigmoid()',
    "d_l2 = (p - y) / len(x)",
    "d_w2 = a1.T @ d_l2",
    "d_b2 = d_l2.sum(0)",
    'd_a1 = d_l2 @ params["w2"].T',
    "d_l1 = d_a1 * a1 * (1 - a1)",
    "d_w1 = x.T @ d_l1",
    "d_b1 = d_l1.sum(0)",
]


class Defect(NamedTuple):
    """A line (from 1), the text that replaces it, and why it is wrong."""

    line: int
    text: str
    why: str


DEFECTS = [
    Defect(3, "d_l2 = p - y", "the cost is a mean: every derivative is divided by the number of examples"),
    Defect(5, "d_b2 = d_l2.mean(0)", "the division by the number of examples is done already, in d_l2"),
    Defect(7, "d_l1 = d_a1 * a1", "the derivative of the sigmoid is a1 (1 - a1)"),
    Defect(7, "d_l1 = d_a1 * (a1 - 1) * a1", "the sign: the sigmoid rises"),
    Defect(8, "d_w1 = x.T @ d_a1", "the derivative has not yet passed through the sigmoid: that is d_l1"),
    Defect(9, "d_b1 = d_a1.sum(0)", "b1 is added in l1, before the sigmoid: its derivative is the sum of d_l1"),
]


def planted(defect: Defect) -> list[str]:
    """Return the lines with one of them replaced."""
    return [defect.text if number == defect.line else line for number, line in enumerate(CODE, 1)]


def gradients(lines: list[str], params: Any) -> dict[str, Tensor]:
    """Run the lines; return the gradients that they compute."""
    names = {"params": params, "x": X.double(), "y": XOR.double()}
    exec("\n".join(lines), names)
    return {name: names[f"d_{name}"] for name in SHAPES}


def evidence(lines: list[str], key: Tensor) -> list[list[str]]:
    """Compare each gradient with grad: the ratio of the lengths, and the angle between them."""
    keys = fn.random.split(key, len(SHAPES))
    params = {
        name: fn.random.normal(k, shape, torch.float64) for k, (name, shape) in zip(keys, SHAPES.items(), strict=True)
    }
    exact, rows = fn.grad(cost)(params), []
    for name, found in gradients(lines, params).items():
        lengths, cosine = found.norm() / exact[name].norm(), fn.tree.dot(found, exact[name])
        cosine = cosine / (found.norm() * exact[name].norm())
        rows.append([name, f"{lengths.item():.4f}", f"{cosine.item():+.4f}"])
    return rows


def main() -> str:
    """Show the lines and the evidence, or check an answer; return the result."""
    parser = options.parser(__doc__, takes="1 s", seed="chooses the defect and the weights")
    parser.add_argument("--line", type=options.count, metavar="N", help="your answer: the number of the line")
    args = options.parse(parser)
    of_defect, key = fn.random.split(fn.random.key(args.seed))
    defect = DEFECTS[int(fn.random.randint(of_defect, (), 0, len(DEFECTS)))]
    lines = planted(defect)
    if args.line is not None:
        if args.line != defect.line:
            print(f"It is not line {args.line}. Which gradients are wrong, and which line do all of them go through?")
            raise SystemExit(1)
        report.show(
            f"Line {defect.line} reads\n    {defect.text}\ninstead of\n    {CODE[defect.line - 1]}\n"
            f"because {defect.why}."
        )
        return f"line {defect.line} is right"
    said = "find the line, and check it by --line N"
    report.show(
        textwrap.indent("\n".join(f"{number}  {line}" for number, line in enumerate(lines, 1)), "  "),
        report.table(["gradient", "length / right length", "cosine of the angle"], evidence(lines, key)),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said
