"""The chain rule on a graph, at w = -2, x = 5, b = 3.

    g = w x
    f = g + b

Each node knows its own derivatives; multiplying them along the path from f back to w gives df/dw. Reverse mode does so
from the result (vjp), forward mode from the arguments (jvp), and grad does it for the whole graph.
"""

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report


def times(w: Tensor, x: Tensor) -> Tensor:
    """Compute the node g = w x."""
    return w * x


def plus(g: Tensor, b: Tensor) -> Tensor:
    """Compute the node f = g + b."""
    return g + b


def f(w: Tensor, x: Tensor, b: Tensor) -> Tensor:
    """Compute the graph, one node after the other."""
    return plus(times(w, x), b)


def by_hand(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Multiply the derivatives of the nodes, which follow from the rules for products and sums."""
    df_dg, df_db = torch.ones(()), torch.ones(())
    dg_dw, dg_dx = x, w
    return df_dg * dg_dw, df_dg * dg_dx, df_db


def by_vjp(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pull 1 back from f: through the sum, then through the product."""
    g, back_through_times = fn.vjp(times, w, x)
    _, back_through_plus = fn.vjp(plus, g, b)
    df_dg, df_db = back_through_plus(torch.ones(()))
    return *back_through_times(df_dg), df_db


def by_jvp(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """Push a change of 1 in one argument at a time through the product, then through the sum."""

    def push(dw: Tensor, dx: Tensor, db: Tensor) -> Tensor:
        g, dg = fn.jvp(times, (w, x), (dw, dx))
        return fn.jvp(plus, (g, b), (dg, db))[1]

    return tuple(fn.vmap(push)(*torch.eye(3)))


def main() -> str:
    """Show the graph with its derivatives and the four ways to df/dw; return the answer."""
    parser = options.parser(__doc__, takes="1 s", seed="draw w, x and b from this seed instead of taking -2, 5 and 3")
    parser.set_defaults(seed=None)
    args = options.parse(parser)

    w, x, b = torch.tensor([-2.0, 5.0, 3.0])
    if args.seed is not None:
        w, x, b = fn.random.randint(fn.random.key(args.seed), (3,), -9, 10).float()

    g = times(w, x)
    dg_dw, dg_dx = fn.grad(times, (0, 1))(w, x)
    df_dg, df_db = fn.grad(plus, (0, 1))(g, b)
    nodes = [
        ["g = w x", g.item(), f"dg/dw = x = {dg_dw.item():g}", f"dg/dx = w = {dg_dx.item():g}"],
        ["f = g + b", f(w, x, b).item(), f"df/dg = {df_dg.item():g}", f"df/db = {df_db.item():g}"],
    ]
    ways = {"by hand": by_hand, "vjp": by_vjp, "jvp": by_jvp, "grad": fn.grad(f, (0, 1, 2))}
    rows = [[name, *(d.item() for d in way(w, x, b))] for name, way in ways.items()]
    by_grad = ways["grad"](w, x, b)
    agree = all(fn.tree.allclose(way(w, x, b), by_grad) for way in ways.values())
    named = ", ".join(f"df/d{name} = {d.item():g}" for name, d in zip("wxb", by_grad, strict=True))
    said = f"f = {f(w, x, b).item():g}: {named}; all ways {'agree' if agree else 'differ'}"
    report.show(
        f"w = {w.item():g}, x = {x.item():g}, b = {b.item():g}",
        "  w ──┐\n      × ── g ──┐\n  x ──┘        + ── f\n  b ───────────┘",
        report.table(["node", "value", "derivatives", ""], nodes, title="Node by node"),
        report.table(["way", "df/dw", "df/dx", "df/db"], rows, title="Along the graph"),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said


if __name__ == "__main__":
    main()
