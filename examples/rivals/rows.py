"""Rows of benchmark.py for the programs in `workloads`: funcnet jitted and op by op, next to JAX, sorted by ratio."""

import argparse
import ctypes
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import funcnet as fn
from funcnet.compiler import passes
from funcnet.compiler.native import toolchain
from rivals import workloads
from rivals.contestants import Jax
from rivals.timing import Timer, digits, medians, seconds


def running(group: str, name: str, work: workloads.Work, jax: Jax | None, *, jitted: bool = True) -> dict[str, Timer]:
    """Return the timers of a workload's contestants, in µs."""
    f, *args = work
    timers: dict[str, Timer] = {"op by op": lambda: seconds(partial(f, *args)) * 1e6}
    if jitted:
        call = partial(fn.jit(f), *args)
        timers["jit"] = lambda: seconds(call) * 1e6
    if jax is not None:
        timers["JAX"] = lambda: jax.time(workload=[group, name], jitted=jitted) * 1e6
    return timers


def works(group: str, only: str | None) -> Iterator[tuple[str, workloads.Work]]:
    """Yield the name and the work of workloads of a group, all or those with a text in their name, one at a time."""
    for name, work in getattr(workloads, group)(fn).items():
        if only is None or only in name:
            yield name, work() if callable(work) else work


@dataclass(frozen=True)
class Measured:
    """A workload's times, the ratio of funcnet's to JAX's, and the largest ratio that is wanted."""

    name: str
    times: dict[str, float]
    ours: float
    goal: float

    @property
    def ratio(self) -> float:
        return self.ours / self.times.get("JAX", float("nan"))

    def cells(self, *kinds: str) -> list[str]:
        return [self.name, *(digits(self.times.get(kind)) for kind in kinds), digits(self.ratio)]


def measured(
    options: argparse.Namespace, jax: Jax | None, groups: list[str], ours: str, goal: float = 1.0
) -> list[Measured]:
    """Time workloads, in µs; the largest ratio to JAX is first."""
    rows = []
    for group in groups:
        for name, work in works(group, options.only):
            times = medians(running(group, name, work, jax, jitted=ours == "jit"), options.rounds)
            rows.append(Measured(name, times, times[ours], workloads.GOALS.get(name, goal)))
    return by_ratio(rows)


def by_ratio(rows: list[Measured]) -> list[Measured]:
    return sorted(rows, key=lambda row: -row.ratio)


def missed(rows: list[Measured]) -> list[list[str]]:
    """Return a row per goal that is missed, with the cause."""
    return [
        [row.name, digits(row.ratio), f"{row.goal:g}", workloads.CAUSES.get(row.name, "")]
        for row in rows
        if row.ratio > row.goal
    ]


def next_to_torch(rows: list[Measured]) -> list[list[str]]:
    """Return a row per workload that has a goal against torch, too."""
    return [
        [row.name, digits(row.times["jit"]), digits(row.times["op by op"]), digits(row.ours / row.times["op by op"])]
        for row in rows
        if row.name in workloads.NEXT_TO_TORCH
    ]


JUMP = 1.5  # the largest ratio of neighbours in a series that is wanted
STAGES = ["tracing", "passes", "to C", "C compiler", "loading"]


def first_calls(options: argparse.Namespace, jax: Jax | None) -> list[Measured]:
    """Time the stages of the first calls of programs, in seconds; the largest ratio to JAX is first."""
    stages(lambda x: x + 1, [fn.numpy.zeros(())])  # loads the compiler; JAX's is loaded when a workload is built
    rows = []
    for name, (f, *args) in works("growing", options.only):
        times = stages(f, args)
        ours = sum(times.values())
        rival = {} if jax is None else {"JAX": jax.time(first=["growing", name])}
        rows.append(Measured(name, {**times, "sum": ours, **rival}, ours, 1))
    return by_ratio(rows)


def stages(f: Callable[..., Any], args: list[Any]) -> dict[str, float]:
    """Return the seconds of the stages of a first call with an empty kernel cache."""
    with empty_cache() as folder, recorded(passes, "run") as in_passes, recorded(toolchain, "load") as in_builds:
        start = time.perf_counter()
        lowered = fn.jit(f).lower(*args)
        traced = time.perf_counter()
        lowered.compile()
        end = time.perf_counter()
        loading = sum(map(load_time, folder.rglob("*.so")))
    passing, building = sum(in_passes), sum(in_builds)
    times = traced - start - passing, passing, end - traced - building, building - loading, loading
    return dict(zip(STAGES, times, strict=True))


def stage_cells(row: Measured) -> list[str]:
    """Show the seconds of each stage, and the goal of the first one."""
    goal = workloads.TRACING.get(row.name)
    first, *others = (f"{row.times[stage]:.3f}" for stage in STAGES)
    return [row.name, first + (f" ≤{goal}" if goal else ""), *others]


@contextmanager
def recorded(owner: Any, name: str) -> Iterator[list[float]]:
    """Collect the seconds of the calls of a function of a module."""
    found: list[float] = []
    call = getattr(owner, name)

    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*args)
        finally:
            found.append(time.perf_counter() - start)

    with patch.object(owner, name, timed):
        yield found


def load_time(library: Path) -> float:
    """Time the loading of a copy of a library: a library that is loaded already is not loaded again."""
    copy = shutil.copy(library, library.with_suffix(".copy"))
    start = time.perf_counter()
    ctypes.CDLL(str(copy))
    return time.perf_counter() - start


@contextmanager
def empty_cache() -> Iterator[Path]:
    """Use a new folder as the kernel cache."""
    before = os.environ.get("FUNCNET_CACHE_DIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FUNCNET_CACHE_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("FUNCNET_CACHE_DIR") if before is None else os.environ.update(FUNCNET_CACHE_DIR=before)


def sweep_rows(options: argparse.Namespace, jax: Jax | None) -> list[list[str]]:
    """Return a row per series: the largest growth of the time per unit of work, which orders them, and ratio to JAX."""
    rows = []
    for series, points in workloads.sweeps(fn).items():
        if options.only is None or options.only in series:
            times = {size: at(series, size, build(), options, jax) for size, build in points.items()}
            jump, step = max(jumps(series, {size: t["jit"] for size, t in times.items()}))
            ratio, size = max((t["jit"] / t.get("JAX", float("nan")), size) for size, t in times.items())
            rows.append([series, f"{min(points)} to {max(points)}", digits(jump), step, digits(ratio), f"{size:,}"])
    return sorted(rows, key=lambda row: -float(row[2]))


def missed_jumps(found: list[list[str]]) -> list[list[str]]:
    """Return a row per series with a jump above the goal, with the cause."""
    return [
        [series, jump, f"{JUMP:g}", workloads.CAUSES.get(series, "")]
        for series, _, jump, *_ in found
        if float(jump) > JUMP
    ]


def missed_ratios(found: list[list[str]], causes: dict[str, str], of: int = 0) -> list[list[str]]:
    """Return a row per goal that a last cell such as "1.3 ≤1" misses, with the cause; column `of` holds the names."""
    cells = [(row[of], *row[-1].split(" ≤")) for row in found if "≤" in row[-1]]
    return [[name, ratio, goal, causes.get(name, "")] for name, ratio, goal in cells if float(ratio) > float(goal)]


def at(series: str, size: int, work: workloads.Work, options: argparse.Namespace, jax: Jax | None) -> dict[str, float]:
    """Return the medians of a point of a series."""
    f, *args = work
    call = partial(fn.jit(f), *args)
    timers: dict[str, Timer] = {"jit": lambda: seconds(call)}
    if jax is not None:
        timers["JAX"] = lambda: jax.time(point=[series, str(size)])
    return medians(timers, options.rounds)


def jumps(series: str, times: dict[int, float]) -> Iterator[tuple[float, str]]:
    """Yield the ratios of the time per unit of work of neighbours; the work of a width is its square."""
    power = 2 if series.startswith("width") else 1
    for small, large in pairwise(times):
        yield times[large] / times[small] * (small / large) ** power, f"{small:,} to {large:,}"
