"""SIGINT in the middle of a run."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupted(seconds: float) -> Iterator[Callable[[], float]]:
    """Send SIGINT to this process after some seconds, and let it raise KeyboardInterrupt.

    A process in the background of a shell ignores the signal otherwise. Yields a function that returns the CPU time of
    the process since the signal, which does not depend on the load of the machine.
    """
    sent: list[float] = []

    def send() -> None:
        sent.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    timer, before = threading.Timer(seconds, send), signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        yield lambda: time.process_time() - sent[0]
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, before)
