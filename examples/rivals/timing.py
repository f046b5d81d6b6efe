"""How benchmark.py times work: contestants take turns, and medians are compared."""

import statistics
import time
from collections.abc import Callable, Mapping

Timer = Callable[[], float]


def seconds(work: Callable[[], object], least: float = 0.02) -> float:
    """Time a run; a short run is repeated for `least` seconds, so that it starts with warm caches."""
    start, runs = time.perf_counter(), 0
    while runs == 0 or time.perf_counter() - start < least:
        work()
        runs += 1
    return (time.perf_counter() - start) / runs


def medians(timers: Mapping[str, Timer], rounds: int) -> dict[str, float]:
    """Let the contestants take turns; the first round, which compiles, does not count."""
    times = [{name: timer() for name, timer in timers.items()} for _ in range(rounds + 1)][1:]
    return {name: statistics.median(row[name] for row in times) for name in timers}


def digits(number: float | None) -> str:
    """Show a number with three digits, and a missing one as a dash."""
    if number is None or number != number:
        return "-"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
