"""The same net twice: nn.Sequential with BCELoss and SGD, and a pure function, from the same weights for 10,001 steps.

`fn.from_module` turns the module into a function of its parameters, and `fn.to_module` turns the trained parameters
into a module again, whose answers are compared. The two runs differ by roundings only: BCELoss takes the logarithm of
a rounded probability.
"""

from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from course.data import XOR, X
from funcnet import report

SHOWN = (0, 100, 500, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000)


def build(seed: int) -> torch.nn.Sequential:
    """Build the net of the lesson; torch draws its weights from the global generator."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sigmoid(), torch.nn.Linear(2, 1), torch.nn.Sigmoid())


def by_torch(net: torch.nn.Module, steps: int) -> Tensor:
    """Train in place, as in the lesson; return the cost at each step."""
    criterion, optimizer = torch.nn.BCELoss(), torch.optim.SGD(net.parameters(), lr=1.0)
    costs = []
    for _ in report.track(range(steps), "nn.Sequential"):
        optimizer.zero_grad()
        cost = criterion(net(X), XOR)
        cost.backward()
        optimizer.step()
        costs.append(cost.detach())
    return torch.stack(costs)


def by_funcnet(net: torch.nn.Module, steps: int) -> tuple[torch.nn.Module, Tensor]:
    """Train a copy as a pure function; return it as a module, and the cost at each step."""
    apply, params, state = fn.from_module(net)

    def loss(params: Any) -> Tensor:
        p, _ = apply(params, state, X)
        return -(XOR * p.log() + (1 - XOR) * (1 - p).log()).mean()

    def step(params: Any, _: None) -> tuple[Any, Tensor]:
        value, grads = fn.value_and_grad(loss)(params)
        return fn.sgd_step(params, grads, 1.0), value

    trained, costs = fn.jit(lambda params: fn.scan(step, params, length=steps))(params)
    return fn.to_module(apply, trained, state), costs


def main() -> str:
    """Train both, show their costs side by side and their answers; return the answer."""
    parser = options.parser(__doc__, takes="5 s", seed="seed of torch's first weights")
    parser.add_argument("--steps", type=options.count, default=10_001, help="steps at learning rate 1")
    args = options.parse(parser)
    net = build(args.seed)
    ours, our_costs = by_funcnet(net, args.steps)
    costs = by_torch(net, args.steps)
    marks = [step for step in SHOWN if step < args.steps]
    rows = [[f"{i:,}", f"{costs[i].item():.7f}", f"{our_costs[i].item():.7f}"] for i in marks]
    with torch.no_grad():
        answers = torch.cat([X, XOR, net(X), ours(X)], 1)
    every = slice(None, None, max(1, args.steps // 400))
    accuracy = ((answers[:, 3] > 0.5) == (XOR[:, 0] > 0.5)).float().mean().item()
    said = f"largest difference of the costs: {(costs - our_costs).abs().max().item():.0e}"
    report.show(
        report.table(["step", "nn.Sequential", "funcnet"], rows, title="Cost"),
        report.table(
            ["x1", "x2", "target", "nn.Sequential", "funcnet"],
            [[*map(int, row[:3]), *(f"{p:.6f}" for p in row[3:])] for row in answers.tolist()],
            title=f"Answers: accuracy {accuracy}",
        ),
        report.curve(
            {"nn.Sequential": costs[every], "funcnet": our_costs[every]},
            x=torch.arange(args.steps)[every],
            x_label="step",
            y_label="cost (nats)",
        ),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said
