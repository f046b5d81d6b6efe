"""A physics-informed net solves Burgers' equation: the loss is the equation itself, at random points.

u_t + u u_x = NU u_xx has a travelling front u = (1 - tanh((x - t / 2) / (4 NU))) / 2. The net sees its values only at
t = 0 and at both ends; in between, the squared residual of the equation is minimised, with the derivatives with respect
to x and t from `grad`. Source: Raissi, Perdikaris, Karniadakis (2019), Physics-informed neural networks,
https://arxiv.org/abs/1711.10561.
"""

from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

NU, LEFT, RIGHT = 0.05, -1.0, 1.5
POINTS, RATE = 256, 5e-3  # points inside per step, and as many on the edges

model = fn.mlp([24, 24, 24, 1], activation=torch.tanh)


def exact(x: Tensor, t: Tensor) -> Tensor:
    return 0.5 * (1 - torch.tanh((x - 0.5 * t) / (4 * NU)))


def u(params: Any, x: Tensor, t: Tensor) -> Tensor:
    """Return the net's solution at one point."""
    return model.apply(params, torch.stack([x, 2 * t - 1]))[0]


def residual(params: Any, x: Tensor, t: Tensor) -> Tensor:
    """Return by how much the net violates the equation at one point."""
    value, (slope, change) = fn.value_and_grad(u, argnums=(1, 2))(params, x, t)
    curvature = fn.grad(fn.grad(u, argnums=1), argnums=1)(params, x, t)
    return change + value * slope - NU * curvature


def edges(key: Tensor) -> tuple[Tensor, Tensor]:
    """Draw points (x, t) of which half have t = 0, a quarter each x = LEFT and x = RIGHT."""
    place = fn.random.uniform(key, (POINTS,))
    half, quarter = POINTS // 2, POINTS // 4
    ends = torch.tensor([LEFT] * quarter + [RIGHT] * quarter)
    x = torch.cat([LEFT + (RIGHT - LEFT) * place[:half], ends])
    return x, torch.cat([torch.zeros(half), place[half:]])


def loss(params: Any, key: Tensor) -> Tensor:
    """Compute the mean squared residual inside, plus the mean squared error on the edges."""
    of_x, of_t, of_edges = fn.random.split(key, 3)
    x = fn.random.uniform(of_x, (POINTS,), minval=LEFT, maxval=RIGHT)
    inside = fn.vmap(residual, in_dims=(None, 0, 0))(params, x, fn.random.uniform(of_t, (POINTS,)))
    x, t = edges(of_edges)
    errors = fn.vmap(u, in_dims=(None, 0, 0))(params, x, t) - exact(x, t)
    return torch.mean(inside**2) + torch.mean(errors**2)


def train(key: Tensor, steps: int) -> tuple[Any, Tensor]:
    """Train by Adam with a decaying rate; return the parameters and the loss at every step."""
    of_params, of_points = fn.random.split(key)
    optimizer = fn.optim.adam(fn.optim.cosine_decay_schedule(RATE, steps))

    def step(carry: Any, key: Tensor) -> tuple[Any, Tensor]:
        params, state = carry
        value, grads = fn.value_and_grad(loss)(params, key)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), value

    params = model.init(of_params, torch.zeros(2))
    (params, _), losses = fn.scan(step, (params, optimizer.init(params)), fn.random.split(of_points, steps))
    return params, losses


def main() -> None:
    """Solve the equation; compare with the exact solution."""
    parser = options.parser(__doc__, takes="8 s")
    parser.add_argument("--steps", type=options.count, default=2_000, help="steps of Adam")
    args = options.parse(parser)
    params, losses = fn.jit(lambda key: train(key, args.steps))(fn.random.key(args.seed))
    grid = torch.linspace(LEFT, RIGHT, 101)
    times = torch.tensor([0.0, 0.5, 1.0])[:, None].expand(-1, 101)
    solved = fn.vmap(fn.vmap(u, in_dims=(None, 0, 0)), in_dims=(None, None, 0))(params, grid, times)
    worst = (solved - exact(grid, times)).abs().amax(-1)
    report.show(
        report.table(
            ["time", "largest error"], [[f"{t:g}", f"{e:.4f}"] for t, e in zip((0, 0.5, 1), worst, strict=True)]
        ),
        report.curve(
            {**{f"t = {t[0]:g}": u for t, u in zip(times, solved, strict=True)}, "exact, t = 1": exact(grid, times[2])},
            x=grid,
            x_label="x",
            y_label="u",
        ),
        answer=f"loss {losses[0]:.4f} at first, {losses[-1]:.2e} after {args.steps} steps",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
