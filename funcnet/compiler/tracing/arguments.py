"""Arguments and results of ATen operations: tensors in nested tuples, lists and dicts."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor

Symbol = torch.SymInt | torch.SymFloat | torch.SymBool  # a traced Python number
SYMBOLS = (torch.SymInt, torch.SymFloat, torch.SymBool)
SEQUENCES = (tuple, list)  # a tuple of classes: isinstance takes three times as long with tuple | list
_NUMBERS = (bool, int, float)


def map_tensors(f: Callable[[Any], Any], value: Any) -> Any:
    """Apply f to the tensors inside nested tuples, lists and dicts of arguments."""
    if isinstance(value, Tensor):
        return f(value)
    if isinstance(value, SEQUENCES):
        return type(value)([map_tensors(f, item) for item in value])
    if isinstance(value, dict):
        return {key: map_tensors(f, item) for key, item in value.items()}
    return value


def flat(value: object) -> list[Any]:
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, SEQUENCES) else [value]


def refill(value: Any, results: Iterator[Any]) -> Any:
    """Replace the leaves of nested tuples and lists by the results, in order."""
    if isinstance(value, SEQUENCES):
        return type(value)([refill(item, results) for item in value])
    return next(results)


def hashable(value: object) -> Hashable:
    """Make arguments hashable; 1, 1.0, True, 0.0 and -0.0 all differ."""
    if isinstance(value, SEQUENCES):
        return tuple(hashable(item) for item in value)
    return (type(value), repr(value)) if isinstance(value, _NUMBERS) else value


def plain(value: Any) -> Any:
    """Replace symbolic numbers by Python numbers of the same type, which give the same dtypes and shapes."""
    if isinstance(value, SYMBOLS):
        return value.node.kind(1)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return type(value)([plain(item) for item in value]) if isinstance(value, SEQUENCES) else value
