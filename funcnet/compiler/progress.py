"""How far a run is: the steps of its outermost scans, told to a callback now and then and at the end."""

import threading
import time
from collections.abc import Callable

from funcnet.compiler.graph import Program, Scan

Progress = Callable[[int, int], object]
INTERVAL = 0.1  # seconds between two calls


def steps(program: Program) -> int:
    """Count the steps of the outermost scans."""
    return sum(op.length for op in program.block.ops if isinstance(op, Scan))


class Meter(threading.local):
    """Counts the steps of a run in Python, in each thread its own."""

    def __init__(self, callback: Progress) -> None:
        self.callback = callback
        self.start(0)

    def start(self, total: int) -> None:
        """Begin a run."""
        self.done, self.total, self.next = 0, total, time.monotonic() + INTERVAL

    def step(self) -> None:
        """Count one step."""
        self.done += 1
        if time.monotonic() >= self.next:
            self.callback(self.done, self.total)
            self.next = time.monotonic() + INTERVAL

    def end(self) -> None:
        """Say that all is done."""
        self.callback(self.total, self.total)
