"""The exceptions of the compiler, and the line of the user's code where an error occurred."""

import sys
import traceback
from collections.abc import Iterator
from types import FrameType


class StagingError(RuntimeError):
    """A function cannot be traced: it reads values in Python, draws global random numbers, or writes to its inputs."""


class NumberNeededError(StagingError):
    """Python needs the values of some traced numbers.

    Attributes:
        numbers: Their positions among the traced numbers.
    """

    def __init__(self, numbers: frozenset[int]) -> None:
        super().__init__("jit: Python needs the value of a traced number.")
        self.numbers = numbers


class BatchingError(NotImplementedError):
    """An operation of the user's function cannot be computed for a batch, as an outermost vmap asks for."""


class UnsupportedError(Exception):
    """A backend has no rule for an operation; the message names the operation and the reason."""


class NoCompilerError(Exception):
    """The native backend finds no working C compiler; the message gives the reason and a remedy."""


class InternalError(Exception):
    """A bug in the compiler, not in the user's program."""


def reads_value(operation: str, line: str | None = None) -> StagingError:
    """Return the error for code that reads the value of a tensor while it is traced."""
    remedy = next((text for part, text in _REMEDIES.items() if part in operation), _REMEDY)
    return StagingError(
        f"jit: {operation} needs the values of a tensor{user_line() if line is None else line}. A function is"
        f" traced once for all values, so {remedy}"
    )


_REMEDY = (
    "Python cannot branch on them, print them or take shapes from them. Use cond for a branch, while_loop or scan for a"
    " loop, or pass a Python number, which becomes a constant of the program."
)
_SELECTION = (
    "the size of a selection cannot depend on them. Keep all elements, and replace the others, as in"
    " torch.where(mask, x, 0).sum() for x[mask].sum()."
)
_REMEDIES = {  # by parts of an operation's name
    "aten.index.Tensor": _SELECTION,
    "aten.masked_select": _SELECTION,
    "aten.nonzero": _SELECTION,
    "aten._unique": "the number of different elements cannot depend on them. Sort, and compare neighbours.",
    "numpy": "they cannot be in an array. Use torch's operations, and torch.as_tensor(array) as their operand.",
}


def draws_random(operation: str, line: str) -> StagingError:
    """Return the error for random numbers without a key."""
    return StagingError(
        f"jit: {operation} draws from torch's global generator{line}; a traced function is pure."
        " Draw from funcnet.random with a key that is passed in."
    )


def user_line(error: BaseException | None = None) -> str:
    """Describe the innermost frame of the user's code, outside the libraries: the current one, or that of an error."""
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
