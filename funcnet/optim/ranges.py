"""Checks of hyper-parameters when an optimizer is built, so that a wrong value fails before the first update.

Numbers are checked. Tensors and schedules pass, because their values may not be known yet.
"""

import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from funcnet import tree


def check_rate(operation: str, **values: Any) -> None:
    """Raise unless each value is a finite, non-negative number, a 0-d tensor or a schedule.

    Raises:
        TypeError: It is none of these, such as parameters, which are the first argument in torch.optim.
        ValueError: It is out of range.
    """
    fixed = {name: value for name, value in values.items() if not callable(value)}
    _check(operation, "a number of at least 0, a 0-d tensor or a schedule", _not_negative, fixed)


def check_not_negative(operation: str, **values: Any) -> None:
    """Raise unless each value is a finite, non-negative number, or a 0-d tensor."""
    _check(operation, "a number of at least 0 or a 0-d tensor", _not_negative, values)


def check_bound(operation: str, **values: Any) -> None:
    """Raise unless each value is a non-negative number or a 0-d tensor; infinity means no bound."""
    _check(operation, "a number of at least 0 or a 0-d tensor", lambda value: value >= 0, values)


def check_fraction(operation: str, **values: Any) -> None:
    """Raise unless each value is a number in [0, 1], or a 0-d tensor."""
    _check(operation, "a number in [0, 1] or a 0-d tensor", lambda value: 0 <= value <= 1, values)


def check_count(operation: str, **values: Any) -> None:
    """Raise unless each value is an integer of at least 1, or a 0-d tensor."""
    _check(operation, "an integer of at least 1", lambda value: isinstance(value, Integral) and int(value) >= 1, values)


def check_finite(operation: str, **values: Any) -> None:
    """Raise unless each value is a finite number, or a 0-d tensor."""
    _check(operation, "a finite number or a 0-d tensor", lambda value: -math.inf < value < math.inf, values)


def check_parts(operation: str, parts: Iterable[Any]) -> None:
    """Raise TypeError unless all parts are transformations."""
    for part in parts:
        if not (hasattr(part, "init") and hasattr(part, "update")):
            raise TypeError(
                f"{operation}: expected transformations, such as clip(1.0), sgd(0.1), got {tree.describe(part)}."
            )


def _check(operation: str, expected: str, in_range: Callable[[Any], bool], values: dict[str, Any]) -> None:
    for name, value in values.items():
        if (isinstance(value, Tensor) and not value.ndim) or isinstance(value, torch.SymFloat | torch.SymInt):
            continue  # torch.SymFloat and SymInt are numbers that jit traces
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(
                f"{operation}: expected {name} to be {expected}, got {tree.describe(value)}.{_remedy(name, value)}"
            )
        if not in_range(value):
            raise ValueError(f"{operation}: expected {name} to be {expected}, got {value}.")


def _remedy(name: str, value: Any) -> str:
    """Suggest the conversion of an array, such as NumPy's, with one element."""
    return f" Convert it by float({name})." if getattr(value, "size", None) == 1 else ""


def _not_negative(value: Any) -> bool:
    return bool(0 <= value < math.inf)
