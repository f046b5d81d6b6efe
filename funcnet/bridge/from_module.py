"""A torch module as a pure function of its parameters and buffers."""

import copy
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from itertools import compress
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn

from funcnet import _torch, tree
from funcnet.bridge.custom_functions import by_rules, hooked
from funcnet.bridge.dependence import Judge, Watch
from funcnet.bridge.frozen import Trainable, frozen_names
from funcnet.bridge.hidden_state import Memory, adopt, attributes, holder
from funcnet.bridge.intercept import Calls, Place, averaging
from funcnet.bridge.outputs import as_tree, register_caches
from funcnet.bridge.parameter_names import Names
from funcnet.bridge.randomness import Draws
from funcnet.random import Key
from funcnet.tree import Tree

_LOCK = threading.RLock()  # a module holds the tensors of one call at a time, and torch's export flags are global


def _renew_lock() -> None:
    """Replace the lock in a forked child: the thread that holds it may have stayed in the parent."""
    global _LOCK
    _LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_lock)


def from_module(module: nn.Module, *, trainable: Trainable = None) -> tuple["Apply", Tree, Tree]:
    """Turn a torch module into a pure function, and its parameters and buffers into trees.

    Args:
        module: Any module. It is not modified, and the results share no memory with it: training it, or switching it
            between train and eval, does not affect them.
        trainable: Which parameters are in params. None: all. True: those that require gradients. Names, such as
            "head" or ("encoder.layer.11", "head.bias"): these parameters, and those of these submodules. A function:
            the parameters for whose dotted names it returns True. The others are in the state, which a call returns
            unchanged there, so that gradients, optimizers and per-example gradients see the chosen ones only.
    Returns:
        (apply, params, state). apply(params, state, *args, key=None, **kwargs) -> (output, new_state) is the module's
        forward in the mode, train or eval, that the module is in now. params and state are nested dicts by dotted name,
        {"encoder": {"weight": ...}}; a tied parameter occurs once, under its first name. The state holds the buffers,
        and the tensors in plain attributes that methods assign and read, such as a hidden state. Other changes that
        forward makes, to a list or a counter for example, are undone; it is an error if the next output depends on
        them. All random operations, such as dropout in train mode, draw from `key`. Pass a forward argument named key
        by position. In the output, mappings that are not pytrees (ModelOutput of transformers) become dicts, and
        dataclasses become nodes with their fields as children; so do the caches of transformers, as arguments too.
        The module runs as under torch.export, without the fused kernels that torch.func cannot transform; under `jit`,
        a TransformerEncoder with a mask also needs is_causal=False (or True), because otherwise it reads the mask.
        A closure or hook that holds the module itself, such as a lambda made in its constructor, cannot be copied; it
        is an error if it reads the module's tensors.
    Raises:
        TypeError: The argument is not a module, or trainable is of another type.
        ValueError: A parameter or buffer has no values: it is lazy, or on the meta device. `trainable` chooses no
            parameter, or contains a name that is neither a parameter's nor a submodule's. From apply: params or state
            has another structure or shape; a tied weight is given twice with different values; a random operation has
            no key or no rule; forward writes to a parameter, or uses a tensor of the original module; or the output
            depends on values that the module keeps outside its state.
        TypeError: From apply: the output holds an object that is neither a tensor, a constant nor a pytree.
    Example:
        >>> apply, params, state = fn.from_module(torch.nn.Linear(3, 2))
        >>> fn.tree.paths(params)
        ['bias', 'weight']
        >>> def loss(params, x):
        ...     y, _ = apply(params, state, x)
        ...     return y.square().sum()
        >>> per_example = fn.vmap(fn.grad(loss), in_dims=(None, 0))(params, torch.ones(5, 3))
        >>> per_example["weight"].shape
        torch.Size([5, 2, 3])
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"from_module: expected a torch.nn.Module, got {module!r}.")
    parameters = _parameters(module)
    frozen = frozen_names(parameters, trainable)
    apply = Apply(module, frozen)
    trained, kept = _parted(parameters, frozen)
    return apply, _copies("parameters", trained), _copies("state", _buffers(module) | kept)


def _copies(kind: str, tensors: Mapping[str, Tensor]) -> Tree:
    return tree.map(lambda tensor: tensor.detach().clone(), Names(kind, tensors).like)


def trainable(module: nn.Module) -> Tree:
    """Return the requires_grad flags of a module's parameters, as a tree like the params of `from_module`.

    Example:
        >>> module = torch.nn.Linear(3, 2)
        >>> _ = module.bias.requires_grad_(False)
        >>> apply, params, state = fn.from_module(module)
        >>> trained, frozen = fn.tree.partition(params, fn.bridge.trainable(module))
        >>> fn.tree.paths(trained), fn.tree.paths(frozen)
        (['weight'], ['bias'])
    """
    return tree.map(lambda parameter: parameter.requires_grad, Names("parameters", _parameters(module)).like)


class Apply:
    """A module's forward as a pure function: (params, state, *args, key=None, **kwargs) -> (output, new_state).

    Made by `from_module`. It holds a copy of the module on the meta device; a call puts the tensors in.
    """

    def __init__(self, module: nn.Module, frozen: Collection[str] = ()) -> None:
        self.frozen = frozenset(frozen)
        self.module, self.name = _without_values(module), f"from_module({type(module).__name__})"
        self.foreign = {id(t): ref(t) for t in (*_parameters(module).values(), *_buffers(module).values())}
        self.parts = list(self.module.modules())
        self.recurrent = [part for part in self.parts if isinstance(part, nn.RNNBase)]
        norms = (part for part in self.parts if isinstance(part, nn.modules.batchnorm._BatchNorm))
        self.averaging = [norm for norm in norms if norm.momentum is None]
        trained, kept = _parted(_parameters(self.module), self.frozen)
        held = _buffers(self.module) | kept
        self.params, self.buffers = Names("parameters", trained), Names("state", held, tuple(attributes(module)))
        self.of_params = [self._places(names) for names in self.params.all_names()]
        self.of_buffers = [self._places(names) for names in self.buffers.all_names()]
        self.is_frozen = [first in self.frozen for first, *_ in self.buffers.all_names()]
        originals = [_parameters(module)[first] for first, *_ in self.params.all_names()]
        self.trainable = [parameter.requires_grad for parameter in originals]
        self.hooks = [*map(_torch.hooks, originals)]
        self._remember()

    def __call__(
        self, params: Tree, state: Tree, /, *args: Any, key: Key | None = None, **kwargs: Any
    ) -> tuple[Any, Tree]:
        """Run the module."""
        given, held = self.params.match(self.name, params), self.buffers.match(self.name, state)
        values = [*map(hooked, given, self.hooks)]

        def run(*modes: Watch, follow: bool = False) -> tuple[Any, list[Any]]:
            pairs = zip(held, self.is_frozen, strict=True)
            buffers = [tensor if frozen else tensor.clone() for tensor, frozen in pairs]
            own_args, own_kwargs = _cloned((args, kwargs))
            places = {id(buffer): each for buffer, each in zip(buffers, self.of_buffers, strict=True)}
            fixed = [*values, *compress(held, self.is_frozen)]
            with Calls(Draws(self.name, key), fixed, self.foreign, places), ExitStack() as stack:
                for watch in modes:
                    stack.enter_context(watch).follow((own_args, own_kwargs) if follow else ())
                self._put(values, buffers)
                stack.enter_context(averaging(self.averaging))
                output = self.module(*own_args, **own_kwargs)
                return output, [store.get(name) for (store, name), *_ in self.of_buffers]

        # While exporting, models avoid Python branches on values, which vmap and jit refuse.
        with _LOCK, self.memory.kept(), _torch.as_if_exporting(), by_rules():
            output, after = run()
            self.judge.check(run, (output, after), (args, kwargs))
        return as_tree(output), tree.unflatten(self.buffers.structure, after)

    def __copy__(self) -> "Apply":
        """Return itself, so that remat and scan, which copy the captures of a function, do not copy the module."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name not in ("memory", "judge")}
        return kept | {"foreign": {}}  # a process without the original module cannot meet these

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._remember()

    def _remember(self) -> None:
        register_caches()
        self.memory = Memory(self.parts)
        self.judge = Judge(self.name, self.memory, {part: path for path, part in self.module.named_modules()})

    def __repr__(self) -> str:
        return f"apply of {type(self.module).__name__}"

    def with_values(self, params: Tree, state: Tree) -> nn.Module:
        """Build a module that holds copies of these tensors; state is None if the module has no buffers."""
        memo: dict[int, Any] = {}
        values, buffers = self.params.match("to_module", params), self.buffers.match("to_module", state or {})
        for like, value, trained in zip(tree.leaves(self.params.like), values, self.trainable, strict=True):
            memo[id(like)] = nn.Parameter(value.detach().clone(), requires_grad=trained)
        for like, value, frozen in zip(tree.leaves(self.buffers.like), buffers, self.is_frozen, strict=True):
            copied = value.detach().clone()
            memo[id(like)] = nn.Parameter(copied, requires_grad=False) if frozen else copied
        return copy.deepcopy(self.module, memo)

    def _places(self, names: Sequence[str]) -> list[Place]:
        """Find the places of a tensor in the module; a tied tensor has several."""
        split = [name.rpartition(".") for name in names]
        return [(holder(self.module.get_submodule(owner), last), last) for owner, _, last in split]

    def _put(self, params: list[Tensor], buffers: list[Tensor]) -> None:
        for tensor, places in zip((*params, *buffers), (*self.of_params, *self.of_buffers), strict=True):
            for store, name in places:
                store[name] = tensor
        for part in self.recurrent:  # recurrent modules keep a second list of their weights
            part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]


def _cloned(values: Any) -> Any:
    return tree.map(lambda leaf: leaf.clone() if tree.is_tensor(leaf) else leaf, values)


def _parameters(module: nn.Module) -> dict[str, Any]:
    return dict(module.named_parameters(remove_duplicate=False))


def _parted(parameters: Mapping[str, Any], frozen: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate trained and frozen parameters, in the module's order, which decides the first name of a tied one."""
    trained = {name: parameter for name, parameter in parameters.items() if name not in frozen}
    return trained, {name: parameters[name] for name in parameters if name in frozen}


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_buffers(remove_duplicate=False)) | attributes(module)


def _without_values(module: nn.Module) -> nn.Module:
    """Copy a module with its parameters and buffers on the meta device, ties kept."""
    memo: dict[int, Any] = {}
    for path, parameter in _parameters(module).items():
        meta = _check_values("parameter", path, parameter).detach().to("meta")
        memo.setdefault(id(parameter), nn.Parameter(meta, requires_grad=False))
    for path, buffer in _buffers(module).items():
        memo.setdefault(id(buffer), _check_values("buffer", path, buffer).detach().to("meta"))
    for value in (value for part in module.modules() for value in vars(part).values()):
        if isinstance(value, Tensor):  # torch refuses to copy a tensor that is not a leaf of autograd
            memo.setdefault(id(value), value.detach().clone())
        elif isinstance(value, torch.jit.ScriptFunction):  # nor does it copy these, which do not change
            memo.setdefault(id(value), value)
    module = copy.deepcopy(module, memo)
    adopt(module)
    return module


def _check_values(kind: str, path: str, tensor: Any) -> Tensor:
    if nn.parameter.is_lazy(tensor):
        raise ValueError(
            f'from_module: expected {kind} "{path}" to have values, but it is lazy and has no shape before the first'
            " call. Call the module once on an example input."
        )
    if tensor.is_meta:
        raise ValueError(
            f'from_module: expected {kind} "{path}" to have values, but it is on the meta device.'
            " Build the module outside torch.device('meta'), or load its values with to_empty and load_state_dict."
        )
    return tensor
