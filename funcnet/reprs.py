"""Reprs of layers, optimizers, schedules and transformed functions: the call that made them, such as `dense(4)`."""

import reprlib
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from torch import Tensor

from funcnet.tree.flattening import describe

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T", bound="Made")

_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = 60


class Call(NamedTuple):
    """A call of a builder. Its text is made when it is asked for: an argument may be a tensor that jit traces."""

    builder: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        given = [*map(text, self.args), *(f"{name}={text(value)}" for name, value in self.kwargs.items())]
        return f"{self.builder}({', '.join(given)})"


class Made(Protocol):
    """A result of a builder that can hold the call that made it."""

    def made_by(self: T, call: Call) -> T:
        """Return the same value with another repr."""
        ...


def shows_call(build: Callable[P, T]) -> Callable[P, T]:
    """Make a builder's results print as the call that made them."""

    @wraps(build)
    def builder(*args: P.args, **kwargs: P.kwargs) -> T:
        return build(*args, **kwargs).made_by(Call(build.__name__, args, kwargs))

    return builder


class Shown:
    """Something whose repr is the call that made it, also where it is an argument of another call."""


class Built(Shown, partial[R], Generic[R]):
    """A function that prints as the call of its builder."""

    call: Call

    def __repr__(self) -> str:
        return str(self.call)


def names_call(build: Callable[P, Callable[Q, R]]) -> Callable[P, Callable[Q, R]]:
    """Make a builder's results, which are functions, print as the call that made them."""

    @wraps(build)
    def builder(*args: P.args, **kwargs: P.kwargs) -> Callable[Q, R]:
        function = build(*args, **kwargs)
        built = (
            Built(function.func, *function.args, **function.keywords)
            if isinstance(function, partial)
            else Built(function)
        )
        built.call = Call(build.__name__, args, kwargs)
        return built

    return builder


def text(value: Any) -> str:
    """Describe one argument of a builder: functions by their names, tensors by dtype and shape."""
    if isinstance(value, Tensor):
        return f"<{describe(value)}>"
    if type(value) in (list, tuple):
        body = ", ".join(map(text, value))
        return f"[{body}]" if isinstance(value, list) else f"({body}{',' * (len(value) == 1)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {text(item)}' for key, item in value.items())}}}"
    if isinstance(value, Shown) or hasattr(value, "made_by"):
        return repr(value)
    return _name(value) or _SHORT.repr(value)


def _name(value: Any) -> str | None:
    """Return the name of a function, without the underscore of a private one."""
    while isinstance(value, partial):
        value = value.func
    name = getattr(value, "__name__", None)
    return name.lstrip("_") if callable(value) and isinstance(name, str) else None
