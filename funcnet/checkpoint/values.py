"""Plain values as JSON: the content of a checkpoint besides tensors and nodes."""

import math
from collections.abc import Callable
from typing import Any

import torch

from funcnet import tree
from funcnet.checkpoint.errors import CheckpointError, DamagedCheckpointError

Json = Any
_AS_THEMSELVES = (type(None), bool, int, str)


def encode(value: Any, path: str) -> Json:
    """Return a plain value as JSON: itself, or a dict with one entry, its kind.

    Raises:
        CheckpointError: It is an object of another type; the message has the path.
    """
    kind = type(value)
    if kind in _AS_THEMSELVES or (kind is float and math.isfinite(value)):
        return value
    if kind is float:
        return {"float": repr(value)}
    if kind is complex:
        return {"complex": [encode(value.real, path), encode(value.imag, path)]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind in (tuple, list, frozenset):
        return {kind.__name__: [encode(item, path) for item in value]}
    if kind is torch.Size:
        return {"size": list(value)}
    if kind is torch.dtype:
        return {"dtype": str(value).removeprefix("torch.")}
    if kind is torch.device:
        return {"device": str(value)}
    raise CheckpointError(
        f"checkpoint.save: at {tree.place(path)}: expected a tensor or a plain value (None, a bool, number or string,"
        f" bytes, a dtype or device, or a tuple of these), got {tree.describe(value)} of type {kind.__name__}."
        " Convert it, for instance an array by torch.as_tensor, or leave it out of the tree."
    )


def decode(value: Json) -> Any:
    """Return the plain value of JSON that `encode` has made."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind not in _DECODERS:
        raise DamagedCheckpointError(f"checkpoint.load: unknown kind of value {kind!r}.")
    return _DECODERS[kind](content)


def dtype(name: str) -> torch.dtype:
    """Return the dtype of a name, such as float32."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise DamagedCheckpointError(f"checkpoint.load: this version of torch has no dtype {name!r}.")
    return found


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "complex": lambda parts: complex(*map(decode, parts)),
    "bytes": bytes.fromhex,
    "tuple": lambda items: tuple(map(decode, items)),
    "list": lambda items: list(map(decode, items)),
    "frozenset": lambda items: frozenset(map(decode, items)),
    "size": torch.Size,
    "dtype": dtype,
    "device": torch.device,
}
