"""Reprs of layers and optimizers: the call that made them, such as `serial(dense(4), tanh, dense(1))`."""

import reprlib
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from torch import Tensor

from funcnet.tree.flattening import describe

P = ParamSpec("P")
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


def text(value: Any) -> str:
    """Describe one argument of a builder: functions by their names, tensors by dtype and shape."""
    if isinstance(value, Tensor):
        return f"<{describe(value)}>"
    if type(value) in (list, tuple):
        body = ", ".join(map(text, value))
        return f"[{body}]" if isinstance(value, list) else f"({body}{',' * (len(value) == 1)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {text(item)}' for key, item in value.items())}}}"
    return _name(value) or (repr(value) if hasattr(value, "made_by") else _SHORT.repr(value))


def _name(value: Any) -> str | None:
    """Return the name of a function, without the underscore of a private one."""
    while isinstance(value, partial):
        value = value.func
    name = getattr(value, "__name__", None)
    return name.lstrip("_") if callable(value) and isinstance(name, str) else None
