"""Gaussian process regression: kernel parameters by the gradient of the log evidence, through a Cholesky factor.

A function with two scales, seen at random points with noise; the length scale, the signal's deviation and that of the
noise are found by Adam, the whole run as one jitted scan. Source: Rasmussen, Williams (2006), Gaussian Processes for
Machine Learning, algorithm 2.1.
"""

import math
from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

NOISE, RATE = 0.2, 0.05


def truth(x: Tensor) -> Tensor:
    return torch.sin(2 * x) + 0.5 * torch.cos(5 * x)


def kernel(log: Any, a: Tensor, b: Tensor) -> Tensor:
    """Return the covariance of the function at two lists of points: (n,), (m,) -> (n, m)."""
    distance = (a[:, None] - b) / torch.exp(log["length"])
    return torch.exp(2 * log["signal"] - 0.5 * distance**2)


def factor(log: Any, x: Tensor) -> Tensor:
    """Return the lower Cholesky factor of the covariance of the observations."""
    noise = torch.exp(2 * log["noise"]) + 1e-6
    return torch.linalg.cholesky(kernel(log, x, x) + noise * torch.eye(len(x), dtype=x.dtype))


def log_evidence(log: Any, x: Tensor, y: Tensor) -> Tensor:
    """Return the log density of the observations, in nats."""
    lower = factor(log, x)
    white = torch.linalg.solve_triangular(lower, y[:, None], upper=False)[:, 0]
    return (
        -0.5 * torch.sum(white**2) - torch.sum(torch.log(torch.diagonal(lower))) - 0.5 * len(x) * math.log(2 * math.pi)
    )


def fit(x: Tensor, y: Tensor, steps: int) -> tuple[Any, Tensor]:
    """Maximise the log evidence; return the logarithms of the parameters and the evidence at every step."""
    optimizer = fn.optim.adam(RATE)

    def step(carry: Any, _: Any) -> tuple[Any, Tensor]:
        log, state = carry
        value, grads = fn.value_and_grad(lambda log: -log_evidence(log, x, y))(log)
        updates, state = optimizer.update(grads, state, log)
        return (fn.optim.apply_updates(log, updates), state), -value

    start = {name: torch.tensor(0.0, dtype=x.dtype) for name in ("length", "signal", "noise")}
    (log, _), values = fn.scan(step, (start, optimizer.init(start)), length=steps)
    return log, values


def predict(log: Any, x: Tensor, y: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of the function at new points."""
    lower = factor(log, x)
    white = torch.linalg.solve_triangular(lower, torch.cat([y[:, None], kernel(log, x, at)], 1), upper=False)
    variance = torch.exp(2 * log["signal"]) - torch.sum(white[:, 1:] ** 2, 0)
    return white[:, 1:].T @ white[:, 0], torch.sqrt(variance)


def observe(key: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draw points and noisy values there: (count,) each."""
    of_x, of_noise = fn.random.split(key)
    x = fn.random.uniform(of_x, (count,), torch.float64, minval=-3.0, maxval=3.0)
    return x, truth(x) + NOISE * fn.random.normal(of_noise, (count,), torch.float64)


def main() -> None:
    """Fit the kernel and show the function with its uncertainty."""
    parser = options.parser(__doc__, takes="8 s")
    parser.add_argument("--points", type=options.count, default=60, help="number of observations")
    parser.add_argument("--steps", type=options.count, default=200, help="steps of Adam")
    args = options.parse(parser)
    x, y = observe(fn.random.key(args.seed), args.points)
    log, values = fn.jit(lambda x, y: fit(x, y, args.steps))(x, y)
    grid = torch.linspace(-4, 4, 161, dtype=torch.float64)
    mean, deviation = fn.jit(predict)(log, x, y, grid)
    inside = grid.abs() <= 3
    error = (mean - truth(grid))[inside].square().mean().sqrt()
    covered = ((mean - truth(grid)).abs() <= 2 * deviation)[inside].double().mean()
    rows = [[name, f"{value.exp():.3f}"] for name, value in log.items()]
    report.show(
        report.table(["parameter", "value"], rows, title=f"After {args.steps} steps (the noise is {NOISE})"),
        report.curve(
            {
                "mean": mean,
                "function": truth(grid),
                "mean + 2 dev": mean + 2 * deviation,
                "mean - 2 dev": mean - 2 * deviation,
            },
            x=grid,
            x_label="x (observed from -3 to 3)",
            y_label="y",
        ),
        answer=f"log evidence {values[0]:.4f} at first, {log_evidence(log, x, y):.4f} at last; "
        f"root mean square error {error:.3f}, {covered:.0%} of the function within two deviations",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
