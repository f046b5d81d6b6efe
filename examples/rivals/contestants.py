"""The contestants of benchmark.py: the same training run, written for each of them."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import funcnet as fn

HERE = Path(__file__).parent
Work = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """A net to train, recurrent if it has times, and the goals: the largest ratios of its time to its rivals' times."""

    sizes: tuple[int, ...]
    batch: int
    steps: int
    nets: int | None = None
    to_jax: float | None = None
    to_c: float | None = None
    to_compile: float | None = None
    times: int | None = None

    @property
    def name(self) -> str:
        many = f", {self.nets:,} nets" if self.nets else ""
        return "-".join(map(str, self.sizes)) + many + (f", {self.times} times" if self.times else "")

    @property
    def unit(self) -> float:
        """Return the factor from the measured time to the table's unit, µs."""
        return 1e6 / self.steps / (self.nets or 1)

    def quick(self) -> "Workload":
        """Return the same workload with a tenth of the steps."""
        return replace(self, steps=max(self.steps // 10, 1))


def net(sizes: tuple[int, ...], times: int | None = None) -> fn.Layer:
    """Build a sigmoid net for the logit of a bit, a relu net for the logits of ten classes, or a recurrent net."""
    if times is not None:
        return fn.serial(fn.rnn(sizes[1]), lambda h: h[..., -1, :], fn.dense(sizes[2]))
    hidden = torch.sigmoid if sizes[-1] == 1 else torch.relu
    return fn.serial(*[layer for size in sizes[1:-1] for layer in (fn.dense(size), hidden)], fn.dense(sizes[-1]))


def data(work: Workload, seed: int) -> tuple[Tensor, Tensor]:
    shape = (work.batch, work.sizes[0]) if work.times is None else (work.batch, work.times, work.sizes[0])
    x = fn.random.normal(fn.random.key(seed), shape)
    labels = torch.arange(work.batch)
    return x, labels % 10 if work.sizes[-1] > 1 else (labels % 2.0)[:, None]


def loss(logits: Tensor, y: Tensor) -> Tensor:
    if y.is_floating_point():
        return fn.losses.sigmoid_binary_cross_entropy(logits, y).mean()
    return fn.losses.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def training(work: Workload, seed: int) -> tuple[Callable[..., Any], Any]:
    """Return the run as a function of the initial parameters, and these."""
    model, (x, y) = net(work.sizes, work.times), data(work, seed)

    def step(params: Any, _: Any) -> tuple[Any, Tensor]:
        value, grads = fn.value_and_grad(lambda params: loss(model.apply(params, x), y))(params)
        return fn.sgd_step(params, grads, 0.1), value

    run = partial(fn.scan, step, length=work.steps)
    if work.nets is None:
        return run, model.init(fn.random.key(seed), x)
    keys = fn.random.split(fn.random.key(seed), work.nets)
    return fn.vmap(run), fn.vmap(model.init, in_dims=(0, None))(keys, x)


def shorter(work: Workload) -> Workload:
    """Shorten a run for eager mode."""
    steps, nets = (min(work.steps, 50), None) if work.nets is None else (min(work.steps, 5), work.nets)
    return replace(work, steps=steps, nets=nets)


def by_jit(work: Workload, seed: int) -> Work:
    run, params = training(work, seed)
    return partial(fn.jit(run), params)


def by_eager(work: Workload, seed: int) -> Work:
    run, params = training(work, seed)
    return partial(run, params)


def by_torch_func(work: Workload, seed: int, *, compiled: bool = False) -> Work | None:
    """Build a Python loop around torch.func, with the parameters in a flat dict, compiled or eager."""
    if work.nets is not None:
        return None
    module, (x, y) = by_hand(work.sizes, work.times), data(work, seed)
    start = {name: p.detach() for name, p in module.named_parameters()}

    def objective(params: dict[str, Tensor]) -> Tensor:
        return loss(torch.func.functional_call(module, params, (x,)), y)

    def step(params: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        grads, value = torch.func.grad_and_value(objective)(params)
        return {name: p - 0.1 * grads[name] for name, p in params.items()}, value

    call: Any = torch.compile(step) if compiled else step

    def train() -> None:
        params = start
        for _ in range(work.steps):
            params, _value = call(params)

    return train


def by_hand(sizes: tuple[int, ...], times: int | None = None) -> nn.Module:
    if times is not None:
        return Recurrent(*sizes)
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), nn.Sigmoid() if sizes[-1] == 1 else nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Recurrent(nn.Module):
    """A linear layer on the last state of a recurrent layer."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.rnn, self.out = nn.RNN(inputs, hidden, batch_first=True), nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Any:
        return self.out(self.rnn(x)[0][:, -1])


def by_module(work: Workload, seed: int) -> Work | None:
    """Build the usual loop: nn.Module, backward, torch.optim.SGD."""
    if work.nets is not None:
        return None
    module, (x, y) = by_hand(work.sizes, work.times), data(work, seed)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

    def train() -> None:
        for _ in range(work.steps):
            optimizer.zero_grad()
            torch.autograd.backward(loss(module(x), y))
            optimizer.step()

    return train


def by_c(work: Workload, library: Any) -> Work | None:
    """Build a call of the hand-written C, which supports only the 2-2-1 net."""
    if library is None or work.sizes != (2, 2, 1):
        return None
    params, losses = torch.ones(work.nets or 1, 9), torch.empty(work.nets or 1, work.steps)
    pointers, steps = [ctypes.c_void_p(t.data_ptr()) for t in (params, losses)], ctypes.c_long(work.steps)
    if work.nets is None:
        return lambda: (library.train_one(*pointers, steps), params, losses)
    return lambda: (library.train_many(*pointers, ctypes.c_long(work.nets or 1), steps), params, losses)


def build_reference() -> Any:
    """Compile the C, or return None without a compiler."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "reference.so")
        flags = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-Wno-psabi"]
        subprocess.run([compiler, *flags, "-shared", "-fPIC", "-o", target, HERE / "reference.c"], check=True)
        return ctypes.CDLL(target)


class Jax:
    """JAX in its own process, which times workloads on request."""

    def __init__(self, python: str) -> None:
        self.python = python
        command = [python, str(HERE / "jax_runs.py")]
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @classmethod
    def where_installed(cls, python: str | None) -> "Jax | None":
        """Start JAX under the given interpreter, or under this one if it has JAX."""
        if python is None and find_spec("jax") is None:
            return None
        return cls(python or sys.executable)

    def time(self, **order: Any) -> float:
        """Run a workload once; return its time in seconds, which includes compilation in the first run."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the JAX process has no pipes")
        print(json.dumps(order), file=stdin, flush=True)
        return float(json.loads(stdout.readline()))

    def microseconds(self, work: Workload) -> float:
        form = {"sizes": work.sizes, "batch": work.batch, "times": work.times}
        return self.time(**form, steps=work.steps, nets=work.nets) * work.unit

    def close(self) -> None:
        self.process.communicate()
