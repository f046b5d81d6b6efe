"""Closure conversion: find the tensors that a function captures, and rebind them.

A torch.autograd.Function gets its tensors as arguments, with their outermost level of torch.func removed. A tensor that
its function captures keeps that level, and its derivative would be lost silently. So captured tensors are found, passed
as arguments, and bound again inside the function.

The function runs again when derivatives are computed. By then the variable of a Python loop around it may have its next
value, and a module that was called with other parameters may have its own again. So the function is frozen when it is
called.

Functions are copied for that. A recording of the operations of the first run could find the tensors, but not take the
place of the copy: a second run also reads numbers, which no operation shows, and a replay without a second run would
differentiate through a torch.autograd.Function inside, whose own rule no mode sees.
"""

import copy
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from inspect import iscode, isframe, isfunction, ismethod, ismodule, istraceback
from types import BuiltinMethodType, CellType, FunctionType, MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from funcnet import _torch, tree
from funcnet.transforms.flatten import Function
from funcnet.tree import Tree

F = TypeVar("F", bound=Function)


class HiddenTensorError(ValueError):
    """A function uses a tensor of an outer transformation and holds it where `closed` does not find it."""


def closed(f: F, arguments: Tree = ()) -> tuple[F, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Freeze a function, and find the tensors of transformations outside.

    Returns:
        f, whatever its variables, and the attributes that lead it to tensors, become later; the tensors held by f that
        are at a level of torch.func, or that autograd records; and all tensors at a level of torch.func to which f and
        the arguments lead in any way.
    """
    kept: F = _Copies({}, lambda leaf: isinstance(leaf, Tensor) or _has_closure(leaf)).leaf(f)
    recording = torch.is_grad_enabled()

    def is_outside(tensor: Tensor) -> bool:
        level = _torch.level(tensor)
        return level > 0 or (level == _torch.NO_LEVEL and recording and tensor.requires_grad)

    held = filter(is_outside, _tensors(_held(kept, {}, {})))
    reached = _tensors(_reached((f, arguments))) if _torch.is_transforming() else ()
    return kept, tuple(held), tuple(tensor for tensor in reached if _torch.level(tensor) > 0)


def rebind(f: F, tensors: Sequence[Tensor], others: Sequence[Tensor]) -> F:
    """Return a copy of f with its captured tensors replaced by others; f itself is unchanged."""
    replaced = {id(tensor): other for tensor, other in zip(tensors, others, strict=True)}
    rebound: F = _Copies(replaced, lambda leaf: id(leaf) in replaced).leaf(f)
    return rebound


def leads_to_tensors(value: Any) -> bool:
    """Tell whether a value is, holds or hides a tensor."""
    return any(isinstance(leaf, Tensor) for leaf in _reached(value))


def _has_closure(leaf: Any) -> bool:
    return isfunction(leaf) and leaf.__closure__ is not None


def _tensors(leaves: Iterable[Any]) -> Iterable[Tensor]:
    return {id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}.values()


def _held(value: Tree, seen: dict[int, Any], known: dict[int, Any]) -> Iterator[Any]:
    """Iterate over the tensors, functions and objects in a tree, nested ones included, except those that are known."""
    rest = [value]
    while rest:
        for leaf in filter(gc.is_tracked, tree.leaves(rest.pop())):  # skip numbers and strings, which may be many
            if id(leaf) not in seen and id(leaf) not in known:
                seen[id(leaf)] = leaf
                rest.append(_parts(leaf))
                yield leaf


def _parts(leaf: Any) -> Tree:
    """Return the parts of a function or object: closure and defaults, bound arguments, owner, attributes."""
    if isfunction(leaf):
        return [_content(cell) for cell in leaf.__closure__ or ()], leaf.__defaults__, leaf.__kwdefaults__
    if isinstance(leaf, partial):
        return leaf.func, leaf.args, leaf.keywords
    if ismethod(leaf) or isinstance(leaf, BuiltinMethodType):
        return getattr(leaf, "__func__", None), leaf.__self__
    if isinstance(leaf, (type, Tensor)) or ismodule(leaf):
        return None
    return leaf.__dict__ if type(leaf).__dictoffset__ else None  # without calling the object's __getattr__


def _content(cell: CellType) -> Any:
    return None if cell == CellType() else cell.cell_contents  # a cell whose variable has no value yet is empty


def _reached(value: Any) -> Iterator[Any]:
    """Iterate over all objects that are reachable from one, except through global variables."""
    seen, rest = dict[int, Any](), [value]
    while rest:
        if id(leaf := rest.pop()) not in seen:
            seen[id(leaf)] = leaf
            rest.extend(filter(gc.is_tracked, _referents(leaf)))
            yield leaf


def _referents(leaf: Any) -> Iterable[Any]:
    if isfunction(leaf):
        return leaf.__closure__ or (), leaf.__defaults__, leaf.__kwdefaults__, leaf.__dict__
    if isinstance(leaf, type) and "<locals>" in leaf.__qualname__:
        return *vars(leaf).values(), *leaf.__bases__
    if isinstance(leaf, (type, Tensor)) or any(test(leaf) for test in (ismodule, iscode, isframe, istraceback)):
        return ()
    return gc.get_referents(leaf)


class _Copies:
    """Copies of the functions and objects that lead to concerned leaves, with some tensors replaced by others."""

    def __init__(self, others: dict[int, Tensor], concerned: Callable[[Any], Any]) -> None:
        self.others, self.concerned = others, concerned
        self.copies: dict[int, Any] = {}
        self.unconcerned: dict[int, Any] = {}

    def __call__(self, value: Tree) -> Tree:
        return tree.map(self.leaf, value) if self.concerns(value) else value

    def concerns(self, value: Tree) -> bool:
        """Tell whether a value is copied; if it is not, nothing reachable from it is copied either."""
        if id(value) in self.unconcerned or not gc.is_tracked(value):
            return False
        seen: dict[int, Any] = {}
        found = any(map(self.concerned, _held(value, seen, self.unconcerned)))
        self.unconcerned.update({} if found else seen | {id(value): value})
        return found

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
        if isinstance(leaf, BuiltinMethodType):
            return getattr(self(leaf.__self__), leaf.__name__)
        return self.object(leaf)

    def function(self, f: Any) -> Any:
        """Copy a function and its cells, which other functions may share; a cell may hold the function itself."""
        cells = f.__closure__ or ()
        own = [cell for cell in cells if id(cell) not in self.copies]
        self.copies.update({id(cell): CellType() for cell in own})
        closure = tuple(self.copies[id(cell)] for cell in cells)
        new = self.copies[id(f)] = FunctionType(f.__code__, f.__globals__, f.__name__, None, closure)
        new.__dict__.update(f.__dict__)
        new.__defaults__, new.__kwdefaults__ = self(f.__defaults__), self(f.__kwdefaults__)
        for cell in own:
            if cell != CellType():
                self.copies[id(cell)].cell_contents = self(cell.cell_contents)
        return new

    def object(self, value: Any) -> Any:
        """Copy an object and its attributes; an object that cannot be copied is kept and may not use its tensors."""
        try:
            new = copy.copy(value)
        except Exception:  # its class may raise anything
            new = value
        self.copies[id(value)] = new
        if new is not value:
            new.__dict__.update(tree.map(self.leaf, value.__dict__))
        return new


class NoHiddenTensors(TorchFunctionMode):
    """Refuse tensors that bring an outer transformation into a custom autograd function other than by its arguments."""

    def __init__(
        self, name: str, arguments: Iterable[Tensor], outside: Iterable[Tensor], *, autograd: bool = True
    ) -> None:
        super().__init__()
        self.name, self.autograd, arguments = name, autograd, [*arguments]
        self.known, self.outside = ({id(tensor) for tensor in tensors} for tensors in (arguments, outside))
        self.bases = {id(_torch.viewed(x)) for x in arguments if _torch.level(x) == _torch.NO_LEVEL}

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(self.is_hidden(leaf) for leaf in tree.leaves((args, kwargs))):
            raise HiddenTensorError(
                f"{self.name}: the function uses a tensor that is differentiated or mapped outside, and holds it where "
                "it cannot be found, so that its derivative would be lost. Pass that tensor as an argument."
            )
        return function(*args, **(kwargs or {}))

    def is_hidden(self, leaf: Any) -> bool:
        """Tell whether a tensor belongs to a level of torch.func, or of autograd, that is removed here."""
        if not isinstance(leaf, Tensor) or id(leaf) in self.known:
            return False
        level = _torch.level(leaf)
        if level == _torch.NO_LEVEL:
            return self.autograd and leaf.requires_grad and not self.is_view(leaf)
        # a transformation inside the function may reuse the level number of one outside, so `outside` is needed
        return id(leaf) in self.outside or level > (_torch.current_level() or 0)

    def is_view(self, leaf: Tensor) -> bool:
        """Tell whether a tensor is a view of an argument that the function has made, where autograd does not record."""
        return leaf.grad_fn is None and id(_torch.viewed(leaf)) in self.bases
