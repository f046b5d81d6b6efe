"""Peak memory of a jitted ensemble run, in its own process: python -m rivals.memory STEPS NETS losses|last."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import funcnet as fn
from rivals.contestants import Workload, data, net

ALLOWED = 64  # MiB besides the parameters and the results


def measure(steps: int, nets: int, *, losses: bool) -> tuple[float, float]:
    """Return the MiB that a run of 2-2-1 nets adds to its process, and the MiB of its parameters and results."""
    arguments = ["-m", "rivals.memory", str(steps), str(nets), "losses" if losses else "last"]
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    used, needed = json.loads(done.stdout)
    return used, needed


def resident(field: str) -> float:
    """Return the memory of this process in MiB: on Linux present (VmRSS) or peak (VmHWM), elsewhere always peak.

    On Linux, ru_maxrss includes the memory of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if field in line) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)


def size(values: Any) -> float:
    return sum(leaf.nbytes for leaf in fn.tree.leaves(values)) / 2**20


def main(steps: int, nets: int, losses: bool) -> None:
    work = Workload((2, 2, 1), 4, steps)
    model, (x, y) = net(work.sizes), data(work, 0)

    def objective(params: Any) -> torch.Tensor:
        return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, x), y).mean()

    def step(params: Any, _: None) -> tuple[Any, torch.Tensor | None]:
        value, grads = fn.value_and_grad(objective)(params)
        return fn.sgd_step(params, grads, 0.1), value if losses else None

    run = fn.jit(fn.vmap(lambda params: fn.scan(step, params, length=steps)), backend="native")
    start = fn.jit(fn.vmap(lambda key: model.init(key, x)))
    few, many = (start(fn.random.split(fn.random.key(0), count)) for count in (64, nets))
    run(few)  # compiles, and starts the threads
    before = resident("VmRSS") - size(many)
    results = run(many)
    print(json.dumps([resident("VmHWM") - before, size(many) + size(results)]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "losses")
