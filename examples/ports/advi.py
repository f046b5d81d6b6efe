"""Variational inference by gradients (ADVI): a normal distribution is fitted to the posterior of a regression.

The evidence lower bound is a mean over draws q = m + L z, with z standard normal, so that its gradient goes through the
draws. For a linear regression all answers are known: the posterior is normal; the best L has the deviations of the
posterior, and the bound is the log evidence; the best diagonal L (mean field) has only the conditional deviations,
1 / sqrt(diag(precision)), which are too small. Source: Kucukelbir et al. (2017), Automatic Differentiation Variational
Inference, https://arxiv.org/abs/1603.00788.
"""

import math
from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

ROWS, NOISE, PRIOR = 50, 1.0, 3.0
DRAWS, RATE = 64, 0.05


def observe(key: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a line, a constant and a feature close to the line, and noisy observations: (ROWS, 3) and (ROWS,)."""
    of_line, of_near, of_noise = fn.random.split(key, 3)
    line = fn.random.normal(of_line, (ROWS,))
    near = 0.9 * line + 0.4 * fn.random.normal(of_near, (ROWS,))
    x = torch.stack([torch.ones(ROWS), line, near], -1)
    return x, x @ torch.tensor([1.0, 2.0, -1.0]) + NOISE * fn.random.normal(of_noise, (ROWS,))


def log_joint(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the log density of weights and observations."""
    logpdf = fn.scipy.stats.norm.logpdf
    return torch.sum(logpdf(weights, 0.0, PRIOR)) + torch.sum(logpdf(y, x @ weights, NOISE))


def factor(params: Any, full: bool) -> Tensor:
    """Return L, lower triangular with a positive diagonal, or diagonal."""
    diagonal = torch.diag(torch.exp(params["log_scale"]))
    return diagonal + torch.tril(params["below"], -1) if full else diagonal


def bound(params: Any, z: Tensor, x: Tensor, y: Tensor, full: bool) -> Tensor:
    """Estimate the evidence lower bound in nats, from standard normal draws: (draws, 3)."""
    weights = params["mean"] + z @ factor(params, full).T
    entropy = torch.sum(params["log_scale"]) + 0.5 * len(params["mean"]) * math.log(2 * math.pi * math.e)
    return torch.mean(fn.vmap(log_joint, in_dims=(0, None, None))(weights, x, y)) + entropy


def fit(key: Tensor, x: Tensor, y: Tensor, full: bool, steps: int) -> tuple[Any, Tensor]:
    """Maximise the bound by Adam; return the parameters and the bound at every step."""
    optimizer = fn.optim.adam(fn.optim.cosine_decay_schedule(RATE, steps))

    def step(carry: Any, key: Tensor) -> tuple[Any, Tensor]:
        params, state = carry
        z = fn.random.normal(key, (DRAWS, 3))
        value, grads = fn.value_and_grad(lambda params: -bound(params, z, x, y, full))(params)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), -value

    params = {"mean": torch.zeros(3), "log_scale": torch.zeros(3), "below": torch.zeros(3, 3)}
    (params, _), bounds = fn.scan(step, (params, optimizer.init(params)), fn.random.split(key, steps))
    return params, bounds


def posterior(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the exact mean and precision of the weights, and the log evidence."""
    x, y = x.double(), y.double()
    precision = x.T @ x / NOISE**2 + torch.eye(3) / PRIOR**2
    mean = torch.linalg.solve(precision, x.T @ y) / NOISE**2
    covariance = NOISE**2 * torch.eye(ROWS) + PRIOR**2 * x @ x.T
    return mean, precision, torch.distributions.MultivariateNormal(0 * y, covariance).log_prob(y)


def main() -> None:
    """Fit both families; compare their moments and bounds with the exact ones."""
    parser = options.parser(__doc__, takes="8 s")
    parser.add_argument("--steps", type=options.count, default=3_000, help="steps of Adam")
    args = options.parse(parser)
    of_data, of_fit, of_test = fn.random.split(fn.random.key(args.seed), 3)
    x, y = observe(of_data)
    z = fn.random.normal(of_test, (100_000, 3))
    rows, curves = [], {}
    for name, full in (("full rank", True), ("mean field", False)):
        params, curves[name] = fn.jit(lambda key, full=full: fit(key, x, y, full, args.steps))(of_fit)
        moments = *params["mean"], *factor(params, full).square().sum(1).sqrt(), bound(params, z, x, y, full)
        rows.append([name, *(f"{number:.3f}" for number in moments)])
    mean, precision, evidence = posterior(x, y)
    exact = *mean, *precision.inverse().diagonal().sqrt(), evidence
    conditional = [""] * 3 + [f"{number:.3f}" for number in precision.diagonal().rsqrt()] + [""]
    rows += [["exact", *(f"{number:.3f}" for number in exact)], ["conditional", *conditional]]
    report.show(
        report.table(
            ["", *(f"mean {i}" for i in range(3)), *(f"dev. {i}" for i in range(3)), "bound"],
            rows,
            title="Three weights, and the bound of the log evidence",
        ),
        report.curve({name: c[20:] for name, c in curves.items()}, x_label="step", y_label="bound, nats"),
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
