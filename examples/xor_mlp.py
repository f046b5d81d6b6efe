"""XOR solved by a 2-2-1 MLP that is a pure function of a key.

Two hidden units draw two lines; the output unit returns 1 between them. With --seeds N, N nets are trained at once by
vmap and counted: most solve XOR, some end in the local minimum at ln(2)/2 (two points right, two at 1/2).
"""

import math
import time
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
STEPS, FRAMES = 10_001, 40

dense = partial(fn.dense, w_init=fn.initializers.torch_uniform(), b_init=fn.initializers.torch_uniform(fan_in=2))
model = fn.serial(hidden=dense(2), activation=torch.sigmoid, out=dense(1))


def loss(params: Any) -> Tensor:
    """Compute the mean cross entropy of the four points, in nats."""
    return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, X), Y).mean()


def run(key: Tensor, remember: bool = False) -> tuple[Any, Any]:
    """Train one net from a key: a whole training run as a pure function; `remember` returns all params, too."""

    def step(params: Any, _: Any) -> tuple[Any, Any]:
        value, grads = fn.value_and_grad(loss)(params)
        return fn.sgd_step(params, grads, 1.0), (value, params) if remember else value

    return fn.scan(step, model.init(key, X), length=STEPS)


def picture(params: Any, title: str) -> report.Picture:
    """Draw the answers of a net and the lines of its two hidden units."""
    hidden = params["hidden"]
    return report.decision_map(
        lambda x: model.apply(params, x).sigmoid(),
        points=X,
        labels=Y,
        lines=list(zip(hidden["w"].T, hidden["b"], strict=True)),
        quantity="P(XOR = 1)",
        title=title,
    )


def animate(seed: int, path: Path) -> None:
    """Write an animation in which the two lines move while the net learns; the frames are closer early on."""
    _, (losses, params) = fn.jit(partial(run, remember=True))(fn.random.key(seed))
    shown = torch.linspace(0, math.sqrt(STEPS - 1), FRAMES).square().round().long().tolist()
    report.animate(
        (picture(fn.tree.map(lambda p, i=i: p[i], params), f"step {i:,}, cost {losses[i]:.4f}") for i in shown), path
    )


def show_one(args: Namespace) -> str:
    """Train one net; show its answers, its two lines and its training; return the answer."""
    params, losses = fn.jit(run)(fn.random.key(args.seed))
    hypothesis = model.apply(params, X).sigmoid()
    accuracy = ((hypothesis > 0.5) == (Y > 0.5)).float().mean().item()
    said = f"accuracy {accuracy}, cost {losses[-1].item():.6f} after {STEPS - 1:,} steps"
    report.show(
        report.summary("2-2-1", params),
        report.table(
            ["x1", "x2", "target", "hypothesis"],
            [[*x.tolist(), y.item(), f"{p.item():.6f}"] for x, y, p in zip(X, Y, hypothesis, strict=True)],
        ),
        picture(params, "The net's answers, and the lines of its two hidden units"),
        report.curve({"2-2-1": losses[::25]}, x=torch.arange(STEPS)[::25], x_label="step", y_label="cost (nats)"),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said


def show_many(args: Namespace) -> str:
    """Train many nets at once; count the places where they end; return the answer."""
    keys, train = fn.random.split(fn.random.key(args.seed), args.seeds), fn.jit(fn.vmap(run))
    train.explain(keys)  # traces and compiles, so that only the training is timed
    start = time.perf_counter()
    _, losses = train(keys)
    seconds, cost = time.perf_counter() - start, losses[:, -1]
    places = {
        "solved (cost below 0.1)": cost < 0.1,
        "local minimum (ln(2)/2 = 0.3466)": (cost - math.log(2) / 2).abs() < 0.05,
        "plateau (ln 2 = 0.6931)": (cost - math.log(2)).abs() < 0.05,
    }
    places["elsewhere"] = ~torch.stack(list(places.values())).any(0)
    rows = [[name, int(there.sum()), f"{there.float().mean().item():.1%}"] for name, there in places.items()]
    shown = losses[:, ::25]
    quantiles = {f"{q:.0%} of the nets are below": shown.quantile(q, 0) for q in (0.1, 0.5, 0.9)}
    said = (
        f"{rows[0][2]} of the nets solve XOR; trained in {seconds:.2f} s: {args.seeds / seconds:,.0f} nets per second, "
        f"threads: {torch.get_num_threads()}"
    )
    report.show(
        report.table(["where the run ends", "nets", "share"], rows, title=f"{args.seeds:,} nets, {STEPS - 1:,} steps"),
        report.curve(quantiles, x=torch.arange(STEPS)[::25], x_label="step", y_label="cost (nats)"),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said


def main() -> str:
    """Train one net, or many; return the answer."""
    parser = options.parser(__doc__, takes="2 s")
    parser.add_argument("--seeds", type=options.count, default=1, help="number of nets to train at once")
    parser.add_argument(
        "--animate", type=options.animation, metavar="FILE", help="write how the lines of one net move to this .gif"
    )
    args = options.parse(parser)
    if args.animate:
        animate(args.seed, args.animate)
    return (show_one if args.seeds == 1 else show_many)(args)


if __name__ == "__main__":
    main()
