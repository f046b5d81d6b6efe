"""Interrupts of a run in the main thread, where Python handles signals only while it runs Python code."""

import ctypes
from collections.abc import Generator

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)


class Interrupts:
    """Receives calls of a kernel from time to time; C ends the run after one in which a signal handler has raised.

    It serves no further run then: a second signal may have ended the generator.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        calls = self._calls()
        next(calls)
        self.callback = CALLBACK(calls.send)

    def _calls(self) -> Generator[int, int, None]:
        """Return the token of each call if the run goes on, else 0.

        Python handles signals at the start of a function, where the function cannot catch what a handler raises. A
        generator that goes on inside a `try` can.
        """
        token = 0
        while True:
            try:
                token = yield token
            except GeneratorExit:
                return
            except BaseException as error:
                self.error, token = error, 0
