"""Ridge regression chooses its own penalties: gradients of the validation error through a linear solve.

Each feature has its own penalty, and most features are irrelevant. The weights solve (XᵀX + penalties) w = Xᵀy by
conjugate gradients; `custom_linear_solve` differentiates that solution through a second solve, not by its steps.
Descent on the validation error then raises the penalties of the irrelevant features. The gradient is compared with that
through an elimination. Source: Bengio (2000), Gradient-Based Optimization of Hyperparameters.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

FEATURES, RELEVANT, ROWS, NOISE, RATE = 40, 8, 60, 2.0, 0.1


class Data(NamedTuple):
    x: Tensor  # (ROWS, FEATURES) float64
    y: Tensor  # (ROWS,)


def draw(key: Tensor) -> tuple[Data, Data, Data]:
    """Draw data to fit, to validate and to test on."""
    of_x, of_noise = fn.random.split(key)
    x = fn.random.normal(of_x, (3, ROWS, FEATURES), torch.float64)
    noise = NOISE * fn.random.normal(of_noise, (3, ROWS), torch.float64)
    y = torch.sum(x[..., :RELEVANT], -1) + noise
    fit, validate, test = (Data(x[i], y[i]) for i in range(3))
    return fit, validate, test


def conjugate_gradients(matvec: Callable[[Tensor], Tensor], b: Tensor) -> Tensor:
    """Solve A x = b for a symmetric positive definite A, to 1e-12 of b."""
    enough = 1e-24 * torch.sum(b * b)

    def step(carry: Any) -> Any:
        x, r, p, square, count = carry
        q = matvec(p)
        size = square / torch.sum(p * q)
        x, r = x + size * p, r - size * q
        after = torch.sum(r * r)
        return x, r, r + after / square * p, after, count + 1

    start = (torch.zeros_like(b), b, b, torch.sum(b * b), torch.tensor(0))
    return fn.while_loop(lambda c: (c[3] > enough) & (c[4] < 10 * FEATURES), step, start)[0]


def weights(log_penalties: Tensor, data: Data) -> Tensor:
    """Fit the weights: (FEATURES,)."""

    def product(w: Tensor) -> Tensor:
        return data.x.T @ (data.x @ w) + torch.exp(log_penalties) * w

    return fn.custom_linear_solve(product, data.x.T @ data.y, conjugate_gradients, symmetric=True)


def error(w: Tensor, data: Data) -> Tensor:
    """Return the mean squared error of the weights."""
    return torch.mean((data.x @ w - data.y) ** 2)


def objective(log_penalties: Tensor, fit: Data, validate: Data) -> Tensor:
    return error(weights(log_penalties, fit), validate)


def direct(log_penalties: Tensor, fit: Data, validate: Data) -> Tensor:
    """Do the same by elimination, which torch differentiates."""
    matrix = fit.x.T @ fit.x + torch.diag(torch.exp(log_penalties))
    return error(torch.linalg.solve(matrix, fit.x.T @ fit.y), validate)


def choose(fit: Data, validate: Data, steps: int) -> tuple[Tensor, Tensor]:
    """Descend on the validation error by Adam; return the log penalties and the error at every step."""
    optimizer = fn.optim.adam(RATE)

    def step(carry: Any, _: Any) -> tuple[Any, Tensor]:
        penalties, state = carry
        value, grads = fn.value_and_grad(objective)(penalties, fit, validate)
        updates, state = optimizer.update(grads, state, penalties)
        return (penalties + updates, state), value

    start = torch.zeros(FEATURES, dtype=torch.float64)
    (penalties, _), errors = fn.scan(step, (start, optimizer.init(start)), length=steps)
    return penalties, errors


def main() -> None:
    """Choose the penalties; compare the test error with that of least squares and of one penalty."""
    parser = options.parser(__doc__, takes="6 s")
    parser.add_argument("--steps", type=options.count, default=100, help="steps of Adam")
    args = options.parse(parser)
    fit, validate, _ = data = draw(fn.random.key(args.seed))
    penalties, errors = fn.jit(partial(choose, steps=args.steps))(fit, validate)
    singles = torch.linspace(-3, 6, 46, dtype=torch.float64)[:, None].expand(-1, FEATURES)
    validated = fn.jit(fn.vmap(objective, in_dims=(0, None, None)))(singles, fit, validate)
    chosen = {"none": singles[0] - 20, "the best single one": singles[validated.argmin()], "one per feature": penalties}
    rows = [[name, *(f"{error(weights(log, fit), each):.3f}" for each in data)] for name, log in chosen.items()]
    implicit, exact = (fn.grad(f)(penalties, fit, validate) for f in (objective, direct))
    apart = (implicit - exact).abs().max()
    report.show(
        report.table(
            ["penalty", "fitted", "validation", "test"], rows, title=f"Mean squared errors; noise {NOISE**2:g}"
        ),
        report.curve({"validation error": errors}, x_label="step", y_label="mean squared error"),
        answer=f"mean log penalty of the relevant features {penalties[:RELEVANT].mean():.2f}, of the others "
        f"{penalties[RELEVANT:].mean():.2f}; gradients from iteration and elimination differ by at most {apart:.0e}",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
