"""A neural ODE learns a spiral: an adaptive solver steps along its paths, and back along the adjoint equation.

The solver is a `while_loop` whose steps follow the estimated error. The gradient is a `custom_vjp` that integrates the
adjoint equation backwards with the same solver and stores no steps. Sources: Bogacki, Shampine (1989), A 3(2) Pair of
Runge-Kutta Formulas; Chen et al. (2018), Neural Ordinary Differential Equations, https://arxiv.org/abs/1806.07366.
"""

from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

STARTS, SPAN, RATE, TOLERANCE = 64, 0.5, 2e-2, 1e-3  # STARTS paths per step of Adam, SPAN long in time
TIMES = torch.arange(61) / 10  # at which a path from (1.2, 0) is shown
net = fn.mlp([32, 2], activation=torch.tanh)


def learned(params: Any, y: Tensor) -> Tensor:
    return net.apply(params, y**3)


def spiral(_: Any, y: Tensor) -> Tensor:
    return y**3 @ torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=y.dtype)


def integrate(f: Any, params: Any, y: Tensor, span: float, tolerance: float) -> Tensor:
    """Follow dy/dt = f(params, y) for a time, which is negative for backwards."""

    def step(carry: Any) -> Any:
        y, slope, left, size = carry
        size = torch.minimum(size, left)
        h = size if span > 0 else -size
        second = f(params, y + h / 2 * slope)
        third = f(params, y + 0.75 * h * second)
        after = y + h * (2 / 9 * slope + 1 / 3 * second + 4 / 9 * third)
        fourth = f(params, after)
        errors = h * (-5 / 72 * slope + 1 / 12 * second + 1 / 9 * third - 1 / 8 * fourth)
        error = torch.sqrt(torch.mean((errors / (tolerance * (1 + torch.abs(y)))) ** 2)) + 1e-9
        kept = (torch.where(error <= 1, *pair) for pair in ((after, y), (fourth, slope), (left - size, left)))
        return *kept, size * torch.clip(0.9 * error ** (-1 / 3), 0.2, 5.0)

    left = torch.tensor(abs(span), dtype=y.dtype)
    start = y, f(params, y), left, left / 4
    return fn.while_loop(lambda carry: (carry[2] > 0) & (carry[3] > 1e-8), step, start)[0]


def forward(f: Any, params: Any, *rest: Any) -> tuple[Tensor, Any]:
    end = integrate(f, params, *rest)
    return end, (params, end)


def backward(f: Any, span: float, tolerance: float, kept: Any, cotangent: Tensor) -> tuple[Any, Tensor]:
    """Go back with -a, the adjoint, and -g, the gradient: -da/dt = a df/dy, -dg/dt = a df/dparams."""
    params, end = kept
    state, unravel = fn.tree.ravel((end, -cotangent, fn.tree.zeros_like(params)))

    def augmented(params: Any, state: Tensor) -> Tensor:
        y, adjoint, _ = unravel(state)
        slope, pull = fn.vjp(f, params, y)
        by_params, by_y = pull(-adjoint)
        return fn.tree.ravel((slope, by_y, by_params))[0]

    _, adjoint, grads = unravel(-integrate(augmented, params, state, -span, tolerance))
    return grads, adjoint


flow = fn.custom_vjp(integrate, nondiff_argnums=(0, 3, 4))
flow.defvjp(forward, backward)


def loss(params: Any, starts: Tensor, tolerance: float = TOLERANCE, solve: Any = flow) -> Tensor:
    """Compute the mean squared distance of the ends of paths from the true ones."""
    ends, true = (fn.vmap(lambda y, f=f: solve(f, params, y, SPAN, tolerance))(starts) for f in (learned, spiral))
    return torch.mean((ends - true) ** 2)


def train(key: Tensor, steps: int) -> tuple[Any, Tensor]:
    """Train by Adam, on new paths at every step; return the parameters and the loss at every step."""
    of_params, of_starts = fn.random.split(key)
    optimizer = fn.optim.adam(fn.optim.cosine_decay_schedule(RATE, steps))

    def step(carry: Any, key: Tensor) -> tuple[Any, Tensor]:
        params, state = carry
        value, grads = fn.value_and_grad(loss)(params, fn.random.uniform(key, (STARTS, 2), minval=-1.5, maxval=1.5))
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), value

    params = net.init(of_params, torch.zeros(2))
    carry, losses = fn.scan(step, (params, optimizer.init(params)), fn.random.split(of_starts, steps))
    return carry[0], losses


def walk(f: Any, params: Any) -> Tensor:
    return fn.scan(lambda y, _: (flow(f, params, y, 0.1, TOLERANCE), y), torch.tensor([1.2, 0.0]), length=61)[1]


def main() -> None:
    """Train a net; show a path of it, the true one, and how far they are apart."""
    parser = options.parser(__doc__, takes="10 s")
    parser.add_argument("--steps", type=options.count, default=3_000, help="steps of Adam")
    args = options.parse(parser)
    params, losses = fn.jit(lambda key: train(key, args.steps))(fn.random.key(args.seed))
    path, true = (fn.jit(walk, static_argnums=0)(f, params) for f in (learned, spiral))
    apart = torch.linalg.vector_norm(path - true, dim=-1)
    report.show(
        report.curve({"neural ODE": path[:, 0], "spiral": true[:, 0]}, x=TIMES, x_label="time", y_label="y1"),
        report.curve({"distance of the paths": apart[1:]}, x=TIMES[1:], log_y=True, x_label="time", y_label="distance"),
        answer=f"mean squared error {losses[0]:.4f} at first, {losses[-20:].mean():.6f} after {args.steps:,} steps",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
