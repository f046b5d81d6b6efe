"""One unit on XOR: it ends at probability 1/2 for every point, and more training does not help.

The loss is convex in the weights and its gradient at w = 0, b = 0 is 0, so 1/2 is the best possible answer.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
STEPS = 10_001

model = fn.dense(1, w_init=fn.initializers.torch_uniform())


def loss(params: Any) -> Tensor:
    """Compute the mean cross entropy of the four points, in nats."""
    return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, X), Y).mean()


def step(params: Any, _: Any) -> tuple[Any, Tensor]:
    """Descend along the gradient with learning rate 1."""
    value, grads = fn.value_and_grad(loss)(params)
    return fn.sgd_step(params, grads, 1.0), value


def main() -> None:
    """Train one unit and show where it gets stuck."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first weights")
    parser.add_argument("--svg", type=Path, help="write a figure to this file, too: .svg, .png or .pdf")
    args = parser.parse_args()

    start = model.init(fn.random.key(args.seed), X)
    params, losses = fn.jit(lambda params: fn.scan(step, params, length=STEPS))(start)
    probabilities = model.apply(params, X).sigmoid().round(decimals=6)  # further digits are rounding errors
    accuracy = ((probabilities > 0.5) == (Y > 0.5)).float().mean().item()

    origin = fn.tree.zeros_like(params)
    slope = fn.tree.norm(fn.grad(loss)(origin)).item()
    flat_params, unravel = fn.tree.ravel(origin)
    bends = torch.linalg.eigvalsh(fn.hessian(lambda v: loss(unravel(v)))(flat_params))

    marks = [0, 100, 1_000, STEPS - 1]
    report.show(
        report.table(["step", "cost"], [[i, f"{losses[i].item():.7f}"] for i in marks]),
        report.table(["x1", "x2", "target", "probability"], torch.cat([X, Y, probabilities], 1).tolist()),
        f"cost {losses[-1].item():.7f} (ln 2 = 0.6931472), accuracy {accuracy}",
        f"Why: at w = 0 the gradient is {slope:.0e}, the curvatures are {bends.min():.3f} to {bends.max():.3f}, none "
        "of them negative: the loss is convex, and this is its minimum.",
        report.curve({"one unit": losses[:200]}, title="The first 200 steps", x_label="step", y_label="cost (nats)"),
        svg=args.svg,
    )


if __name__ == "__main__":
    main()
