"""The workloads of workloads in benchmark.py: funcnet jitted and op by op, beside JAX, in tables sorted by ratio."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import funcnet as fn
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


def run_rows(options: argparse.Namespace, jax: Jax | None, groups: list[str], ours: str) -> list[list[str]]:
    """Return a row per workload, the largest ratio to JAX first."""
    rows = []
    for group in groups:
        for name, work in works(group, options.only):
            times = medians(running(group, name, work, jax, jitted=ours == "jit"), options.rounds)
            rows.append((times[ours] / times.get("JAX", float("nan")), name, times))
    shown = ["jit", "op by op", "JAX"] if ours == "jit" else ["op by op", "JAX"]
    ordered = sorted(rows, key=lambda row: -row[0])
    return [[name, *(digits(times.get(kind)) for kind in shown), digits(ratio)] for ratio, name, times in ordered]


def first_rows(options: argparse.Namespace, jax: Jax | None) -> list[list[str]]:
    """Return a row per program: seconds of tracing, of passes and lowering to C, of the C compiler, and JAX's sum."""
    rows = []
    for name, (f, *args) in works("growing", options.only):
        parts = stages(f, args)
        rival = None if jax is None else jax.time(first=["growing", name])
        ratio = None if rival is None else sum(parts) / rival
        rows.append([name, *(f"{part:.2f}" for part in (*parts, sum(parts))), digits(rival), digits(ratio)])
    return rows


def stages(f: Callable[..., Any], args: list[Any]) -> tuple[float, float, float]:
    """Return the seconds of the stages of a first call with an empty kernel cache."""
    with empty_cache():
        start = time.perf_counter()
        lowered = fn.jit(f).lower(*args)
        traced = time.perf_counter()
        lowered.as_text("c")
        written = time.perf_counter()
        lowered.compile()  # writes the text again
        end = time.perf_counter()
    text = written - traced
    return traced - start, text, max(end - written - text, 0.0)


@contextmanager
def empty_cache() -> Iterator[None]:
    """Use a new folder as the kernel cache."""
    before = os.environ.get("FUNCNET_CACHE_DIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FUNCNET_CACHE_DIR"] = folder
        try:
            yield
        finally:
            os.environ.pop("FUNCNET_CACHE_DIR") if before is None else os.environ.update(FUNCNET_CACHE_DIR=before)


def sweep_rows(options: argparse.Namespace, jax: Jax | None) -> list[list[str]]:
    """Return a row per series: the largest growth of the time per unit of work, and the largest ratio to JAX."""
    rows = []
    for series, points in workloads.sweeps(fn).items():
        if options.only is None or options.only in series:
            times = {size: at(series, size, build(), options, jax) for size, build in points.items()}
            jump, step = max(jumps(series, {size: t["jit"] for size, t in times.items()}))
            ratio, size = max((t["jit"] / t.get("JAX", float("nan")), size) for size, t in times.items())
            rows.append([series, f"{min(points)} to {max(points)}", digits(jump), step, digits(ratio), f"{size:,}"])
    return rows


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
