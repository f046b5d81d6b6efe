"""Conversion of a pure function and its parameters to a torch module."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from funcnet import tree
from funcnet.bridge.from_module import Apply, from_module
from funcnet.layers import Layer
from funcnet.random import Key
from funcnet.transforms.flatten import Flattener
from funcnet.tree import Tree

Model = Layer | Apply | nn.Module | Callable[..., Any]


def to_module(model: Model, params: Tree, state: Tree = None) -> nn.Module:
    """Build a torch module that holds copies of parameters: for torch.optim, state_dict, DDP or torch.export.

    Args:
        model: A layer of this library; the apply that `from_module` returned, or its module, both of which give a
            module of the same class; or any function f(params, *args, **kwargs).
        params: Its parameters. Those of a layer are checked when the module is called: their shapes depend on x.
        state: Its state. None: a layer without state; for a torch module, its present buffers.
    Returns:
        A module. For a layer or function it is a `PureModule`: forward(x, *, key=None) applies the layer, and
        parameters are named by their paths, as in "0.w". `from_module` of the result returns the same parameters.
    Raises:
        ValueError: params or state does not fit a torch module, or two leaves have the same name.
        TypeError: model is neither a model nor a function.
    Example:
        >>> model = fn.serial(fn.dense(2), torch.tanh, fn.dense(1))
        >>> module = fn.to_module(model, model.init(fn.random.key(0), torch.zeros(3)))
        >>> list(module.state_dict())
        ['0.b', '0.w', '2.b', '2.w']
        >>> optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        >>> module(torch.ones(5, 3)).shape
        torch.Size([5, 1])
    """
    if isinstance(model, nn.Module):
        model, _, buffers = from_module(model)
        state = buffers if state is None else state
    if isinstance(model, Apply):
        return model.with_values(params, state)
    if not isinstance(model, Layer) and not callable(model):
        raise TypeError(f"to_module: expected a layer, a module or a function of params, got {model!r}.")
    if not (isinstance(model, Layer) and model.stateful) and tree.leaves(state):
        raise TypeError(f"to_module: expected no state for a model without one, got {tree.describe(state)}.")
    return PureModule(model, params, state)


class PureModule(nn.Module):
    """A torch module that applies a pure function to its parameters; made by `to_module`.

    A layer with state follows the module's mode: in train mode it takes statistics from x and updates its buffers. Only
    a key switches randomness on.
    """

    def __init__(self, model: Layer | Callable[..., Any], params: Tree, state: Tree = None) -> None:
        super().__init__()
        self._model = model
        self._params, self._state = _Held(self, params, _add_parameter), _Held(self, state, _add_buffer)

    def forward(self, *args: Any, key: Key | None = None, **kwargs: Any) -> Any:
        """Apply the model."""
        kwargs = kwargs if key is None else kwargs | {"key": key}
        if not isinstance(self._model, Layer):
            return self._model(self.params_tree(), *args, **kwargs)
        if self._model.stateful is None:
            return self._model.apply(self.params_tree(), *args, **kwargs)
        y, after = self._model.apply_with_state(
            self.params_tree(), self.state_tree(), *args, train=self.training, **kwargs
        )
        if self.training:
            self._state.write(self, after)
        return y

    def params_tree(self) -> Tree:
        """Return the present parameters as a tree like that passed to `to_module`; training changes them in place."""
        return self._params.read(self)

    def state_tree(self) -> Tree:
        """Return the present state as a tree like that passed to `to_module`."""
        return self._state.read(self)


class _Held:
    """A tree whose tensors are held by a module under their paths."""

    def __init__(self, module: nn.Module, values: Tree, add: Callable[[nn.Module, str, Tensor], None]) -> None:
        self.flattener = Flattener()
        tensors = self.flattener.split(values)
        self.paths = [path or "value" for path in tree.paths(self.flattener.without_rest(tensors))]
        for path, tensor in zip(self.paths, tensors, strict=True):
            _hold(module, path, tensor.detach().clone(), add)

    def read(self, module: nn.Module) -> Tree:
        return self.flattener.rebuild([attrgetter(path)(module) for path in self.paths])

    def write(self, module: nn.Module, values: Tree) -> None:
        with torch.no_grad():
            tree.map(lambda held, value: held.copy_(value) if tree.is_tensor(held) else held, self.read(module), values)


def _hold(module: nn.Module, path: str, tensor: Tensor, add: Callable[[nn.Module, str, Tensor], None]) -> None:
    """Add a tensor to a module under a dotted path."""
    *outer, last = path.split(".")
    try:
        for part in outer:
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        if last in module._parameters or last in module._buffers:
            raise KeyError("two leaves have this name")
        add(module, last, tensor)
    except KeyError as error:
        message = f'to_module: at path "{path}": a module cannot hold this: {error.args[0]}. Rename it.'
        raise ValueError(message) from None


def _add_parameter(module: nn.Module, name: str, tensor: Tensor) -> None:
    if tree.is_inexact(tensor):
        module.register_parameter(name, nn.Parameter(tensor))
    else:
        _add_buffer(module, name, tensor)


def _add_buffer(module: nn.Module, name: str, tensor: Tensor) -> None:
    module.register_buffer(name, tensor)
