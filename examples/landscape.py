"""Stationary points of a 2-2-1 net on XOR and their curvature: a solution, the minimum at ln(2)/2, the plateau at ln 2.

At a minimum no eigenvalue of the Hessian is negative, whether the net is right on all four points or on two. On the
plateau some are, so there is a direction of descent, but the gradient is tiny. One plane contains all three places.
"""

import math
from typing import Any

import options
import torch
from torch import Tensor
from xor_mlp import X, Y, model

import funcnet as fn
from funcnet import report

NETS, STEPS, EARLY = 256, 20_001, 50
WAY = torch.linspace(0, 1.2, 121, dtype=torch.float64)


def loss(params: Any) -> Tensor:
    """Compute the mean cross entropy of the four points, in nats."""
    return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, X.double()), Y.double()).mean()


def train(params: Any, steps: int) -> tuple[Any, Tensor, Tensor]:
    """Descend; return the last parameters, their cost and the norm of its gradient."""
    params, _ = fn.scan(lambda p, _: (fn.sgd_step(p, fn.grad(loss)(p), 1.0), None), params, length=steps)
    value, grads = fn.value_and_grad(loss)(params)
    return params, value, fn.tree.norm(grads)


def places(key: Tensor) -> dict[str, Any]:
    """Find three places in the runs of many nets: the flattest early on, then the lowest and that at ln(2)/2."""
    start = fn.vmap(model.init, in_dims=(0, None))(fn.random.split(key, NETS), X.double())
    early, costs, norms = fn.jit(fn.vmap(lambda p: train(p, EARLY)))(start)
    late, last, _ = fn.jit(fn.vmap(lambda p: train(p, STEPS)))(start)
    near = (costs - math.log(2)).abs() < 1e-3
    return {
        "solution": fn.tree.unstack(late)[int(last.argmin())],
        "minimum": fn.tree.unstack(late)[int((last - math.log(2) / 2).abs().argmin())],
        "plateau": fn.tree.unstack(early)[int(torch.where(near, norms, math.inf).argmin())],
    }


def spectrum(params: Any, key: Tensor) -> Tensor:
    """Compute all nine eigenvalues of the Hessian, using only products with it."""
    return fn.curvature.lanczos(fn.curvature.hessian_operator(loss, params), params, key, 9).values


def likelihood(corners: list[Any], at: Tensor) -> Tensor:
    """Compute exp(-cost), the mean probability of a right answer, on the plane with corners (0, 0), (1, 0), (0, 1)."""
    origin, *ends = corners
    x, y = (fn.tree.sub(end, origin) for end in ends)

    def of_one(at: Tensor) -> Tensor:
        there = fn.tree.add(fn.tree.scale(at[0], x), fn.tree.scale(at[1], y))
        return (-loss(fn.tree.add(origin, there))).exp()

    return fn.vmap(of_one)(at)


def main() -> None:
    """Find the places; show cost, gradient and spectrum of each, and the plane through them."""
    parser = options.parser(__doc__, takes="7 s")
    args = options.parse(parser)
    of_nets, of_lanczos = fn.random.split(fn.random.key(args.seed))
    found = places(of_nets)
    values = {name: spectrum(params, of_lanczos) for name, params in found.items()}
    norms = {name: fn.tree.norm(fn.grad(loss)(params)).item() for name, params in found.items()}
    rows = [
        ["cost", *(f"{loss(params).item():.6f}" for params in found.values())],
        ["norm of the gradient", *(f"{norm:.1e}" for norm in norms.values())],
        *(
            [f"eigenvalue {i + 1}", *(f"{v:.1e}" for v in row)]
            for i, row in enumerate(zip(*(v.tolist() for v in values.values()), strict=True))
        ),
        ["below -1e-6", *(str(int((v < -1e-6).sum())) for v in values.values())],
    ]
    counted = zip(found.items(), rows[-1][1:], strict=True)
    corners = [found[name] for name in ("plateau", "solution", "minimum")]
    to_solution, to_minimum = (torch.stack(pair, 1) for pair in ((WAY, 0 * WAY), (0 * WAY, WAY)))
    ways = {
        "to the solution": -likelihood(corners, to_solution).log(),
        "to the minimum": -likelihood(corners, to_minimum).log(),
    }
    report.show(
        report.table(["", *found], rows, title=f"Places found by {NETS} nets: ln(2)/2 = 0.346574, ln 2 = 0.693147"),
        report.decision_map(
            lambda at: likelihood(corners, at),
            points=torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64),
            labels=[0, 1, 2],
            quantity="exp(-cost)",
            title="exp(-cost) on the plane of the plateau (0), the solution (1) and the minimum (2)",
            x_label="to the solution",
            y_label="to the minimum",
        ),
        report.curve(
            ways,
            x=WAY,
            title="Cost on straight lines from the plateau",
            x_label="fraction of the line",
            y_label="cost (nats)",
        ),
        answer="; ".join(f"{name}: cost {loss(p):.4f}, {below} negative eigenvalues" for (name, p), below in counted),
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
