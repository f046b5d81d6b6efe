"""The tensors that a function holds without being given them, and the same function with others in their place.

A custom step of differentiation is given its tensors as arguments, with their outermost level of torch.func peeled off;
a tensor that its function holds keeps that level, and its derivative would be lost without a word. So such tensors are
found, become arguments, and are put back into the function.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from inspect import isbuiltin, isfunction, ismethod
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack, maybe_current_level, maybe_get_level
from torch.overrides import TorchFunctionMode

from funcnet import tree
from funcnet.transforms.flat import Function
from funcnet.tree import Tree

_NO_LEVEL = -1  # what maybe_get_level says of a tensor outside of torch.func; of one whose level has ended, -2


class HiddenTensorError(ValueError):
    """A function uses a tensor that is differentiated outside and held where `differentiated` does not find it."""


def differentiated(f: Function) -> list[Tensor]:
    """List the tensors held by f that a transformation, or autograd, around this call differentiates."""
    levels = [i.level() for i in get_interpreter_stack() or () if i.key() in (TransformType.Grad, TransformType.Jvp)]
    lowest, recording = min(levels, default=None), torch.is_grad_enabled()

    def outside(tensor: Tensor) -> bool:
        level = maybe_get_level(tensor)
        return recording and tensor.requires_grad if level == _NO_LEVEL else lowest is not None and level >= lowest

    return [tensor for tensor in {id(t): t for t in _held(f, {})}.values() if outside(tensor)]


def rebind(f: Function, tensors: Sequence[Tensor], others: Sequence[Tensor]) -> Function:
    """Return f with other tensors in the place of those that it holds; f itself stays as it is."""
    rebound: Function = _Rebinding(tensors, others).leaf(f) if tensors else f
    return rebound


def _held(value: Tree, seen: dict[int, Any]) -> Iterator[Tensor]:
    """Go through the tensors that a tree holds, and through those that its functions and objects hold."""
    for leaf in tree.leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif id(leaf) not in seen:
            seen[id(leaf)] = leaf
            yield from _held(_parts(leaf), seen)


def _parts(leaf: Any) -> Tree:
    """What a function or object holds: closure and defaults, arguments given early, owner, attributes."""
    if isfunction(leaf):
        return [_content(cell) for cell in leaf.__closure__ or ()], leaf.__defaults__, leaf.__kwdefaults__
    if isinstance(leaf, partial):
        return leaf.func, leaf.args, leaf.keywords
    if ismethod(leaf) or isbuiltin(leaf):
        return getattr(leaf, "__func__", None), leaf.__self__
    return None if isinstance(leaf, (type, ModuleType)) else getattr(leaf, "__dict__", None)


def _content(cell: CellType) -> Any:
    return None if cell == CellType() else cell.cell_contents  # a cell whose variable has no value yet is empty


class _Rebinding:
    """Copies the functions and objects on the way to some tensors, and leads to others instead."""

    def __init__(self, tensors: Iterable[Tensor], others: Iterable[Tensor]) -> None:
        self.others = {id(tensor): other for tensor, other in zip(tensors, others, strict=True)}
        self.copies: dict[int, Any] = {}

    def __call__(self, value: Tree) -> Tree:
        return tree.map(self.leaf, value) if self.concerns(value) else value

    def concerns(self, value: Tree) -> bool:
        return any(id(tensor) in self.others for tensor in _held(value, {}))

    def leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return self.others.get(id(leaf), leaf)
        if id(leaf) not in self.copies and not self.concerns(leaf):
            return leaf
        return self.copies[id(leaf)] if id(leaf) in self.copies else self.copied(leaf)

    def copied(self, leaf: Any) -> Any:
        if isfunction(leaf):
            return self.function(leaf)
        if isinstance(leaf, partial):
            return partial(self(leaf.func), *self(leaf.args), **self(leaf.keywords))
        if ismethod(leaf):
            return MethodType(self(leaf.__func__), self(leaf.__self__))
        if isbuiltin(leaf):
            return getattr(self(leaf.__self__), leaf.__name__)
        return self.object(leaf)

    def function(self, f: Any) -> Any:
        """Copy a function with cells of its own; it may be in one of them itself."""
        cells = tuple(CellType() for _ in f.__closure__ or ())
        new = self.copies[id(f)] = FunctionType(f.__code__, f.__globals__, f.__name__, None, cells)
        new.__dict__.update(f.__dict__)
        new.__defaults__, new.__kwdefaults__ = self(f.__defaults__), self(f.__kwdefaults__)
        for cell, old in zip(cells, f.__closure__ or (), strict=True):
            if old != CellType():
                cell.cell_contents = self(old.cell_contents)
        return new

    def object(self, value: Any) -> Any:
        new = self.copies[id(value)] = copy.copy(value)
        new.__dict__.update(self(value.__dict__))
        return new


class NoHiddenTensors(TorchFunctionMode):
    """Refuse tensors that carry an outer transformation into a custom step of differentiation past its arguments."""

    def __init__(self, name: str, arguments: Iterable[Tensor], *, autograd: bool = True) -> None:
        super().__init__()
        self.name, self.known, self.autograd = name, {id(tensor) for tensor in arguments}, autograd

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(self.is_hidden(leaf) for leaf in tree.leaves((args, kwargs))):
            raise HiddenTensorError(
                f"{self.name}: the function uses a tensor that is differentiated outside, and holds it where it cannot "
                "be found, so that its gradient would be lost. Pass that tensor as an argument."
            )
        return function(*args, **(kwargs or {}))

    def is_hidden(self, leaf: Any) -> bool:
        """Tell whether a tensor belongs to a level of torch.func, or of autograd, that is peeled off here."""
        if not isinstance(leaf, Tensor) or id(leaf) in self.known:
            return False
        level = maybe_get_level(leaf)
        if level == _NO_LEVEL:
            return self.autograd and leaf.requires_grad
        return level > (maybe_current_level() or 0)
