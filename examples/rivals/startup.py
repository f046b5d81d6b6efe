"""The first jitted calls of a process whose kernels are on the disk: python -m rivals.startup funcnet|jax.

It prints the seconds of: the import of torch, that of the library after it, a call that adds 1, and a training run.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from rivals.workloads.parts import squared_error, trained

GOAL = 0.15  # seconds of the first call


def measure(python: str, library: str, rounds: int) -> list[float]:
    """Return the medians over processes; the first one, which may compile, does not count."""
    times = [run(python, library) for _ in range(rounds + 1)][1:]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def run(python: str, library: str) -> list[float]:
    command = [python, "-W", "ignore", "-m", "rivals.startup", library]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    return [float(number) for number in json.loads(done.stdout)]


def main(library: str) -> None:
    os.environ["JAX_PLATFORMS"] = "cpu"
    marks = [time.perf_counter()]
    if library == "funcnet":
        import_module("torch")
    marks.append(time.perf_counter())
    lib: Any = import_module(library)
    np = lib.numpy
    marks.append(time.perf_counter())
    x, params = np.zeros(3), [(np.ones((2, 3)), np.zeros(3)), (np.ones((3, 1)), np.zeros(1))]
    train = trained(lib, lambda params: squared_error(lib, params, np.ones((4, 2)), np.ones((4, 1))), 10)
    calls = [first_call(lib, lambda x: x + 1, x), first_call(lib, train, params)]
    print(json.dumps([later - earlier for earlier, later in pairwise(marks)] + calls))


def first_call(lib: Any, f: Callable[..., Any], x: Any) -> float:
    start, result = time.perf_counter(), lib.jit(f)(x)
    getattr(lib, "block_until_ready", lambda result: result)(result)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1])
