"""One unit on XOR: it ends at probability 1/2 for every point, and more training does not help.

It cannot: with z = w1 x1 + w2 x2 + b, a unit that is right on all four points needs

    z(0, 0) = b           <= 0        z(0, 1) = w2 + b > 0
    z(1, 1) = w1 + w2 + b <= 0        z(1, 0) = w1 + b > 0

The sum of the left column is w1 + w2 + 2 b <= 0, and so is that of the right column, which is > 0: a contradiction.

Nor can the cost fall below ln 2. It is the mean of softplus(s z) over the points, where s is 1 for target 0 and -1 for
target 1. The four s z are affine in w and b, and their sum is 0, because the two columns above cancel. The softplus is
convex, so by Jensen's inequality the cost is at least the softplus of the mean of the s z, which is

    softplus(0) = ln 2

with equality at w = 0, b = 0, where every probability is 1/2. A convex function of an affine map is convex: the cost
has no other minimum.
"""

from typing import Any

import options
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


def main() -> str:
    """Train one unit and show where it gets stuck; return the answer."""
    parser = options.parser(__doc__, takes="2 s", seed="seed of the first weights")
    args = options.parse(parser)

    start = model.init(fn.random.key(args.seed), X)
    params, losses = fn.jit(lambda params: fn.scan(step, params, length=STEPS))(start)
    probabilities = model.apply(params, X).sigmoid().round(decimals=6)  # further digits are rounding errors
    accuracy = ((probabilities > 0.5) == (Y > 0.5)).float().mean().item()

    sides = torch.where(Y > 0.5, -1.0, 1.0)
    start_sum, last_sum = ((sides * model.apply(p, X)).sum().item() for p in (start, params))
    slope = fn.tree.norm(fn.grad(loss)(fn.tree.zeros_like(params))).item()

    said = f"cost {losses[-1].item():.7f} (ln 2 = 0.6931472), accuracy {accuracy}"
    marks = [0, 100, 1_000, STEPS - 1]
    report.show(
        report.table(["step", "cost"], [[i, f"{losses[i].item():.7f}"] for i in marks]),
        report.table(["x1", "x2", "target", "probability"], torch.cat([X, Y, probabilities], 1).tolist()),
        "Why no unit is right on all four points: it would need\n"
        "  b <= 0,  w1 + w2 + b <= 0,  w1 + b > 0,  w2 + b > 0.\n"
        "The first two add up to w1 + w2 + 2 b <= 0, the last two to w1 + w2 + 2 b > 0: a contradiction.",
        "Why the cost is at least ln 2: it is the mean of softplus(s z), where z = w1 x1 + w2 x2 + b, and s is 1 for "
        f"target 0 and -1 for target 1. The sum of the four s z is 0 for all w and b (computed: {start_sum:.0e} before "
        f"training, {last_sum:.0e} after it), and the softplus is convex, so that the cost is at least softplus(0) = "
        f"ln 2. It is ln 2 at w = 0, b = 0, where the gradient is {slope:.0e}. Convex functions of affine maps are "
        "convex: the cost has no other minimum.",
        report.curve({"one unit": losses[:200]}, title="The first 200 steps", x_label="step", y_label="cost (nats)"),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said


if __name__ == "__main__":
    main()
