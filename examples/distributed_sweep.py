"""A sweep over learning rates and seeds on all processes, whose results so far are in a CSV file.

    python examples/distributed_sweep.py
    torchrun --nproc-per-node 2 examples/distributed_sweep.py

Every row of the file is a training run of XOR by a 2-2-1 net: learning rate, seed, last cost. A sweep that was stopped,
or killed, continues after its last complete row when it is started again, with any number of processes; the rows are
the same to the last bit.
"""

import csv
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

RATES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
MODEL = fn.mlp([2, 1], activation=torch.sigmoid)
HEADER = ["learning rate", "seed", "cost"]


def train(rate: Tensor, key: Tensor, steps: int) -> Tensor:
    """Descend from random parameters; return the last cost."""

    def loss(params: fn.tree.Tree) -> Tensor:
        return fn.losses.sigmoid_binary_cross_entropy(MODEL.apply(params, X), Y).mean()

    def step(params: fn.tree.Tree, _: None) -> tuple[fn.tree.Tree, None]:
        return fn.sgd_step(params, fn.grad(loss)(params), rate), None

    params, _ = fn.scan(step, MODEL.init(key, X), length=steps)
    return loss(params)


def complete_rows(path: Path, runs: Sequence[tuple[float, int]]) -> int:
    """Return the number of complete rows, and remove a row that was being written when a sweep was killed."""
    if not path.exists():
        return 0
    text = path.read_text()
    path.write_text(text[: text.rfind("\n") + 1])
    with path.open(newline="") as file:
        found = [(float(rate), int(seed)) for rate, seed, _ in [*csv.reader(file)][1:]]
    if found != runs[: len(found)]:
        raise SystemExit(f"{path} holds another sweep. Choose another file by --results, or remove it.")
    return len(found)


def append(path: Path, rows: Sequence[Sequence[object]]) -> None:
    is_new = not path.exists() or not path.stat().st_size
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([HEADER, *rows] if is_new else rows)


def sweep(path: Path, seeds: range, steps: int, block: int) -> None:
    """Run the rest of a sweep, a block of runs at a time."""
    runs = [(rate, seed) for rate in RATES for seed in seeds]
    is_first = fn.distributed.rank() == 0
    done = int(fn.distributed.sum(torch.tensor(complete_rows(path, runs) if is_first else 0)))
    run = fn.distributed.vmap(lambda rate, key: train(rate, key, steps))
    for start in range(done // block * block, len(runs), block):
        rates, numbers = zip(*runs[start : start + block], strict=True)
        keys = torch.stack([fn.random.key(seed) for seed in numbers])
        costs = run(torch.tensor(rates), keys).tolist()
        if is_first:
            rows = [(*run, cost) for run, cost in zip(runs[start : start + block], costs, strict=True)]
            append(path, rows[max(done - start, 0) :])


def show(path: Path, args: Namespace) -> None:
    with path.open(newline="") as file:
        found = [(float(rate), float(cost)) for rate, _, cost in [*csv.reader(file)][1:]]
    costs = {rate: torch.tensor([cost for other, cost in found if other == rate]) for rate in RATES}
    rows = [(rate, f"{(c < 0.1).float().mean():.0%}", c.median(), c.min()) for rate, c in costs.items()]
    best, share, *_ = max(rows, key=lambda row: float(row[1].rstrip("%")))
    report.show(
        report.table(["learning rate", "solved", "median cost", "least"], rows, title=str(path.name)),
        answer=f"at learning rate {best:g}, {share} of the runs solve XOR",
        svg=args.svg,
        dark=args.dark,
    )


def main() -> None:
    """Run the rest of the sweep, and show all of it."""
    parser = options.parser(__doc__, takes="5 s", seed="the first seed")
    parser.add_argument("--results", type=options.file, default=Path("sweep.csv"), help="the CSV file")
    parser.add_argument("--seeds", type=options.count, default=64, help="runs per learning rate")
    parser.add_argument("--steps", type=options.count, default=1000, help="steps per run")
    parser.add_argument("--block", type=options.count, default=64, help="runs at a time")
    args = options.parse(parser)
    sweep(args.results, range(args.seed, args.seed + args.seeds), args.steps, args.block)
    if fn.distributed.rank() == 0:
        show(args.results, args)


if __name__ == "__main__":
    main()
