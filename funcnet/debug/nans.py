"""Find the operation that computes NaN."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet._torch import DispatchMode
from funcnet.compiler.errors import user_line


@contextmanager
def debug_nans(enable: bool = True) -> Iterator[None]:
    """Raise where an operation computes NaN, in the function, its derivatives or its batches.

    Jitted functions run as plain Python in this context, so that the error can name a line.

    Args:
        enable: Whether to check; False leaves everything unchanged.
    Raises:
        FloatingPointError: In the context: a result is NaN; the message names the operation and the user's line.
    Source:
        jax.debug_nans.
    Example:
        >>> with fn.debug_nans():
        ...     y = torch.tensor(4.0).sqrt()  # raises for -4.0
    """
    if not enable:
        yield
        return
    with _Checked():
        yield


class _Checked(DispatchMode):
    def __init__(self) -> None:
        DispatchMode.__init__(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = str(func).removeprefix("aten.").removesuffix(".default")
        if "empty" not in name and any(map(_has_nan, tree.leaves(result))):  # memory without values may hold anything
            raise FloatingPointError(
                f"debug_nans: {str(func).removesuffix('.default')} gives NaN{user_line()}. Look at the values of its "
                "arguments there; a derivative may be NaN where its function is finite, as that of sqrt(0) times 0."
            )
        return result


def _has_nan(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and tree.is_inexact(leaf) and not leaf.is_meta and bool(leaf.isnan().any())
