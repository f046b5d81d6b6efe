"""Windows on the last axes of an input: their sizes, steps and padding."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn.functional import pad

from funcnet import tree
from funcnet.layers.layer import LayerError

Sizes = int | Sequence[int]
Margins = Sequence[tuple[int, int]]
Padding = str | int | Sequence[int | tuple[int, int]]


class Window(NamedTuple):
    """The size, steps and padding of a window; one number per axis."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...] | None  # before and after; None: "same", n become ceil(n / stride)


def window(operation: str, size: Sequence[int], stride: Sizes, dilation: Sizes, padding: Padding) -> Window:
    """Check the user's options of a window, and expand them to one number per axis."""
    if not isinstance(size, Sequence) or not 1 <= len(size) <= 3 or not all(_is_whole(n, 1) for n in size):
        raise ValueError(
            f"{operation}: expected kernel_size to hold 1 to 3 whole numbers, one per axis, such as (3, 3) for images, "
            f"got {size!r}."
        )
    axes = len(size)
    return Window(
        tuple(size),
        _each(operation, "stride", stride, axes),
        _each(operation, "dilation", dilation, axes),
        None if padding == "same" else _pairs(operation, padding, axes),
    )


def refuse_windows_of_padding(operation: str, window: Window) -> None:
    """Refuse windows that contain only padding, which have neither a maximum nor a mean."""
    for size, skip, margin in zip(window.size, window.dilation, window.padding or (), strict=False):
        if max(margin) > skip * (size - 1):
            raise ValueError(
                f"{operation}: expected padding smaller than the window of size {window.size}, got {window.padding}. "
                "A window that contains only padding has no value."
            )


def margins(operation: str, x: Tensor, window: Window) -> Margins:
    """Return the padding before and after each of the last axes of x; raise if the window does not fit then."""
    shape = x.shape[-len(window.size) :]
    same = [_same(*axis) for axis in zip(shape, window.size, window.stride, window.dilation, strict=True)]
    added = window.padding or same
    for n, margin, size, dilation in zip(shape, added, window.size, window.dilation, strict=True):
        if not n or n + sum(margin) <= dilation * (size - 1):
            raise LayerError(
                operation,
                "",
                f"expected x to be at least as large as the kernel of size {window.size} with dilation "
                f'{window.dilation}, got x of shape {tuple(x.shape)}. Padding "same" allows any size but 0.',
            )
    return added


def extend(x: Tensor, added: Margins, value: float = 0.0) -> Tensor:
    """Pad the last axes of x."""
    if not any(map(any, added)):
        return x
    return pad(x, [n for margin in reversed(added) for n in margin], value=value)


def fold(x: Tensor, axes: int) -> Tensor:
    """Merge the leading axes into one, as torch's kernels expect."""
    return x.reshape(math.prod(x.shape[:-axes]), *x.shape[-axes:])


def check_axes(operation: str, x: Any, axes: int, meaning: str) -> None:
    """Refuse an x with fewer axes than the layer acts on."""
    if not tree.is_floating(x) or x.ndim < axes:
        got = tree.describe(x)
        raise LayerError(operation, "", f"expected a floating-point x of shape (*, {meaning}), got {got}.")


def _same(n: int, size: int, stride: int, dilation: int) -> tuple[int, int]:
    total = max((-(-n // stride) - 1) * stride + dilation * (size - 1) + 1 - n, 0)
    return total // 2, total - total // 2


def _each(operation: str, name: str, value: Sizes, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(values) != axes or not all(_is_whole(n, 1) for n in values):
        expected = f"a whole number, at least 1, or one for each of {axes} axes"
        raise ValueError(f"{operation}: expected {name} to be {expected}, got {value!r}.")
    return values


def _pairs(operation: str, value: Padding, axes: int) -> tuple[tuple[int, int], ...]:
    given: Any = 0 if value == "valid" else value
    given = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    pairs = tuple(tuple(n) if isinstance(n, (tuple, list)) else (n, n) for n in given)
    if len(pairs) != axes or not all(len(pair) == 2 and all(_is_whole(n, 0) for n in pair) for pair in pairs):
        expected = f'"same", "valid", a whole number, or for each of {axes} axes a number or a pair (before, after)'
        raise ValueError(f"{operation}: expected padding to be {expected}, got {value!r}.")
    return pairs


def _is_whole(n: Any, least: int) -> bool:
    return isinstance(n, int) and n >= least
