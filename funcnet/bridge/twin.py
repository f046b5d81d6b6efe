"""Types and helpers of the rules that convert a layer of this library to a torch module and back."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from funcnet.layers import Layer
from funcnet.tree import Tree

Twin = tuple[Layer | Callable[[Any], Any], Tree, Tree]
Module = tuple[nn.Module, dict[str, Tensor]]


class NoTwinError(Exception):
    """A layer or module has no counterpart; the message names it."""


def kind(layer: Layer | Callable[..., Any]) -> tuple[Any, dict[str, Any]]:
    """Return the function that a layer applies, and its options."""
    f: Any = layer if not isinstance(layer, Layer) else layer.stateful.apply if layer.stateful else layer[1]
    options: dict[str, Any] = {}
    while isinstance(f, partial):
        options, f = {**f.keywords, **options}, f.func
        f = options.pop("f", f)
    return f, options


def named(**tensors: Tensor | None) -> dict[str, Tensor]:
    """Copy tensors by name, without those that are None."""
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
        if tensor is not None
    }


def expect(holds: bool, what: str) -> None:
    """Raise NoTwinError, naming the module or layer, unless a condition of its rule holds."""
    if not holds:
        raise NoTwinError(what)
