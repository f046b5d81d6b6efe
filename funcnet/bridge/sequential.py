"""Conversion of torch.nn.Sequential to a model of this library, and back."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from funcnet import tree
from funcnet.bridge.layer_rules import FROM_TORCH, TO_TORCH, axes_behind
from funcnet.bridge.twin import NoTwinError, kind
from funcnet.combinators import serial
from funcnet.layers import Layer, LayerError, Params, State
from funcnet.layers.layer import inside
from funcnet.tree import Tree

_SERIAL = kind(serial())[0]


def from_sequential(module: nn.Sequential, *, with_state: bool = False) -> Any:
    """Turn an nn.Sequential into a model of this library and its parameters, with values copied.

    A Linear's weight is transposed. Dropout depends on the key, not on the module's mode. Modules named by position
    give a tuple of params, others a dict. A Flatten of all axes but the batch, a GroupNorm and a BatchNorm1d do not
    determine the number of axes of their input: it is that of the output of the preceding convolution or pool in the
    same Sequential, or features only if there is none.

    Args:
        module: Made of Linear, Embedding, convolutions, pools, norms, Dropout, Flatten, activations and Sequentials.
        with_state: Whether to return the state as well, which is required for BatchNorm.
    Returns:
        (model, params), or (model, params, state).
    Raises:
        TypeError: module is not an nn.Sequential.
        ValueError: A module in it has no counterpart here, or it has state and with_state is False.
    Example:
        >>> module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh())
        >>> model, params = fn.bridge.from_sequential(module)
        >>> torch.equal(params[0]["w"], module[0].weight.T)
        True
    """
    if not isinstance(module, nn.Sequential):
        raise TypeError(
            f"from_sequential: expected an nn.Sequential, got {module!r:.80}. For any other module use from_module."
        )
    model, params, state, _ = _convert(module, "", 0)
    if with_state:
        return model, params, state
    if model.stateful:
        raise ValueError(
            "from_sequential: expected a module without state, but it has BatchNorm. "
            "Call model, params, state = from_sequential(module, with_state=True)."
        )
    return model, params


def _convert(module: nn.Module, path: str, axes: int) -> tuple[Any, Params, State, int]:
    """Return (layer, params, state) and the number of spatial axes of the output."""
    if type(module) is not nn.Sequential:
        return *_twin(module, path, axes), axes_behind(module, axes)
    names = [name for name, _ in module.named_children()]
    children, values, states = [], [], []
    for name, child in module.named_children():
        layer, params, state, axes = _convert(child, f"{path}.{name}" if path else name, axes)
        children.append(layer)
        values.append(params)
        states.append(state)
    if names == [str(i) for i in range(len(names))]:
        return serial(*children), tuple(values), tuple(states), axes
    named, params, state = (dict(zip(names, column, strict=True)) for column in (children, values, states))
    return serial(**named), params, state, axes


def _twin(module: nn.Module, path: str, axes: int) -> Any:
    try:
        if type(module) not in FROM_TORCH:
            raise NoTwinError(type(module).__name__)
        return FROM_TORCH[type(module)](module, axes)
    except NoTwinError as error:
        raise ValueError(
            f'from_sequential: at "{path}": expected a module that has a counterpart here, got {error}. '
            "For any other module use from_module."
        ) from None


def to_sequential(model: Layer, params: Params, state: State = None) -> nn.Sequential:
    """Turn a `serial` of this library and its parameters into an nn.Sequential, with values copied.

    Args:
        model: A `serial` of layers and activations that have counterparts in torch.nn.
        params: Its parameters.
        state: Its state, if it has one.
    Returns:
        The Sequential, in train mode like all new torch modules.
    Raises:
        ValueError: A layer in it has no counterpart in torch.nn.
        LayerError: params does not fit the model.
    Example:
        >>> model = fn.serial(fn.dense(2), torch.tanh)
        >>> fn.bridge.to_sequential(model, model.init(fn.random.key(0), torch.zeros(3)))
        Sequential(
          (0): Linear(in_features=3, out_features=2, bias=True)
          (1): Tanh()
        )
    """
    if not isinstance(model, Layer) or kind(model)[0] is not _SERIAL:
        raise TypeError("to_sequential: expected a layer made by serial. For any other model use to_module.")
    return _build(model, params, state, "")


def _build(layer: Layer, params: Params, state: State, path: str) -> Any:
    function, options = kind(layer)
    if function is _SERIAL:
        return _build_serial(params, state, path, **options)
    try:
        if function not in TO_TORCH:
            raise NoTwinError(getattr(function, "__name__", repr(function)))
        module, tensors = TO_TORCH[function](options, params, state)
    except NoTwinError as error:
        raise ValueError(
            f'to_sequential: at "{path}": expected a layer with a counterpart in torch.nn, got {error}. '
            "For any other model use to_module."
        ) from None
    values = {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    module.load_state_dict(values, assign=True)
    return module


def _build_serial(
    params: Params, state: State, path: str, *, children: Sequence[Layer], names: Sequence[str] | None
) -> nn.Sequential:
    labels = names or [str(i) for i in range(len(children))]
    each_params, each_state = (
        _parts(params, labels, names),
        _parts(state, labels, names) if state else [()] * len(labels),
    )
    sequential = nn.Sequential()
    for label, child, p, s in zip(labels, children, each_params, each_state, strict=True):
        here = f"{path}.{label}" if path else label
        sequential.add_module(label, inside(label, _build, child, p, s, here))
    return sequential


def _parts(values: Tree, labels: Sequence[str], names: Sequence[str] | None) -> Sequence[Any]:
    fits = isinstance(values, dict) and set(values) == set(labels) if names else isinstance(values, tuple | list)
    if not fits or len(values) != len(labels):
        container = f"a dict with entries {', '.join(labels)}" if names else f"a tuple of {len(labels)}"
        raise LayerError("to_sequential", "", f"expected {container}, got {tree.describe(values)}.")
    return [values[label] for label in labels] if names else values
