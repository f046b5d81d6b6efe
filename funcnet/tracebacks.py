"""Tracebacks of errors that pass through transformations: the user's frames, without those of torch and this library.

An error under jit(scan(grad(f))) has dozens of library frames around the few that show where it occurred. Set the
environment variable FUNCNET_TRACEBACK=full to see all frames.
"""

import os
from collections.abc import Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

from funcnet.array_methods import explain

P = ParamSpec("P")
R = TypeVar("R")

_LIBRARIES = ("funcnet", "torch", "optree", "contextlib", "functools")


def boundary(f: Callable[P, R]) -> Callable[P, R]:
    """Shorten the tracebacks of errors that leave a function.

    It is for functions of modules and methods: torch.compile cannot trace the making of a wrapper.
    """

    @wraps(f)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return f(*args, **kwargs)
        except Exception as error:
            raise shortened(error)  # noqa: B904  # the error itself, not a new one

    return call


def shortened(error: Exception) -> Exception:
    """Remove the libraries' frames from the tracebacks of an error and its causes; add a remedy if one is known."""
    explain(error)
    if os.environ.get("FUNCNET_TRACEBACK") == "full":
        return error
    for each in _chain(error):
        each.__traceback__ = _without_libraries(each.__traceback__)
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        each = rest.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            rest += [each.__cause__, each.__context__]
            yield each


def _without_libraries(trace: TracebackType | None) -> TracebackType | None:
    kept = []
    while trace is not None:
        kept += [trace] if _is_of_user(trace) else []
        trace = trace.tb_next
    inner = None
    for each in reversed(kept):
        inner = TracebackType(inner, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return inner


def _is_of_user(trace: TracebackType) -> bool:
    return str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0] not in _LIBRARIES
