"""The output of a module as a pytree: mappings become dicts, dataclasses and transformers' caches become nodes."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.tree.registration import register_attributes, register_fields

_CONSTANTS = (Tensor, bool, int, float, complex, str, bytes, torch.dtype, torch.device)
_LOCK = Lock()
_registered: set[type] = set()


def as_tree(output: Any, path: str = "") -> Any:
    """Turn an output into a tree of tensors and constants.

    Raises:
        TypeError: A leaf is an object that could contain tensors.
    """
    leaves, structure = tree.flatten(output)
    if all(isinstance(leaf, _CONSTANTS) for leaf in leaves):
        return output
    places = [f"{path}.{inner}" if path and inner else path or inner for inner in tree.paths(output)]
    return tree.unflatten(structure, [_as_node(leaf, place) for leaf, place in zip(leaves, places, strict=True)])


def _as_node(leaf: Any, path: str) -> Any:
    if isinstance(leaf, _CONSTANTS):
        return leaf
    if isinstance(leaf, Mapping):
        return as_tree(dict(leaf), path)
    if is_dataclass(leaf) and not isinstance(leaf, type):
        _register(type(leaf), register_fields)
        return as_tree(leaf, path)
    raise TypeError(
        f"from_module: in the output, at {tree.place(path)}: expected a tensor, a constant or a pytree, got an object"
        f" of {type(leaf).__name__}. Let the module return the tensors in it, or make its class a dataclass."
    )


def register_caches() -> None:
    """Make the caches of transformers nodes, if that package is in use."""
    caches = sys.modules.get("transformers.cache_utils")
    for name in ("Cache", "CacheLayerMixin"):
        for cls in _with_subclasses(getattr(caches, name, None)):
            _register(cls, register_attributes)


def _with_subclasses(cls: type | None) -> Iterator[type]:
    if cls is not None:
        yield cls
        subclasses: list[type] = cls.__subclasses__()
        for other in subclasses:
            yield from _with_subclasses(other)


def _register(cls: type, register: Any) -> None:
    with _LOCK:
        if cls not in _registered:
            register(cls)
            _registered.add(cls)
