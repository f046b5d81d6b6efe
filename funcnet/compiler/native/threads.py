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
    threads = [threading.Thread(target=run, args=(frame,), daemon=True) for frame in frames]
    for frame in frames:
        frame.control.done = 0
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():  # a join without a timeout may miss an interrupt
                thread.join(INTERVAL)
                if report is not None and thread.is_alive():
                    report(sum(frame.control.done for frame in frames))
    except BaseException:
        for frame in frames:
            frame.control.stop = 1
        for thread in threads:
            thread.join()
        raise
    if os.getpid() != process:
        raise RuntimeError(f"jit: the progress callback forked: its child has no part of the run. {forks.REMEDY}")
