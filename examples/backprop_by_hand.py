"""Backpropagation by hand through a 2-2-1 MLP on XOR, first with four common defects, then exactly.

    l1 = x w1 + b1     a1 = s(l1)
    l2 = a1 w2 + b2    p = s(l2)
    cost = -mean(y log p + (1 - y) log(1 - p))

Here s is the sigmoid, and y the target.
"""

from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

X = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
Y = torch.tensor([[0], [1], [1], [0]], dtype=torch.float64)
LEARNING_RATE, STEPS = 0.2, 10_001
SHAPES = {"w1": (2, 2), "b1": (2,), "w2": (2, 1), "b2": (1,)}


def forward(params: Any) -> tuple[Tensor, Tensor]:
    """Return the hidden activations and the output's logits."""
    a1 = (X @ params["w1"] + params["b1"]).sigmoid()
    return a1, a1 @ params["w2"] + params["b2"]


def naive_cost(params: Any) -> Tensor:
    """Compute the cost literally, from probabilities: infinite or NaN once p rounds to 0 or 1."""
    p = forward(params)[1].sigmoid()
    return -(Y * p.log() + (1 - Y) * (1 - p).log()).mean()


def cost(params: Any) -> Tensor:
    """Compute the same cost from logits: softplus(l2) - y l2, which is finite for all logits."""
    return fn.losses.sigmoid_binary_cross_entropy(forward(params)[1], Y).mean()


def naive_backward(params: Any) -> Any:
    """Compute the backward pass with its defects: sums mixed with means, and 1e-7 in a denominator."""
    a1, l2 = forward(params)
    p = l2.sigmoid()
    d_l2 = (p - Y) / (p * (1 - p) + 1e-7) * p * (1 - p)
    d_l1 = d_l2 @ params["w2"].T * a1 * (1 - a1)
    return {"w1": X.T @ d_l1, "b1": d_l1.mean(0), "w2": a1.T @ d_l2, "b2": d_l2.mean(0)}


def backward(params: Any) -> Any:
    """Compute the exact backward pass: p (1 - p) cancels, and every derivative is that of the mean."""
    a1, l2 = forward(params)
    d_l2 = (l2.sigmoid() - Y) / len(X)
    d_l1 = d_l2 @ params["w2"].T * a1 * (1 - a1)
    return {"w1": X.T @ d_l1, "b1": d_l1.sum(0), "w2": a1.T @ d_l2, "b2": d_l2.sum(0)}


def init(key: Tensor) -> Any:
    """Draw parameters uniformly from (-1, 1): they come from a key, never from uninitialised memory."""
    keys = dict(zip(SHAPES, fn.random.split(key, len(SHAPES)), strict=True))
    return {name: fn.random.uniform(keys[name], shape, X.dtype, -1.0, 1.0) for name, shape in SHAPES.items()}


def ratio(a: Any, b: Any) -> Any:
    """Return the ratios of the gradients' norms in a to those in b, leaf by leaf."""
    return fn.tree.map(lambda x, y: (x.norm() / y.norm()).item(), a, b)


def defects(params: Any) -> list[list[str]]:
    """Show each defect separately, with its consequence as a number."""
    vector, unravel = fn.tree.ravel(params)
    # The memory of torch.Tensor(2, 2) differs from run to run; this text replaces it.
    memory = bytearray(b"whatever was in this memory before".ljust(8 * len(vector)))
    left_behind = torch.frombuffer(memory, dtype=X.dtype)
    lengths = ratio(naive_backward(params), backward(params))
    certain = params | {"b2": X.new_tensor([14.0])}  # answers 1 everywhere: right on two points, wrong on two
    shrunk = ratio(naive_backward(certain), backward(certain))["b2"]
    surer = params | {"b2": X.new_tensor([40.0])}
    return [
        [
            "1  uninitialised weights",
            f"one of them {left_behind.abs().max():.0e}: cost {naive_cost(unravel(left_behind)).item()} at step 0",
        ],
        [
            "2  sums for w, means for b",
            ", ".join(f"{name} x {length:.2f}" for name, length in lengths.items()) + " the gradient of the cost",
        ],
        [
            "3  1e-7 added to p (1 - p)",
            f"where p is {torch.tensor(14.0).sigmoid():.7f}, b2 goes {shrunk:.2f} of the way that it should",
        ],
        ["4  log(p) with p rounded to 1", f"cost {naive_cost(surer).item()} instead of {cost(surer).item():.4f}"],
    ]


def main() -> str:
    """Show the defects, compare the exact pass with grad, and train with it; return the answer."""
    parser = options.parser(__doc__, takes="2 s", seed="seed of the first weights")
    args = options.parse(parser)

    def step(params: Any, _: Any) -> tuple[Any, Tensor]:
        return fn.sgd_step(params, backward(params), LEARNING_RATE), cost(params)

    start = init(fn.random.key(args.seed))
    rows = fn.checking.compare(backward(start), fn.grad(cost)(start))
    params, losses = fn.jit(lambda params: fn.scan(step, params, length=STEPS))(start)
    probabilities = " ".join(f"{p:.3f}" for p in forward(params)[1].sigmoid().flatten().tolist())
    said = (
        f"cost {losses[0].item():.4f} to {losses[-1].item():.4f} in {STEPS - 1:,} steps at learning rate "
        f"{LEARNING_RATE}; probabilities {probabilities}"
    )
    report.show(
        report.table(["defect", "consequence"], defects(start), title="Common mistakes"),
        report.table(
            ["leaf", "shape", "max |difference|", "relative"],
            [[row.path, str(row.shape), f"{row.max_absolute:.1e}", f"{row.max_relative:.1e}"] for row in rows],
            title="Exact, compared with grad",
        ),
        report.curve({"by hand": losses[::25]}, x=torch.arange(STEPS)[::25], x_label="step", y_label="cost (nats)"),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said


if __name__ == "__main__":
    main()
