"""The signature of a call: the key of a traced program, which contains everything that tracing depends on."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from numbers import Number
from types import NoneType
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet._torch import default_device
from funcnet.tree import Structure

# the key of a call, its tensors, the positions of its numbers, and the leaves that may hold tensors
Signature = tuple[tuple[Hashable, ...], list[Tensor], list[int], list[Any]]


def signature(leaves: Sequence[Any], structure: Structure) -> Signature:
    """Return the signature of a call with these leaves."""
    key: list[Any] = [structure, global_settings()]
    tensors, numbers, others = [], [], []
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            key.append(tensor_key(leaf))
            tensors.append(leaf)
        else:
            key.append(static(leaf))
            if leaf.__class__ is float or leaf.__class__ is int:
                numbers.append(i)
            elif leaf.__class__ not in _SIMPLE:
                others.append(leaf)
    return tuple(key), tensors, numbers, others


def with_traced(key: tuple[Hashable, ...], leaves: Sequence[Any], traced: Sequence[int]) -> tuple[Hashable, ...]:
    """Replace the values of traced numbers in a key by their types."""
    kept = list(key)
    for i in traced:
        kept[i + _HEAD] = leaves[i].__class__
    return tuple(kept)


_HEAD = 2  # entries of a key before the leaves


def difference(before: tuple[Hashable, ...], now: tuple[Hashable, ...], arguments: Any) -> str:
    """Describe the difference of two keys."""
    if before[0] != now[0]:
        return "the structure of the arguments changed"
    for i, path in enumerate(tree.paths(arguments), _HEAD):
        if before[i] != now[i]:
            return f"the argument at path {path!r} (0: positional, 1: keyword arguments) changed"
    return "a global setting, or the number of a closed-over tensor, changed"


def are_plain(tensors: Sequence[Tensor]) -> bool:
    """Tell whether no tensor is of a subclass or recorded by torch's autograd."""
    recording = torch.is_grad_enabled()
    return all(t.__class__ in _PLAIN and not (recording and t.requires_grad) for t in tensors)


_SIMPLE = {str, bool, complex, torch.dtype, torch.device, torch.Size}
_PLAIN = (Tensor, torch.nn.Parameter)


def tensor_key(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def global_settings() -> Hashable:
    """Return torch's global settings that a traced program depends on."""
    return torch.get_default_dtype(), default_device(), torch.is_autocast_enabled("cpu")


def static(leaf: Any) -> Hashable:
    """Return a key of a constant leaf; 1, 1.0, True, 0.0 and -0.0 all differ, also inside containers."""
    if leaf.__class__ in (int, str, bool):
        return leaf.__class__, leaf
    if isinstance(leaf, float):
        return type(leaf), leaf.hex()
    if isinstance(leaf, Number) and not isinstance(leaf, int):
        return type(leaf), repr(leaf)
    exact = frozenset if isinstance(leaf, set | frozenset) else tuple
    parts = exact(map(static, _parts(leaf)))
    return (type(leaf), parts) if type(leaf) in (tuple, list, dict, set) else (type(leaf), leaf, parts)


def _parts(leaf: Any) -> Iterable[Any]:
    """Return the parts that the equality of a constant compares, among which 1 and 1.0 are equal."""
    if isinstance(leaf, tuple | list | set | frozenset):
        return leaf
    if isinstance(leaf, dict):
        return leaf.items()
    if not is_dataclass(leaf) or isinstance(leaf, type) or type(leaf).__eq__ is object.__eq__:
        return ()
    return (getattr(leaf, field.name) for field in fields(leaf) if field.compare and field.hash is not False)


def is_fixed(leaf: Any) -> bool:
    """Tell whether the key of a constant never changes: that of a number, text, enum or frozen dataclass of these."""
    if leaf.__class__ in _FIXED or isinstance(leaf, Enum):
        return True
    options = getattr(leaf.__class__, "__dataclass_params__", None)
    return options is not None and options.frozen and all(is_fixed(getattr(leaf, field.name)) for field in fields(leaf))


_FIXED = {*_SIMPLE, int, float, NoneType}


def unhashable(args: Any, kwargs: Any) -> TypeError:
    """Return the error for a constant that cannot be part of a key."""
    for path, leaf in zip(tree.paths((args, kwargs)), tree.leaves((args, kwargs)), strict=True):
        try:
            hash(static(leaf))
        except TypeError:
            return TypeError(
                f"jit: at path {path!r} (0: positional, 1: keyword arguments): expected a tensor or a hashable"
                f" constant, got {type(leaf).__name__}. Make it a pytree node, or close over it."
            )
    return TypeError("jit: the structure of the arguments is not hashable: a node holds unhashable metadata.")
