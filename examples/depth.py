"""Two layers against four on XOR: 2-2-1 leaves the plateau at ln 2 early, 2-10-10-10-1 late.

A sigmoid's slope is at most 1/4, so each layer with small weights shrinks the input in the forward pass and the
gradient in the backward pass. At step 0 the gradient's norm falls tenfold per layer. The last layer soon learns the
mean of the targets, which needs no input; the remaining gradient is small in every layer, so the deep net stays on the
plateau.
"""

from itertools import pairwise
from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])


def mlp(*sizes: int) -> fn.Layer:
    """Stack dense layers, initialised like torch.nn.Linear, with sigmoids between them."""
    start = fn.initializers.torch_uniform
    parts: list[Any] = []
    for fan_in, features in pairwise(sizes):
        parts += [fn.dense(features, w_init=start(), b_init=start(fan_in=fan_in)), torch.sigmoid]
    return fn.serial(*parts[:-1])


NETS = {"2-2-1": mlp(2, 2, 1), "2-10-10-10-1": mlp(2, 10, 10, 10, 1)}


def train(model: fn.Layer, key: Tensor, steps: int) -> tuple[Any, Tensor, Tensor]:
    """Train a net from a key; return its params, its cost and the norms of its layers' gradients at each step."""

    def loss(params: Any) -> Tensor:
        return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, X), Y).mean()

    def step(params: Any, _: Any) -> tuple[Any, tuple[Tensor, Tensor]]:
        value, grads = fn.value_and_grad(loss)(params)
        norms = torch.stack([fn.tree.norm(layer) for layer in grads if layer])
        return fn.sgd_step(params, grads, 1.0), (value, norms)

    params, (losses, norms) = fn.scan(step, model.init(key, X), length=steps)
    return params, losses, norms


def leaves_plateau(losses: Tensor) -> str:
    """Return the step at which the cost first falls below 0.6."""
    below = (losses < 0.6).nonzero()
    return f"{below[0].item():,}" if len(below) else f"not in {len(losses) - 1:,} steps"


def main() -> str:
    """Train both nets; draw their costs, and the deep net's gradients; return the answer."""
    parser = options.parser(__doc__, takes="6 s", seed="seed of the first weights")
    parser.add_argument("--steps", type=options.count, default=10_001, help="steps at learning rate 1")
    args = options.parse(parser)

    key = fn.random.key(args.seed)
    runs = {name: fn.jit(train)(model, key, args.steps) for name, model in NETS.items()}
    every = slice(None, None, max(1, args.steps // 400))
    rows = [
        [
            name,
            f"{losses[0].item():.4f}",
            f"{losses[-1].item():.6f}",
            leaves_plateau(losses),
        ]
        for name, (_, losses, _) in runs.items()
    ]
    early = sorted({min(step, args.steps - 1) for step in (0, 10, 100)})
    gradients = [
        [step, *(" ".join(f"{norm:.0e}" for norm in norms[step].tolist()) for *_, norms in runs.values())]
        for step in early
    ]
    deep = runs["2-10-10-10-1"][2][every]
    x = torch.arange(args.steps)[every]
    said = "; ".join(f"{name} leaves the plateau at step {left}" for name, *_, left in rows)
    report.show(
        report.table(["net", "first cost", "last cost", "below 0.6 at step"], rows),
        report.table(["step", *runs], gradients, title="Norms of the gradients, from the first layer to the last"),
        report.curve(
            {name: losses[every] for name, (_, losses, _) in runs.items()}, x=x, x_label="step", y_label="cost (nats)"
        ),
        report.curve(
            {f"layer {i + 1}": deep[:, i] for i in range(deep.shape[1])},
            x=x,
            log_y=True,
            title="Norms of the deep net's gradients",
            x_label="step",
            y_label="norm",
        ),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said


if __name__ == "__main__":
    main()
