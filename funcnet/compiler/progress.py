"""Progress of a run: a callback receives the number of finished steps of the outermost scans."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from funcnet.compiler.program import Program, Scan
from funcnet.tracebacks import shortened

Progress = Callable[[int, int], object]
INTERVAL = 0.1  # seconds between two calls of the callback
PATIENCE = 2.0  # seconds of a run before `Bar` shows it


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


Show = Callable[[int, int | None, str], object]
drawers: list[Callable[[str], AbstractContextManager[Show | None]]] = []  # of bars; a higher layer adds the one in use


class Bar(threading.local):
    """A callback that shows a bar in a terminal once a run has taken some time, separately in each thread."""

    def __init__(self) -> None:
        self.start: float | None = None  # of the present run
        self.shown = ExitStack()
        self.show: Show | None = None

    def __reduce__(self) -> Any:
        return Bar, ()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        self.start = now if self.start is None else self.start
        if self.show is None and drawers and done < total and now - self.start >= PATIENCE:
            self.show = self.shown.enter_context(drawers[-1]("running"))
        if self.show is not None:
            self.show(done, total, "")
        if done == total:
            self.close()

    def close(self) -> None:
        """End the bar of a run, which may have ended with an error."""
        self.start, self.show = None, None
        self.shown.close()


def ended_by(error: BaseException, progress: Progress | None, programs: Sequence[Program]) -> BaseException:
    """End the bar of a run that an error has ended; return the error with what helps its reader."""
    if isinstance(progress, Bar):
        progress.close()
    if isinstance(error, KeyboardInterrupt) and any(map(steps, programs)):
        _explain(error)
    return shortened(error) if isinstance(error, Exception) else error


def _explain(error: KeyboardInterrupt) -> None:
    """Add to an interrupt how a run can be made to keep its results so far."""
    if not error.args and not getattr(error, "__notes__", ()):
        if sys.version_info >= (3, 11):
            error.add_note(_NOTE)
        else:
            error.args = (_NOTE,)


_NOTE = (
    "jit: the results of the interrupted run are lost. fn.fit(step, carry, xs, checkpoints=folder) runs the step of a"
    " scan in chunks: Ctrl-C then returns what was reached, and the same call goes on from there."
)
