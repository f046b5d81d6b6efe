"""`disable_jit`: run jitted functions as plain Python."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _State(threading.local):
    disabled = False


_state = _State()


def is_disabled() -> bool:
    """Tell whether jitted functions run as plain Python in this thread."""
    return _state.disabled


@contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Run jitted functions as plain Python in this thread, to debug them: prints, breakpoints and branches work.

    Args:
        disable: False switches compilation on again, within an outer `disable_jit`.
    Source:
        jax.disable_jit.
    Example:
        >>> double = fn.jit(lambda x: 2 * x if x > 0 else x)  # jit refuses to branch on x
        >>> with fn.disable_jit():
        ...     double(torch.tensor(1.0))
        tensor(2.)
    """
    before, _state.disabled = _state.disabled, disable
    try:
        yield
    finally:
        _state.disabled = before
