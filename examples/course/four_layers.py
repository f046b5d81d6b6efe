"""The four-layer code as printed in the lesson, which stops at once because its last sigmoid is missing.

BCELoss takes probabilities, but the last linear layer returns any number. At step 0 the outputs of some nets happen to
be between 0 and 1; a step later few are.
"""

import options
import torch
from torch import nn

from course.data import XOR, X
from funcnet import report

SEEDS, STEPS = 100, 50


def as_printed() -> nn.Sequential:
    """Build the net of the lesson: it ends in a linear layer."""
    first, second, third, last = nn.Linear(2, 10), nn.Linear(10, 10), nn.Linear(10, 10), nn.Linear(10, 1)
    return nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid(), third, nn.Sigmoid(), last)


def completed() -> nn.Sequential:
    """Build the net that was meant: a sigmoid makes a probability of the last number."""
    return as_printed().append(nn.Sigmoid())


def stops_at(net: nn.Sequential, steps: int) -> tuple[int, str]:
    """Train as in the lesson; return the step at which BCELoss refuses the output, and its words."""
    criterion, optimizer = nn.BCELoss(), torch.optim.SGD(net.parameters(), lr=1.0)
    for step in range(steps):
        try:
            cost = criterion(net(X), XOR)
        except RuntimeError as error:
            return step, str(error)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    return steps, f"cost {cost.item():.4f}"


def main() -> str:
    """Run the printed code, then with the sigmoid, for one seed and for many; return the answer."""
    args = options.parse(options.parser(__doc__, takes="2 s", seed="seed of torch's first weights"))
    rows, stopped = [], []
    for name, build in (("as printed", as_printed), ("with the sigmoid", completed)):
        torch.manual_seed(args.seed)
        step, words = stops_at(build(), STEPS)
        rows.append([name, f"step {step}" if step < STEPS else "does not stop", words])
    for seed in range(args.seed, args.seed + SEEDS):
        torch.manual_seed(seed)
        stopped.append(stops_at(as_printed(), STEPS)[0])
    counts = [[step, stopped.count(step)] for step in range(max(stopped) + 1)]
    torch.manual_seed(args.seed)
    first = " ".join(f"{value:+.3f}" for value in as_printed()(X)[:, 0].tolist())
    early = sum(step < STEPS for step in stopped)
    said = f"as printed, {early} of {SEEDS} nets stop, the last one at step {max(stopped)}"
    report.show(
        f"outputs of the printed net before training, for 00 01 10 11: {first}",
        report.table(["code", "stops at", ""], rows, title="BCELoss needs numbers from 0 to 1"),
        report.table(["stops at step", "nets"], counts, title=f"As printed, {SEEDS} seeds"),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said
