"""A deep equilibrium model separates two spirals: its hidden layer is the solution of an equation.

The hidden vector is the fixed point z = tanh(W z + U x + b), found by iteration until it no longer moves. `custom_root`
differentiates it with the implicit function theorem: one linear system at the fixed point, solved by iteration, too,
and no memory of the steps. The gradients are compared with those through an unrolled loop. Source: Bai, Kolter, Koltun
(2019), Deep Equilibrium Models, https://arxiv.org/abs/1909.01377.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

HIDDEN, RATE, CONTRACTION, SIDE = 24, 1e-2, 0.95, (-1.3, 1.3)

Map = Callable[[Tensor], Tensor]
encode, decode = fn.dense(HIDDEN), fn.dense(1)


def init(key: Tensor, x: Tensor) -> Any:
    of_w, of_encode, of_decode = fn.random.split(key, 3)
    w = fn.random.normal(of_w, (HIDDEN, HIDDEN)) / HIDDEN
    return {"w": w, "encode": encode.init(of_encode, x), "decode": decode.init(of_decode, torch.zeros(HIDDEN))}


def iterate(tolerance: float, f: Map, z: Tensor) -> Tensor:
    """Repeat z = f(z) until the largest change is at most the tolerance."""

    def moves(carry: tuple[Tensor, Tensor]) -> Tensor:
        return torch.amax(torch.abs(carry[0] - carry[1])) > tolerance

    return fn.while_loop(moves, lambda carry: (f(carry[0]), carry[0]), (f(z), z))[0]


def implicit(tolerance: float, f: Map, z: Tensor) -> Tensor:
    """Find the fixed point of f; with g = 1 - f', its derivative solves g(v) = y by the iteration v = y + v - g(v)."""
    solve = partial(iterate, tolerance)
    return fn.custom_root(
        lambda z: z - f(z), z, lambda _, z: solve(f, z), lambda g, y: solve(lambda v: y + v - g(v), y)
    )


def unrolled(steps: int, f: Map, z: Tensor) -> Tensor:
    """Take a given number of steps, through which the derivative goes."""
    return fn.scan(lambda z, _: (f(z), None), z, length=steps)[0]


def logits(params: Any, x: Tensor, solve: Callable[[Map, Tensor], Tensor]) -> Tensor:
    """Return the logit of each point: (points, 2) -> (points,)."""
    drive = encode.apply(params["encode"], x)
    lipschitz = torch.amax(torch.sum(torch.abs(params["w"]), 0))  # of the map, in the largest norm
    w = params["w"] * torch.clip(CONTRACTION / lipschitz, max=1.0)
    z = solve(lambda z: torch.tanh(z @ w + drive), torch.zeros_like(drive))
    return decode.apply(params["decode"], z)[:, 0]


def loss(params: Any, x: Tensor, y: Tensor, solve: Callable[[Map, Tensor], Tensor]) -> Tensor:
    return torch.mean(fn.losses.sigmoid_binary_cross_entropy(logits(params, x, solve), y))


def spirals(key: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draw points on two spirals, and their class, 0 or 1."""
    of_angle, of_noise = fn.random.split(key)
    y = torch.arange(count) % 2
    angle = 1.5 * math.pi * torch.sqrt(fn.random.uniform(of_angle, (count,), minval=0.05, maxval=1.0))
    turned = angle + math.pi * y
    x = (angle / 5)[:, None] * torch.stack([torch.cos(turned), torch.sin(turned)], -1)
    return x + 0.03 * fn.random.normal(of_noise, (count, 2)), y.float()


def train(params: Any, x: Tensor, y: Tensor, steps: int) -> tuple[Any, Tensor]:
    """Train by Adam; return the parameters and the loss at every step."""
    optimizer = fn.optim.adam(RATE)

    def step(carry: Any, _: Any) -> tuple[Any, Tensor]:
        params, state = carry
        value, grads = fn.value_and_grad(loss)(params, x, y, partial(implicit, 1e-5))
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), value

    carry, losses = fn.scan(step, (params, optimizer.init(params)), length=steps)
    return carry[0], losses


def main() -> None:
    """Train a model; show its gradients' error, its accuracy and its decisions."""
    parser = options.parser(__doc__, takes="7 s")
    parser.add_argument("--steps", type=options.count, default=500, help="steps of Adam")
    args = options.parse(parser)
    of_data, of_params = fn.random.split(fn.random.key(args.seed))
    x, y = spirals(of_data, 200)
    params, losses = fn.jit(partial(train, steps=args.steps))(init(of_params, x[0]), x, y)
    exact = fn.tree.map(lambda leaf: leaf.double(), (params, x, y))
    grads = [
        fn.jit(fn.grad(partial(loss, solve=s)))(*exact) for s in (partial(implicit, 1e-14), partial(unrolled, 400))
    ]
    apart = max(fn.tree.leaves(fn.tree.map(lambda a, b: (a - b).abs().max().item(), *grads)))
    solved = partial(logits, params, solve=partial(iterate, 1e-5))
    right = ((solved(x) > 0) == (y > 0.5)).float().mean().item()
    report.show(
        report.decision_map(
            lambda x: solved(x).sigmoid(), points=x, labels=y, x_range=SIDE, y_range=SIDE, quantity="P(class 1)"
        ),
        answer=f"cost {losses[0]:.4f} at first, {losses[-1]:.4f} after {args.steps} steps, accuracy {right:.1%}; "
        f"implicit and unrolled gradients differ by at most {apart:.0e}",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
