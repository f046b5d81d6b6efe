"""The threads of a long run. The calling thread only waits, so that Ctrl-C can stop them."""

import os
import threading
from collections.abc import Callable, Sequence

from funcnet.compiler import forks
from funcnet.compiler.native.frames import Frame
from funcnet.compiler.progress import INTERVAL


def spread(run: Callable[[Frame], None], frames: Sequence[Frame], report: Callable[[int], object] | None) -> None:
    """Run each frame in a thread of its own; report the number of steps done from time to time."""
    process = os.getpid()
    ends = [_start(run, frame) for frame in frames]
    try:
        for end in ends:
            while not _has_ended(end, process):
                if report is not None:
                    report(sum(frame.control.done for frame in frames))
    except BaseException:
        for frame in frames:
            frame.control.stop = 1
        for end in ends:
            while not _has_ended(end, process):
                pass
        raise
    if os.getpid() != process:
        raise RuntimeError(f"jit: the progress callback forked: its child has no part of the run. {forks.REMEDY}")


def _has_ended(end: threading.Event, process: int) -> bool:
    """Wait a while for the end of a thread; a child process has none. A wait without a limit may miss an interrupt."""
    return end.wait(INTERVAL) or os.getpid() != process


def _start(run: Callable[[Frame], None], frame: Frame) -> threading.Event:
    """Run a frame in a thread; return the event of its end, because a `Thread.join` that is interrupted loses it."""
    end = threading.Event()

    def target() -> None:
        try:
            run(frame)
        finally:
            end.set()

    frame.control.done = 0
    threading.Thread(target=target, daemon=True).start()
    return end
