"""Why the transposes: the shapes at every step of the backward pass of a 2-3-1 net on four examples.

    y = x w    with x (N, i), w (i, j), y (N, j)
    d_w[i, j] = sum over n of x[n, i] d_y[n, j]    so d_w = xᵀ d_y
    d_x[n, i] = sum over j of d_y[n, j] w[i, j]    so d_x = d_y wᵀ

A gradient has the shape of the value that it belongs to. In the 2-2-1 net of the lesson w1 is square: without the
transpose the shapes still fit, and only the numbers are wrong.
"""

from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from course.data import XOR, X
from funcnet import report

SHAPES = {"w1": (2, 3), "b1": (3,), "w2": (3, 1), "b2": (1,)}


def forward(params: Any, x: Tensor) -> dict[str, Tensor]:
    """Compute the values of the forward pass, in order."""
    l1 = x @ params["w1"] + params["b1"]
    a1 = l1.sigmoid()
    l2 = a1 @ params["w2"] + params["b2"]
    return {"l1 = x w1 + b1": l1, "a1 = σ(l1)": a1, "l2 = a1 w2 + b2": l2}


def backward(params: Any, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Compute the derivatives of the mean cost, in the order in which they follow from each other."""
    _, a1, l2 = forward(params, x).values()
    d_l2 = (l2.sigmoid() - y) / len(x)
    d_w2, d_b2 = a1.T @ d_l2, d_l2.sum(0)
    d_a1 = d_l2 @ params["w2"].T
    d_l1 = d_a1 * a1 * (1 - a1)
    d_w1, d_b1 = x.T @ d_l1, d_l1.sum(0)
    return {"d_l2": d_l2, "d_w2": d_w2, "d_b2": d_b2, "d_a1": d_a1, "d_l1": d_l1, "d_w1": d_w1, "d_b1": d_b1}


FORMULAS = {
    "d_l2": ("(p - y) / N", "(4, 1)"),
    "d_w2": ("a1ᵀ d_l2", "(3, 4) (4, 1)"),
    "d_b2": ("sum of the rows of d_l2", "(4, 1)"),
    "d_a1": ("d_l2 w2ᵀ", "(4, 1) (1, 3)"),
    "d_l1": ("d_a1 * a1 (1 - a1)", "(4, 3) * (4, 3)"),
    "d_w1": ("xᵀ d_l1", "(2, 4) (4, 3)"),
    "d_b1": ("sum of the rows of d_l1", "(4, 3)"),
}


def cost(params: Any) -> Tensor:
    """Compute the mean cross entropy of the four points, in nats."""
    logits = list(forward(params, X).values())[-1]
    return fn.losses.sigmoid_binary_cross_entropy(logits, XOR).mean()


def square(key: Tensor) -> float:
    """Return the relative error of d_x = d_y w instead of d_y wᵀ, for a square w."""
    w, d_y = fn.random.normal(key, (2, 2)), torch.ones(4, 2)
    (d_x,) = fn.vjp(lambda x: x @ w, X)[1](d_y)
    return ((d_y @ w - d_x).norm() / d_x.norm()).item()


def main() -> str:
    """Show the shapes forwards and backwards, and compare with grad; return the answer."""
    args = options.parse(options.parser(__doc__, takes="1 s", seed="seed of the weights"))
    key = fn.random.key(args.seed)
    keys = fn.random.split(key, len(SHAPES))
    params = {name: fn.random.normal(k, shape) for k, (name, shape) in zip(keys, SHAPES.items(), strict=True)}
    found, exact = backward(params, X, XOR), fn.grad(cost)(params)
    values = {"x": X, **{name: params[name] for name in SHAPES}, **forward(params, X)}
    error = max((found[f"d_{name}"] - exact[name]).abs().max().item() for name in SHAPES)
    try:
        X @ found["d_l1"]
    except RuntimeError as caught:
        refused = str(caught)
    said = f"each gradient has the shape of its parameter; largest difference from grad: {error:.0e}"
    report.show(
        report.table(["forwards", "shape"], [[name, str(tuple(v.shape))] for name, v in values.items()]),
        report.table(
            ["backwards", "formula", "shapes", "shape"],
            [[name, *FORMULAS[name], str(tuple(v.shape))] for name, v in found.items()],
        ),
        f"without the transpose, x d_l1 is refused: {refused}",
        f"but with a square w, d_y w for d_y wᵀ is not: its relative error is {square(key):.2f}",
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said
