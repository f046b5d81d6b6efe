"""Progress of a run: a callback receives the number of finished steps of the outermost scans."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from funcnet.compiler.program import Program, Scan

Progress = Callable[[int, int], object]
INTERVAL = 0.1  # seconds between two calls of the callback


def steps(program: Program) -> int:
    """Count the steps of the outermost scans."""
    return sum(op.length for op in program.block.ops if isinstance(op, Scan))


class Meter(threading.local):
    """Counts the steps of a run in Python, separately in each thread."""

    def __init__(self, callback: Progress) -> None:
        self.callback = callback
        self.done, self.total, self.next = 0, 0, 0.0

    @contextmanager
    def run(self, total: int) -> Iterator[None]:
        """Count a run and report its end. A run that the callback starts has a count of its own."""
        outer = self.done, self.total, self.next
        self.done, self.total, self.next = 0, total, time.monotonic() + INTERVAL
        try:
            yield
            self.callback(total, total)
        finally:
            self.done, self.total, self.next = outer

    def step(self) -> None:
        """Count one step."""
        self.done += 1
        if time.monotonic() >= self.next:
            self.callback(self.done, self.total)
            self.next = time.monotonic() + INTERVAL
