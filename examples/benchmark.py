"""The speed of training runs: nn.Module, torch.func, torch.compile, funcnet, JAX and hand-written C, on the same core.

A run is full-batch gradient descent, jitted as one scan; an ensemble is a vmap of it. The contestants take turns for
several rounds, and the medians are shown: microseconds per step, and for many nets per net and step. JAX takes part if
it is installed, or with --jax PYTHON from another environment.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import options
import torch
from rivals import adam, curvature, decayed, memory, rows, startup, threads
from rivals.contestants import (
    Jax,
    Workload,
    build_reference,
    by_c,
    by_eager,
    by_jit,
    by_module,
    by_torch_func,
    shorter,
)
from rivals.timing import digits, medians, seconds

import funcnet as fn
from funcnet import report

WORKLOADS = [
    Workload((2, 2, 1), 4, 10_001, None, 0.5, 1.5),
    Workload((2, 2, 1), 4, 1_001, 4_096, 0.15, 1.5),
    Workload((2, 10, 10, 10, 1), 4, 10_001, None, 0.15),
    Workload((2, 10, 10, 10, 1), 4, 101, 1_024, 0.12),
    Workload((64, 32, 10), 64, 1_001, None, 0.8),
    Workload((64, 32, 10), 64, 51, 64, 0.7),
    Workload((784, 512, 512, 10), 128, 1, to_compile=1),
    Workload((2, 8, 1), 4, 201, times=50),
    Workload((2, 8, 1), 4, 21, 256, times=50),
]


NAMES = ["C", "jit", "JAX", "eager", "func", "compile", "nn.Module"]


def measure(work: Workload, args: argparse.Namespace, jax: Jax | None, library: Any) -> dict[str, float]:
    """Return the median of every contestant that takes part, in microseconds."""
    few, seed = shorter(work), args.seed
    runs = {
        "C": (by_c(work, library), work),
        "jit": (by_jit(work, seed), work),
        "eager": (by_eager(few, seed), few),
        "func": (by_torch_func(few, seed), few),
        "compile": (by_torch_func(few, seed, compiled=True) if args.compile else None, few),
        "nn.Module": (by_module(few, seed), few),
    }
    timers = {name: partial(timed, run, part.unit) for name, (run, part) in runs.items() if run is not None}
    if jax is not None:
        timers["JAX"] = partial(jax.microseconds, work)
    return medians(timers, args.rounds)


def timed(run: Callable[[], object], unit: float) -> float:
    return seconds(run) * unit


def microseconds(times: dict[str, float]) -> list[str]:
    """Show each contestant's time with three digits; eager is funcnet without jit, func is torch.func by hand."""
    return [digits(times.get(name)) for name in NAMES]


def ratios(work: Workload, times: dict[str, float]) -> list[str]:
    goals = {"JAX": work.to_jax, "C": work.to_c, "compile": work.to_compile, "nn.Module": None}
    return [ratio(times, other, goal) for other, goal in goals.items()]


def ratio(times: dict[str, float], other: str, goal: float | None) -> str:
    """Show the ratio of jit's time to another contestant's, and the goal."""
    if other not in times:
        return "-"
    return f"{times['jit'] / times[other]:.2g}" + (f" ≤{goal}" if goal else "")


def first_calls(seed: int) -> list[list[str]]:
    """Time tracing and compilation, once with an empty kernel cache and once from the cache; torch itself is warm."""
    found: list[list[str]] = []
    with rows.empty_cache():
        for work, goals in ((WORKLOADS[0], "≤1.5, ≤0.15"), (WORKLOADS[3], "≤3")):
            short = Workload(work.sizes, work.batch, 2, work.nets)
            cold, warm = (f"{seconds(by_jit(short, seed), least=0):.3f}" for _ in range(2))
            found.append([work.name, cold, warm, goals])
    return found


def startup_rows(args: argparse.Namespace, jax: Jax | None) -> list[list[str]]:
    """Time the first calls of new processes, in seconds."""
    contestants = {"funcnet": sys.executable} | ({} if jax is None else {"jax": jax.python})
    times = {name: startup.measure(python, name, args.rounds) for name, python in contestants.items()}
    goals = {"funcnet": f" ≤{startup.GOAL}"}
    return [
        [name, *(f"{part:.2f}" for part in imports), f"{call:.2f}{goals.get(name, '')}", f"{training:.2f}"]
        for name, (*imports, call, training) in times.items()
    ]


def normals(args: argparse.Namespace, jax: Jax | None) -> list[str]:
    """Time a million normals from one key, in milliseconds."""
    draw = partial(fn.jit(lambda key: fn.random.normal(key, (1_000_000,))), fn.random.key(args.seed))
    timers: dict[str, Callable[[], float]] = {"jit": partial(timed, draw, 1e3)}
    if jax is not None:
        timers["JAX"] = lambda: jax.time(normals=1_000_000) * 1e3
    times = medians(timers, args.rounds)
    return ["1,000,000 normals", digits(times["jit"]), digits(times.get("JAX")), ratio(times, "JAX", 1.5)]


def adam_row(args: argparse.Namespace) -> list[str]:
    """Time one step of Adam over many small leaves, in milliseconds."""
    steps = adam.contestants(args.seed)
    times = medians({name: partial(timed, step, 1e3) for name, step in steps.items()}, args.rounds)
    shown = map(digits, times.values())
    goals = (f"{times[name] / times['torch.optim']:.2f} ≤{goal}" for name, goal in (("jit", 1), ("eager", 1)))
    return [f"{adam.LEAVES} leaves of {adam.SIZE:,}", *shown, *goals]


def decayed_row(name: str, args: argparse.Namespace, jax: Jax | None) -> list[str]:
    """Time an optimizer step with half of the state decayed, in µs, against one with a live state."""
    unit = 1e6 / decayed.STEPS
    runs: dict[str, Callable[[], float]] = {
        kind: partial(timed, run, unit) for kind, run in decayed.contestants(name).items()
    }
    if jax is not None:
        runs["JAX"] = lambda: jax.time(name=name, numbers=decayed.NUMBERS, steps=decayed.STEPS) * unit
    times = medians(runs, args.rounds)
    shown = [digits(times.get(kind)) for kind in ("alive", "half dead", "JAX")]
    times["jit"] = times["half dead"]
    return [f"{name}, {decayed.NUMBERS:,} numbers", *shown, ratio(times, "alive", 1.2), ratio(times, "JAX", 1.5)]


def memory_rows(steps: int, nets: int = 16_384) -> list[list[str]]:
    """Measure the peak memory of ensemble runs, against the size of their parameters and results."""
    rows = []
    for losses in (False, True):
        used, needed = memory.measure(steps, nets, losses=losses)
        name = f"2-2-1, {nets:,} nets, {steps:,} steps, {'every loss' if losses else 'parameters'}"
        rows.append([name, f"{used:.1f}", f"{needed:.1f}", f"{used - needed:.1f} ≤{memory.ALLOWED}"])
    return rows


def nets_part(args: argparse.Namespace, jax: Jax | None) -> list[Any]:
    """Return tables of the training steps of all contestants."""
    library = build_reference()
    chosen = [work for work in WORKLOADS if args.only is None or args.only in work.name]
    works = [work.quick() for work in chosen] if args.quick else chosen
    measured = [(work, measure(work, args, jax, library)) for work in works]
    return [
        report.table(["net", *NAMES], [[w.name, *microseconds(t)] for w, t in measured], title="µs per step and net"),
        report.table(
            ["net", "to JAX", "to C", "to torch.compile", "to nn.Module"],
            [[w.name, *ratios(w, t)] for w, t in measured],
            title="Ratios of jit's time to others, and goals",
        ),
    ]


def calls_part(args: argparse.Namespace, jax: Jax | None) -> list[Any]:
    """Return tables of the costs of first calls, random numbers and steps of Adam, and the memory of ensembles."""
    of_adam = [adam_row(args)]
    return [
        report.table(["first call, s", "cold", "from the disk", "goals"], first_calls(args.seed)),
        report.table(
            ["first calls of a process, s", "import torch", "itself", "x + 1", "training"], startup_rows(args, jax)
        ),
        report.table(["draw, ms", "jit", "JAX", "jit/JAX"], [normals(args, jax)]),
        report.table(["one step of Adam, ms", "jit", "eager", "torch.optim", "jit to it", "eager to it"], of_adam),
        report.table(
            ["one step of decayed state, µs", "alive", "half dead", "JAX, half dead", "to alive", "to JAX"],
            [decayed_row(name, args, jax) for name in decayed.OPTIMIZERS],
        ),
        report.table(["ms by number of threads", "1", "2", "ratio"], threads.table(args.rounds)),
        report.table(["memory, MiB", "peak", "needed", "beside"], memory_rows(1_001 if args.quick else 10_001)),
        *with_rows(MISSED, rows.missed_ratios(of_adam, adam.CAUSES)),
    ]


def curvature_part(args: argparse.Namespace, jax: Jax | None) -> list[Any]:
    """Return tables of the costs of per-example gradients and curvature, at a batch of 256."""
    ratios_of_two = curvature.ratio_rows(args)
    return [
        report.table(["net", "what", "ms", "of ms", "ratio"], ratios_of_two),
        report.table(
            ["memory, MiB", "examples", "at once", "result", "beside"], curvature.memory_rows(), title="784-512-10"
        ),
        *with_rows(MISSED, rows.missed_ratios(ratios_of_two, curvature.CAUSES, of=1)),
    ]


def programs_part(args: argparse.Namespace, jax: Jax | None) -> list[Any]:
    """Return tables of operations, programs, small calls, loops of steps and draws next to JAX, by ratio."""
    jitted = rows.measured(args, jax, ["operations", "programs", "calls"], "jit")
    loops = rows.measured(args, jax, ["loops"], "op by op")
    draws = rows.measured(args, jax, ["draws"], "op by op", goal=2)
    shown = [[*row.cells("jit", "op by op", "JAX"), f"{row.goal:g}"] for row in jitted]
    return [
        report.table(
            ["workload, µs", "jit", "op by op", "JAX", "jit/JAX", "goal"], shown, title="The same text in both"
        ),
        *with_rows(["next to torch, µs", "jit", "torch", "ratio ≤1"], rows.next_to_torch(jitted)),
        *with_rows(
            ["20 jitted steps in Python with, µs", "funcnet", "JAX", "ratio ≤1"],
            [row.cells("op by op", "JAX") for row in loops],
        ),
        *with_rows(["without jit, µs", "funcnet", "JAX", "ratio ≤2"], [row.cells("op by op", "JAX") for row in draws]),
        *with_rows(MISSED, rows.missed([*jitted, *loops, *draws])),
    ]


def growth_part(args: argparse.Namespace, jax: Jax | None) -> list[Any]:
    """Return tables of the seconds of first calls by stage, and series of sizes; jumps should be at most 1.5."""
    calls, series = rows.first_calls(args, jax), rows.sweep_rows(args, jax)
    return [
        *with_rows(["first call, s", "sum", "JAX", "ratio ≤1"], [row.cells("sum", "JAX") for row in calls]),
        *with_rows(["its stages, s", *rows.STAGES], [rows.stage_cells(row) for row in calls]),
        *with_rows(["series", "sizes", "jump ≤1.5", "from, to", "worst jit/JAX", "at"], series),
        *with_rows(MISSED, rows.missed(calls) + rows.missed_jumps(series)),
    ]


PART = """measure this part only: nets, the training runs; calls, first calls, new processes, draws, optimizers, threads
and memory; curvature, derivatives next to torch.func; programs, operations and programs with the same text for JAX; or
growth, first calls by stage and series of sizes"""
MISSED = ["goal missed", "ratio", "goal", "cause"]


def with_rows(columns: list[str], found: list[list[str]]) -> list[Any]:
    """Return a list of a table, or an empty one if the table has no rows."""
    return [report.table(columns, found)] if found else []


PARTS = {
    "nets": nets_part,
    "calls": calls_part,
    "curvature": curvature_part,
    "programs": programs_part,
    "growth": growth_part,
}


def main() -> None:
    """Measure all parts, or one."""
    parser = options.parser(
        __doc__, takes="15 min, and with --quick 5 min", seed="seed of the first parameters and the data"
    )
    parser.add_argument("--rounds", type=options.count, default=5, help="number of runs of every contestant")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, three rounds")
    parser.add_argument("--part", choices=PARTS, help=PART)
    parser.add_argument("--only", metavar="TEXT", help="measure only what has this text in its name")
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile, which takes minutes")
    parser.add_argument("--jax", metavar="PYTHON", help="an interpreter with JAX; by default this one, if it has JAX")
    args = options.parse(parser)
    one_core()
    args.rounds = 3 if args.quick else args.rounds
    jax = Jax.where_installed(args.jax)
    shown: list[Any] = []
    for measured in (measure for name, measure in PARTS.items() if args.part in (None, name)):
        tables = measured(args, jax)
        report.show(*tables)
        shown += tables
    if jax is not None:
        jax.close()
    if args.svg is not None:
        with redirect_stdout(io.StringIO()):  # each part has been printed when it was measured
            report.show(*shown, svg=args.svg, dark=args.dark)


def one_core() -> None:
    """Use one core, which JAX's process inherits."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


if __name__ == "__main__":
    main()
