"""A warning for a function that is traced again and again."""

import warnings

from funcnet.compiler.calls import Request
from funcnet.compiler.signature import difference

_MANY = 10  # traces of a function at which to warn


class Retraces:
    """Counts the traces of a function."""

    def __init__(self) -> None:
        self.count = 0
        self.last: Request | None = None

    def add(self, name: str, request: Request) -> None:
        """Count a trace; the warning names what differs from the call of the trace before."""
        self.count += 1
        if self.count == _MANY and self.last is not None:
            warnings.warn(
                f"jit: {name} is traced for the {_MANY}th time, which takes far longer than a run. Last,"
                f" {difference(self.last.key, request.key, (request.args, request.kwargs))}. Pass what changes as a"
                " tensor, keep shapes the same, and jit a function once, outside of loops.",
                stacklevel=5,
            )
        self.last = request
