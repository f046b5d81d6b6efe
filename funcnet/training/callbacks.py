"""Callables for the end of a chunk: stopping early, stopping at NaN, metrics as JSON lines.

A callback of `fit` is a function of (step, carry, metrics). A callable object may also have
    start(step, carry), called before the first chunk of a run, also of one that goes on, and
    state, a tree of tensors and plain values that is saved in checkpoints and set again when a run goes on. Its tensors
        are on the CPU then. Classes of its nodes must be defined in a module, or be those of the carry.
"""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funcnet import tree
from funcnet.reprs import text
from funcnet.training.metrics import columns, mean, means, named
from funcnet.training.placement import like
from funcnet.tree import Tree

__all__ = ["STOP", "EarlyStopping", "JsonLines", "NanGuard", "Stop"]

Callback = Callable[[int, Any, Any], Any]
Metric = str | Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Stop:
    """The value that a callback returns to stop a run; `fn.STOP` is the one without a message.

    Attributes:
        message: Printed, and saved.
        carry: The carry that `fit` returns; None: the present one.
    """

    message: str = ""
    carry: Any = None


STOP = Stop()


class EarlyStopping:
    """Stop a run when a metric has not improved for some chunks, and return the carry of the best chunk.

    Args:
        metric: The path of a metric, such as "loss", whose mean over the chunk counts; "" for a lone tensor. Or a
            function of (carry, metrics) that returns a number, such as the loss on a validation set.
        patience: The number of chunks without an improvement after which the run stops.
        min_delta: By how much a metric has to fall below the best one to be an improvement.
        highest: Whether a higher metric is better.
        restore_best: Whether `fit` returns the best carry, not the last one.
    Attributes:
        best: The best metric; NaN before the first chunk.
        best_step: The number of steps after which it was reached.
        best_carry: The carry after that number of steps.
    Example:
        >>> stopping = fn.callbacks.EarlyStopping("loss", patience=2)
        >>> shrink = lambda x, _: (x / 2, {"loss": x.clamp(min=0.1)})
        >>> carry, history = fn.fit(shrink, torch.tensor(1.0), steps=100, every=1, on_chunk=[stopping])
        >>> stopping.best_step, len(history["loss"])
        (5, 7)
    """

    def __init__(
        self,
        metric: Metric,
        patience: int,
        *,
        min_delta: float = 0.0,
        highest: bool = False,
        restore_best: bool = True,
    ) -> None:
        _check_metric("EarlyStopping", metric)
        if type(patience) is not int or patience < 1:
            raise ValueError(f"EarlyStopping: expected patience to be an int of at least 1, got {patience!r}.")
        if not isinstance(min_delta, int | float) or not 0 <= min_delta < math.inf:
            raise ValueError(f"EarlyStopping: expected a finite min_delta of at least 0, got {min_delta!r}.")
        self.metric, self.patience, self.min_delta = metric, patience, min_delta
        self.highest, self.restore_best = highest, restore_best
        self.best, self.best_step, self.best_carry, self.waited = math.nan, 0, None, 0

    def __repr__(self) -> str:
        options = f"patience={self.patience}, min_delta={self.min_delta}, highest={self.highest}"
        return f"EarlyStopping({text(self.metric)}, {options}, restore_best={self.restore_best})"

    def start(self, step: int, carry: Any) -> None:
        """Forget an earlier run; or, if this one goes on, give its best carry the classes and devices of its carry."""
        if not step:
            self.best, self.best_step, self.best_carry, self.waited = math.nan, 0, None, 0
        elif self.best_carry is not None:
            self.best_carry = like(self.best_carry, carry)

    def __call__(self, step: int, carry: Any, metrics: Any) -> Stop | None:
        value = _value("EarlyStopping", self.metric, carry, metrics)
        gain = value - self.best if self.highest else self.best - value
        if gain > self.min_delta or (math.isnan(self.best) and not math.isnan(value)):
            self.best, self.best_step, self.best_carry, self.waited = value, step, carry, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        message = f"{_name(self.metric)} has not improved since step {self.best_step:,}, where it was {self.best:.6g}"
        if math.isnan(self.best):
            message = f"{_name(self.metric)} has been NaN from the start"
        return Stop(message, self.best_carry if self.restore_best else None)

    @property
    def state(self) -> Tree:
        """Return the best metric and carry so far."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "waited": self.waited,
            "best_carry": self.best_carry if self.restore_best else None,
        }

    @state.setter
    def state(self, state: Tree) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class NanGuard:
    """Stop a run at a chunk with NaN in its metrics or its carry, and return the carry before that chunk.

    Example:
        >>> step = lambda x, _: (x - 2, (x - 2).sqrt())
        >>> carry, history = fn.fit(step, torch.tensor(7.0), steps=8, every=2, on_chunk=[fn.callbacks.NanGuard()])
        >>> carry, history
        (tensor(3.), tensor([2.2361, 1.7321, 1.0000,    nan]))
    """

    def __init__(self) -> None:
        self.good: Any = None

    def __repr__(self) -> str:
        return "NanGuard()"

    def start(self, step: int, carry: Any) -> None:
        """Take the first carry as good."""
        self.good = carry

    def __call__(self, step: int, carry: Any, metrics: Any) -> Stop | None:
        for part, name in ((metrics, "metrics"), (carry, "carry")):
            for path, leaf in zip(tree.paths(part), tree.leaves(part), strict=True):
                if tree.is_inexact(leaf) and leaf.isnan().any():
                    return Stop(f"NaN in the {name}, at {tree.place(path)}", self.good)
        self.good = carry
        return None


class JsonLines:
    """Write a line of JSON per chunk to a file: the step, and the mean of each metric over the chunk.

    JSON has no NaN and no infinite or complex numbers: null takes their place.
    A run that goes on removes the lines after its checkpoint; a run that starts at step 0 replaces the file.

    Args:
        path: The file; missing folders are created.
        each_step: Whether to write a line per step, with the values of its scalar metrics.
    Example:
        >>> import pathlib, tempfile
        >>> path = tempfile.mkdtemp() + "/metrics.jsonl"
        >>> count = lambda n, _: (n + 1, {"n": n})
        >>> _ = fn.fit(count, torch.tensor(0), steps=4, every=2, on_chunk=[fn.callbacks.JsonLines(path)])
        >>> print(pathlib.Path(path).read_text(), end="")
        {"step": 2, "n": 0.5}
        {"step": 4, "n": 2.5}
    """

    def __init__(self, path: str | Path, *, each_step: bool = False) -> None:
        if not isinstance(path, str | Path):
            raise TypeError(f"JsonLines: expected path to be a str or Path, got {path!r}.")
        self.path, self.each_step, self.size = Path(path), each_step, 0

    def __repr__(self) -> str:
        return f"JsonLines({str(self.path)!r}, each_step={self.each_step})"

    def start(self, step: int, carry: Any) -> None:
        """Remove the lines that were written after the step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not step:
            self.size = 0
        with self.path.open("ab") as file:
            file.truncate(min(self.size, os.fstat(file.fileno()).st_size))

    def __call__(self, step: int, carry: Any, metrics: Any) -> None:
        lines = _rows(step, metrics) if self.each_step else [{"step": step, **means(metrics)}]
        with self.path.open("ab") as file:
            file.write("".join(_json(line) + "\n" for line in lines).encode())
            self.size = file.tell()

    @property
    def state(self) -> Tree:
        """Return the size of the file."""
        return {"size": self.size}

    @state.setter
    def state(self, state: Tree) -> None:
        self.size = state["size"]


def _rows(step: int, metrics: Tree) -> list[dict[str, Any]]:
    """Return for each step of a chunk its number and its scalar metrics."""
    found = columns(metrics)
    count = len(next(iter(found.values()), ()))
    scalars = {name: leaf.tolist() for name, leaf in found.items() if leaf.ndim == 1}
    return [{"step": step - count + i + 1, **{name: row[i] for name, row in scalars.items()}} for i in range(count)]


def _json(line: dict[str, Any]) -> str:
    """Return a line of JSON; null for the numbers that JSON does not have."""
    return json.dumps({name: value if _is_finite(value) else None for name, value in line.items()}, allow_nan=False)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, complex) and math.isfinite(value)


def _value(name: str, metric: Metric, carry: Any, metrics: Any) -> float:
    if callable(metric):
        return _number(name, metric(carry, metrics))
    found = named(metrics)
    if metric not in found:
        raise ValueError(f"{name}: expected a metric {metric!r}, got those at the paths {[*found]}.")
    if found[metric].is_complex():
        raise TypeError(f"{name}: expected a metric of real numbers, got {tree.describe(found[metric])} at {metric!r}.")
    return mean(found[metric])


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: expected metric to return a number, got {tree.describe(value)}.") from error


def _check_metric(name: str, metric: Any) -> None:
    if not isinstance(metric, str) and not callable(metric):
        raise TypeError(
            f"{name}: expected metric to be the path of a metric, or a function of (carry, metrics), got {metric!r}."
        )


def _name(metric: Metric) -> str:
    return metric or "the metric" if isinstance(metric, str) else getattr(metric, "__name__", "the metric")


def __dir__() -> list[str]:
    return __all__
