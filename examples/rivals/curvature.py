"""Per-example gradients and curvature in benchmark.py: the timed functions, and peak memory in separate processes.

For the latter: python -m rivals.curvature NAME EXAMPLES SIZE, with the SIZE of a chunk or block, or 0 for no limit.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import funcnet as fn
from rivals.contestants import Work, Workload, data, net
from rivals.memory import resident, size
from rivals.timing import seconds

LARGE, SMALL = Workload((784, 512, 10), 256, 1), Workload((64, 32, 10), 256, 1)


def problem(work: Workload, seed: int = 0) -> tuple[fn.Layer, Any, Tensor, Tensor]:
    model, (x, y) = net(work.sizes), data(work, seed)
    return model, model.init(fn.random.key(seed), x), x, y


def loss_of(model: fn.Layer) -> Callable[..., Tensor]:
    def loss(params: Any, x: Tensor, y: Tensor) -> Tensor:
        return fn.losses.softmax_cross_entropy_with_integer_labels(model.apply(params, x), y)

    return loss


def by_hand(params: Any, x: Tensor, y: Tensor) -> Work:
    """Build per-example gradients with torch.func alone."""
    flat = {"w1": params[0]["w"], "b1": params[0]["b"], "w2": params[2]["w"], "b2": params[2]["b"]}

    def loss(p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        hidden = torch.relu(x @ p["w1"] + p["b1"])
        return fn.losses.softmax_cross_entropy_with_integer_labels(hidden @ p["w2"] + p["b2"], y)

    each: Any = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    return lambda: each(flat, x, y)


def contestants(work: Workload, seed: int) -> dict[str, Work]:
    """Return the functions to time, all on one net and batch."""
    model, params, x, y = problem(work, seed)
    loss, v = loss_of(model), fn.tree.map(torch.ones_like, params)
    each, norms = fn.per_example_grads(loss), fn.curvature.per_example_grad_norms(loss)
    jitted_norms, clipped = fn.jit(norms), fn.curvature.clipped_mean(loss, 1.0)

    def mean(params: Any) -> Tensor:
        return loss(params, x, y).mean()

    def one_by_one() -> Any:
        return [fn.grad(loss)(params, *example) for example in zip(x, y, strict=True)]

    def product(params: Any, v: Any) -> Any:
        return fn.hvp(mean, params, v)

    gradient, by_torch = fn.grad(mean), torch.func.grad_and_value(mean)
    value_and_gradient = fn.value_and_grad(mean)
    in_dims = (None, 0, 0)
    mapped, mapped_by_torch = fn.vmap(fn.grad(loss), in_dims), torch.func.vmap(torch.func.grad(loss), in_dims)
    jitted_gradient, jitted_product = fn.jit(gradient), fn.jit(product)
    operator = fn.curvature.hessian_operator(mean, params)
    return {
        "per-example gradients": lambda: each(params, x, y),
        "by hand": by_hand(params, x, y),
        "loop": lambda: fn.tree.stack(one_by_one()),
        "loop of norms": lambda: torch.stack([fn.tree.norm(grads) for grads in one_by_one()]),
        "norms": lambda: norms(params, x, y),
        "jitted norms": lambda: jitted_norms(params, x, y),
        "clipped mean": lambda: clipped(params, x, y),
        "gradient": lambda: gradient(params),
        "value_and_grad": lambda: value_and_gradient(params),
        "grad_and_value": lambda: by_torch(params),
        "vmap(grad)": lambda: mapped(params, x, y),
        "torch.func's": lambda: mapped_by_torch(params, x, y),
        "hvp": lambda: product(params, v),
        "hessian_operator": lambda: operator(v),
        "jitted gradient": lambda: jitted_gradient(params),
        "jitted hvp": lambda: jitted_product(params, v),
    }


# rows of ratios: the numerator, the denominator, and the goals for the large net and for the small one
RATIOS = [
    ("value_and_grad", "grad_and_value", "≤1.1", "≤1.1"),
    ("vmap(grad)", "torch.func's", "≤1.2", "≤1.2"),
    ("per-example gradients", "by hand", "≤1.05", ""),
    ("loop", "per-example gradients", "≥10", ""),
    ("loop of norms", "norms", "", ""),
    ("loop of norms", "jitted norms", "", ""),
    ("clipped mean", "gradient", "", ""),
    ("hvp", "gradient", "≤2.5", ""),
    ("hessian_operator", "gradient", "", ""),
    ("jitted hvp", "jitted gradient", "≤2.5", ""),
]

RULES = "batching rules that torch lacks are looked up in Python at each operation"
CAUSES = {"vmap(grad) / torch.func's": RULES, "per-example gradients / by hand": RULES}


def ratio_rows(options: Any) -> list[list[str]]:
    """Let the contestants take turns; return medians of times and of ratios."""
    rows = []
    for work in (LARGE, SMALL):
        runs = contestants(work, options.seed)
        times = [{name: seconds(run) * 1e3 for name, run in runs.items()} for _ in range(options.rounds + 1)][1:]
        medians = {name: statistics.median(row[name] for row in times) for name in runs}
        for name, other, *goals in RATIOS:
            ratio = statistics.median(row[name] / row[other] for row in times)
            digits = (f"{medians[n]:.3g}" for n in (name, other))
            goal = goals[work is SMALL]
            rows.append([work.name, f"{name} / {other}", *digits, f"{ratio:.3g} {goal}".strip()])
    return rows


def memory_rows() -> list[list[str]]:
    """Measure the peak memory that calls take besides their results."""
    rows = []
    for name, examples, sizes in (("per_example_grads", 256, (0, 64, 16)), ("per_example_grad_norms", 256, (0, 16))):
        rows += [measure(name, examples, size) for size in sizes]
    return rows + [measure("ntk", examples, size) for examples, size in ((32, 0), (64, 0), (32, 4), (64, 4))]


def measure(name: str, examples: int, size: int) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-m", "rivals.curvature", name, str(examples), str(size)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    beside, result = json.loads(done.stdout)
    return [name, str(examples), str(size or "all"), f"{result:.1f}", f"{beside:.1f}"]


def main(name: str, examples: int, chunk: int) -> None:
    torch.set_num_threads(1)
    model, params, x, y = problem(Workload(LARGE.sizes, examples, 1))
    loss, chunk_size = loss_of(model), chunk or None
    calls: dict[str, Callable[[int], Any]] = {
        "per_example_grads": lambda n: fn.per_example_grads(loss, chunk_size=chunk_size)(params, x[:n], y[:n]),
        "per_example_grad_norms": lambda n: fn.curvature.per_example_grad_norms(loss, chunk_size=chunk_size)(
            params, x[:n], y[:n]
        ),
        "ntk": lambda n: fn.curvature.ntk(model.apply, params, x[:n], block_size=chunk_size),
    }
    calls[name](2)  # loads lazily loaded code
    before = resident("VmRSS")
    result = calls[name](examples)
    print(json.dumps([resident("VmHWM") - before - size(result), size(result)]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
