"""The exceptions of the compiler, and where in the user's code an error arose."""

import sys
import traceback
from collections.abc import Iterator
from types import FrameType


class StagingError(RuntimeError):
    """A function cannot be traced: it reads values in Python, draws global random numbers, or writes to its inputs."""


class UnsupportedError(Exception):
    """A backend has no rule for an operation; the message names it and the reason."""


class NoCompilerError(Exception):
    """The native backend finds no C compiler that works here; the message says why, and what to do."""


class InternalError(Exception):
    """The compiler contradicts itself: a fault of its own, not of the program."""


def reads_value(operation: str, line: str | None = None) -> StagingError:
    """Build the error for code that needs a number where only a shape is known."""
    return StagingError(
        f"jit: {operation} needs the values of a tensor{user_line() if line is None else line}. A function is"
        " traced once for all values, so Python cannot branch on them, print them or take shapes from them. Use"
        " torch.where for a branch, scan for a loop, or pass a Python number, which becomes a constant of the program."
    )


def draws_random(operation: str, line: str) -> StagingError:
    """Build the error for random numbers that no key determines."""
    return StagingError(
        f"jit: {operation} draws from torch's global generator{line}; a traced function is pure."
        " Draw from funcnet.random with a key that is passed in."
    )


def user_line(error: BaseException | None = None) -> str:
    """Say where the user's code is: the innermost frame outside the libraries, now or where an error arose."""
    frames = _stack() if error is None else reversed(list(traceback.walk_tb(error.__traceback__)))
    for frame, line in frames:
        if frame.f_globals.get("__name__", "").split(".")[0] not in ("torch", "optree", "funcnet"):
            return f" in {frame.f_code.co_name}, {frame.f_code.co_filename}:{line}"
    return ""


def _stack() -> Iterator[tuple[FrameType, int]]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back
