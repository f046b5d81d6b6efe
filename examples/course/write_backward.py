"""Exercise: write the backward pass of the 2-2-1 net, and have it checked leaf by leaf against grad.

    l1 = x w1 + b1     a1 = s(l1)
    l2 = a1 w2 + b2    p = s(l2)
    cost = mean of softplus(l2) - y l2, which is the cross entropy

Without --answer the exercise is only shown. With --answer FILE, a file that does not exist is written, with the parts
that are given; one that exists is checked: its function backward(params, x, y) returns the gradients of the mean cost.
"""

import runpy
from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from course.data import XOR, X
from funcnet import report

SHAPES = {"w1": (2, 2), "b1": (2,), "w2": (2, 1), "b2": (1,)}
TEMPLATE = '''# Checked by: python examples/lesson.py write_backward --answer THIS_FILE
# Shapes: x (4, 2), y (4, 1), w1 (2, 2), b1 (2,), w2 (2, 1), b2 (1,).


def backward(params, x, y):
    """Return the gradients of the mean cost, with the shapes of the params."""
    a1 = (x @ params["w1"] + params["b1"]).sigmoid()  # (4, 2)
    p = (a1 @ params["w2"] + params["b2"]).sigmoid()  # (4, 1)
    return {"w1": ..., "b1": ..., "w2": ..., "b2": ...}
'''


def cost(params: Any) -> Tensor:
    """Compute the mean cross entropy of the four points, in nats."""
    a1 = (X.double() @ params["w1"] + params["b1"]).sigmoid()
    l2 = a1 @ params["w2"] + params["b2"]
    return fn.losses.sigmoid_binary_cross_entropy(l2, XOR.double()).mean()


def judge(found: Any, exact: Tensor) -> str:
    """Say whether a gradient is right, or how it is wrong: not a tensor, a wrong shape, a factor, another direction."""
    if not isinstance(found, Tensor):
        return f"to do: expected a tensor of shape {tuple(exact.shape)}, got {found!r:.20}"
    if found.shape != exact.shape:
        return f"wrong shape {tuple(found.shape)}, expected {tuple(exact.shape)}"
    factor = (fn.tree.dot(found.double(), exact) / fn.tree.dot(exact, exact)).item()
    if not torch.allclose(found.double(), factor * exact, rtol=1e-6, atol=1e-9):
        return "wrong direction: compare with the shapes and formulas of the step transposes"
    return "right" if abs(factor - 1) < 1e-6 else f"{factor:.4g} times the gradient: is the cost a mean or a sum?"


def check(backward: Any, key: Tensor) -> list[list[str]]:
    """Judge each leaf of an answer, at weights drawn from the key."""
    keys = fn.random.split(key, len(SHAPES))
    params = {
        name: fn.random.normal(k, shape, torch.float64) for k, (name, shape) in zip(keys, SHAPES.items(), strict=True)
    }
    exact = fn.grad(cost)(params)
    found = backward(params, X.double(), XOR.double())
    if not isinstance(found, dict):
        raise SystemExit(f"backward: expected a dict with the keys {', '.join(SHAPES)}, got {found!r:.40}")
    return [[name, judge(found.get(name), exact[name])] for name in SHAPES]


def main() -> str:
    """Show the exercise, or check an answer; return the result."""
    parser = options.parser(__doc__, takes="1 s", seed="seed of the weights at which the answer is checked")
    parser.add_argument("--answer", type=options.file, metavar="FILE", help="your answer: written or checked")
    args = options.parse(parser)
    if args.answer is None or not args.answer.exists():
        if args.answer is not None:
            args.answer.write_text(TEMPLATE)
        said = (
            f"written to {args.answer}; run the same command again to have it checked"
            if args.answer
            else "write it to a file by --answer FILE, complete it, and run the same command again"
        )
        report.show(TEMPLATE, answer=said, svg=args.svg, dark=args.dark)
        return said
    backward = runpy.run_path(str(args.answer)).get("backward")
    if backward is None:
        raise SystemExit(f"{args.answer}: expected a function backward(params, x, y)")
    rows = check(backward, fn.random.key(args.seed))
    right = sum(verdict == "right" for _, verdict in rows)
    said = f"{right} of {len(rows)} are right"
    report.show(report.table(["gradient", "verdict"], rows), answer=said, svg=args.svg, dark=args.dark)
    if right < len(rows):
        raise SystemExit(1)
    return said
