"""Interrupts of a run in the main thread, where Python handles signals only while it runs Python code."""

import ctypes
from collections.abc import Generator

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)


class Interrupts:
    """Receives calls of a kernel from time to time; C ends the run after one in which a signal handler has raised."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        calls = self._calls()
        next(calls)
        self.callback = CALLBACK(calls.send)

    def _calls(self) -> Generator[int, int, None]:
        """Tell after each call whether the run goes on.

        Python handles signals at the start of a function, where the function cannot catch what a handler raises. A
        generator that goes on inside a `try` can.
        """
        goes_on = 1
        while True:
            try:
                yield goes_on
                goes_on = 1
            except GeneratorExit:
                return
            except BaseException as error:
                self.error, goes_on = error, 0

    def take_error(self) -> BaseException | None:
        """Return what a signal handler has raised, and clear it."""
        error, self.error = self.error, None
        return error
