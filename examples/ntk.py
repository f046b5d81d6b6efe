"""The wider a net, the more it trains like its linearisation.

A net with one hidden layer in the NTK parametrisation, where the influence of each parameter falls with the width, and
its first-order Taylor polynomial around the initial parameters learn the same points by the same gradient descent.
Their difference is bounded by a multiple of the inverse square root of the width, and the predictions of the linear
model follow from the neural tangent kernel. Source: Lee et al. (2019), Wide Neural Networks of Any Depth Evolve as
Linear Models, https://arxiv.org/abs/1902.06720.
"""

from collections.abc import Callable
from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

WIDTHS = (16, 64, 256, 1_024, 4_096)
STEPS, RATE, NETS = 400, 0.2, 8

X = torch.linspace(-1, 1, 8, dtype=torch.float64)
Y = (3 * X).sin()
GRID = torch.linspace(-1.2, 1.2, 97, dtype=torch.float64)


def init(key: Tensor, width: int) -> Any:
    """Draw everything from the standard normal distribution; the scales are in the model."""
    keys = fn.random.split(key, 3)
    return {name: fn.random.normal(k, (width,), torch.float64) for name, k in zip("abw", keys, strict=True)}


def model(params: Any, x: Tensor) -> Tensor:
    """Predict a number from a number."""
    hidden = torch.tanh(2 * params["w"] * x + params["b"])
    return (params["a"] * hidden).sum() / len(params["a"]) ** 0.5


Model = Callable[[Any, Tensor], Tensor]


def predict(f: Model, params: Any, x: Tensor) -> Tensor:
    return fn.vmap(f, in_dims=(None, 0))(params, x)


def train(f: Model, params: Any) -> tuple[Any, Tensor]:
    """Descend; return the last parameters and the predictions on the grid at every step."""

    def loss(params: Any) -> Tensor:
        return fn.losses.l2_loss(predict(f, params, X), Y).mean()

    def step(params: Any, _: Any) -> tuple[Any, Tensor]:
        return fn.sgd_step(params, fn.grad(loss)(params), RATE), predict(f, params, GRID)

    return fn.scan(step, params, length=STEPS)


def both(key: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Train a net and its linearisation; return their predictions, (steps, grid) each."""
    params = init(key, width)
    return train(model, params)[1], train(fn.curvature.taylor(model, params), params)[1]


def foretell(params: Any) -> Tensor:
    """Compute from the kernel the predictions of the linearisation on the grid after the last step."""
    at_data, to_grid = (fn.curvature.ntk(model, params, x, X, block_size=16) / len(X) for x in (X, GRID))
    values, vectors = torch.linalg.eigh(at_data)
    learned = (1 - (1 - RATE * values) ** (STEPS - 1)) / values
    error = Y - predict(model, params, X)
    return predict(model, params, GRID) + to_grid @ (vectors @ (learned * (vectors.T @ error)))


def main() -> None:
    """Train nets of all widths and their linearisations; show how far they differ."""
    parser = options.parser(__doc__, takes="30 s")
    parser.add_argument("--widths", type=options.count, nargs="+", default=WIDTHS, help="hidden units")
    args = options.parse(parser)
    keys = fn.random.split(fn.random.key(args.seed), NETS)
    rows, apart, last = [], [], {}
    for width in report.track(args.widths, "training"):
        nets, linear = fn.jit(fn.vmap(both, in_dims=(0, None)))(keys, width)
        apart.append((nets - linear).square().mean(-1).sqrt().max(1).values.mean())
        moved = (nets[:, -1] - nets[:, 0]).square().mean().sqrt()
        foretold = torch.stack([foretell(init(key, width)) for key in keys])
        wrong = (linear[:, -1] - foretold).abs().max()
        rows.append([f"{width:,}", *(f"{v.item():.2g}" for v in (moved, apart[-1])), f"{wrong.item():.0e}"])
        last = {f"net of {width:,}": nets[0, -1], "linearised": linear[0, -1], "before": nets[0, 0]}
    slope = (apart[-1] / apart[0]).log() / (torch.tensor(args.widths[-1] / args.widths[0]).log())
    report.show(
        report.table(
            ["width", "learned", "net from linear", "linear from kernel"], rows, title=f"Means of {NETS} nets"
        ),
        report.curve(
            {"net from linear": torch.stack(apart)},
            x=torch.tensor(args.widths),
            log_x=True,
            log_y=True,
            title="Largest difference of nets and linearisations in training",
            x_label="width",
            y_label="root mean square",
        ),
        report.curve(last, x=GRID, title="After training", x_label="x", y_label="prediction"),
        answer=f"the difference scales as the width to the power {slope.item():.2f}",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
