"""Jitted calls with one thread and with two, each in a process of its own: python -m rivals.threads THREADS."""

import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch

import funcnet as fn
from rivals.contestants import Work, Workload, by_jit
from rivals.timing import digits, seconds

ENSEMBLE = "2-10-10-10-1, 1,024 nets"
GOALS = {ENSEMBLE: "≥1.8"}


def contestants() -> dict[str, Work]:
    f, x = fn.jit(lambda x: (torch.sin(x) * x).exp()), fn.random.normal(fn.random.key(0), (4_000_000,))
    return {
        ENSEMBLE: by_jit(Workload((2, 10, 10, 10, 1), 4, 101, 1_024), 0),
        "784-512-512-10, batch 128": by_jit(Workload((784, 512, 512, 10), 128, 4), 0),
        "exp(x sin x), 4,000,000 numbers": partial(f, x),
    }


def table(rounds: int) -> list[list[str]]:
    """Return a row per call: milliseconds with one thread and with two, and their ratio."""
    times = [[measure(threads) for threads in (1, 2)] for _ in range(rounds)]
    rows = []
    for name in times[0][0]:
        one, two = (statistics.median(turn[i][name] for turn in times) for i in range(2))
        rows.append([name, digits(one * 1e3), digits(two * 1e3), f"{one / two:.2f} {GOALS.get(name, '')}".strip()])
    return rows


def measure(threads: int) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "rivals.threads", str(threads)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(threads: int) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the benchmark itself uses one core
    torch.set_num_threads(threads)
    print(json.dumps({name: warm_seconds(run) for name, run in contestants().items()}))


def warm_seconds(run: Work) -> float:
    run()
    return seconds(run, least=0.2)


if __name__ == "__main__":
    main(int(sys.argv[1]))
