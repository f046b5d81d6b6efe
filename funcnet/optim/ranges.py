"""Checks of hyper-parameters where an optimizer is made: a wrong one must not wait for the first update.

A number is checked. The value of a 0-d tensor may not be known, and the values of a schedule are not; both pass.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from funcnet import tree


def check_rate(operation: str, **values: Any) -> None:
    """Raise unless each value is a finite number that is not negative, a 0-d tensor or a schedule.

    Raises:
        TypeError: It is none of them, such as parameters where torch.optim has them.
        ValueError: It is out of range.
    """
    fixed = {name: value for name, value in values.items() if not callable(value)}
    _check(operation, "a number of at least 0, a 0-d tensor or a schedule", _not_negative, fixed)


def check_not_negative(operation: str, **values: Any) -> None:
    """Raise unless each value is a finite number that is not negative, or a 0-d tensor."""
    _check(operation, "a number of at least 0 or a 0-d tensor", _not_negative, values)


def check_bound(operation: str, **values: Any) -> None:
    """Raise unless each value is a number that is not negative, or a 0-d tensor; infinity bounds nothing."""
    _check(operation, "a number of at least 0 or a 0-d tensor", lambda value: value >= 0, values)


def check_fraction(operation: str, **values: Any) -> None:
    """Raise unless each value is a number in [0, 1], or a 0-d tensor."""
    _check(operation, "a number in [0, 1] or a 0-d tensor", lambda value: 0 <= value <= 1, values)


def check_count(operation: str, **values: Any) -> None:
    """Raise unless each value is an integer of at least 1, or a 0-d tensor."""
    _check(operation, "an integer of at least 1", lambda value: isinstance(value, Integral) and int(value) >= 1, values)


def _check(operation: str, expected: str, in_range: Callable[[Any], bool], values: dict[str, Any]) -> None:
    for name, value in values.items():
        if (isinstance(value, Tensor) and not value.ndim) or isinstance(value, torch.SymFloat | torch.SymInt):
            continue  # the latter is a number that jit traces
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(
                f"{operation}: expected {name} to be {expected}, got {tree.describe(value)}.{_remedy(name, value)}"
            )
        if not in_range(value):
            raise ValueError(f"{operation}: expected {name} to be {expected}, got {value}.")


def _remedy(name: str, value: Any) -> str:
    """Name the conversion of an array, such as NumPy's, with one element."""
    return f" Convert it by float({name})." if getattr(value, "size", None) == 1 else ""


def _not_negative(value: Any) -> bool:
    return bool(0 <= value < math.inf)
