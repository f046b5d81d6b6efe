"""A call with the signature of an earlier one: the least that must be checked before the kernel runs."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from operator import is_
from types import BuiltinFunctionType
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from funcnet import _torch
from funcnet.compiler import forks
from funcnet.compiler.calls import Compiled, Request
from funcnet.compiler.disabling import is_disabled
from funcnet.compiler.number_arguments import is_like, parameter
from funcnet.compiler.signature import is_fixed
from funcnet.tree import Structure, Tree, flatten
from funcnet.tree.likeness import Flattener


def is_usual() -> bool:
    """Tell whether a call is outside of torch.compile, `disable_jit` and modes that guards of tensors do not see."""
    return not (is_compiling() or _torch.is_in_unguarded_mode() or forks.is_new or is_disabled())


def _packed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
    """Return the arguments as a tree that is quick to flatten."""
    return [args, kwargs] if kwargs else args


class KnownCall:
    """A compiled function, for arguments that have the signature of earlier ones.

    Args:
        request: The earlier call, for which `is_possible`.
        compiled: Its compiled function.
        captures: Its closed-over tensors.
        lanes: Its number of lanes; None without an outermost vmap.
    """

    def __init__(self, request: Request, compiled: Compiled, captures: Sequence[Tensor], lanes: int | None) -> None:
        leaves, kinds = request.leaves, _kinds(request)
        _, self.structure = flatten(_packed(request.args, request.kwargs))
        self.dtype, self.compiled = torch.get_default_dtype(), compiled
        self.is_simple = set(kinds) == {_TENSOR} and not captures and not compiled.places.contents
        self.captures = compiled.places.reader(request.holders)
        self.rebuild = compiled.structure.unflatten if compiled.is_whole else compiled.rebuild
        self.tensors, self.numbers, self.constants = ([i for i, k in enumerate(kinds) if k == kind] for kind in _KINDS)
        self.numbers_before, self.constants_before = self._others(leaves)
        self.has_others = bool(self.numbers or self.constants)
        self.parameters = self.numbers_before, [*map(parameter, self.numbers_before)]
        self.match = _torch.matcher([*request.tensors, *captures])
        self.requires_grad = any(t.requires_grad for t in (*request.tensors, *captures))
        self.kernel = compiled.choice.kernel.specialised([*request.inputs(), *captures], lanes)

    @staticmethod
    def is_possible(request: Request, compiled: Compiled) -> bool:
        """Tell whether it can be decided quickly that a later call has the same signature."""
        constants = (leaf for leaf, kind in zip(request.leaves, _kinds(request), strict=True) if kind == _CONSTANT)
        are_known = all(is_fixed(each) or _is_own(each, request) for each in constants)
        reads_values = any(value is not None for value in compiled.program.fixed)
        has_tensors = request.tensors or compiled.capture_keys  # the guards of tensors see modes, too
        return bool(has_tensors) and not reads_values and are_known

    def inputs(self, structure: Structure, leaves: Sequence[Any]) -> Sequence[Tensor] | None:
        """Return the inputs of the program for a usual call; None if its signature may be another one."""
        if structure is not self.structure and structure != self.structure:
            return None
        if torch.get_default_dtype() is not self.dtype:
            return None
        if self.requires_grad and torch.is_grad_enabled():  # autograd would record the call
            return None
        if self.is_simple:
            return leaves if self.match(*leaves) else None
        captures = self.captures()
        if captures is None:
            return None
        if self.has_others:
            return self._with_others(leaves, captures)
        inputs = [*leaves, *captures]
        return inputs if self.match(*inputs) else None

    def _with_others(self, leaves: Sequence[Any], captures: list[Any]) -> Sequence[Tensor] | None:
        """Return the inputs if there are numbers or constants among the leaves."""
        numbers, constants = self._others(leaves)
        if not all(map(is_like, numbers, self.numbers_before)) or not all(map(is_, constants, self.constants_before)):
            return None
        tensors = [leaves[i] for i in self.tensors]
        return [*tensors, *self._parameters(numbers), *captures] if self.match(*tensors, *captures) else None

    def _parameters(self, numbers: list[float]) -> list[Tensor]:
        """Return traced numbers as tensors; those of the last call again if the numbers are the same objects."""
        before, tensors = self.parameters
        if not all(map(is_, numbers, before)):
            tensors = [*map(parameter, numbers)]
            self.parameters = numbers, tensors
        return tensors

    def _others(self, leaves: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """List the leaves in the places of traced numbers and of constants."""
        return [leaves[i] for i in self.numbers], [leaves[i] for i in self.constants]

    def run(self, inputs: Sequence[Tensor]) -> Any:
        """Run the program and rebuild the result."""
        return self.rebuild(self.kernel(inputs))


@dataclass
class Call:
    """The compiled function of one signature, the number of lanes, and how often the call became a known one."""

    compiled: Compiled
    lanes: int | None
    known: int = 0


class Recent:
    """The known calls of a jitted function: the last ones, which are compared first, and all of them by shapes."""

    def __init__(self) -> None:
        self.calls: tuple[KnownCall, ...] = ()
        self.by_shapes: dict[Hashable, tuple[KnownCall, ...]] = {}
        self.flattener: Flattener | None = None  # for the structure of the last one
        self.refusals = 0

    def flatten(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Structure]:
        """Flatten arguments, fast if they have the structure of the last known call."""
        arguments = _packed(args, kwargs)
        if (flattener := self.flattener) is not None:
            if (leaves := flattener(arguments)) is not None:
                return leaves, flattener.structure
            self.flattener = None
            self.refusals += 1
        return flatten(arguments)

    def find(self, structure: Structure, leaves: Sequence[Any]) -> tuple[KnownCall, Sequence[Tensor]] | None:
        """Find a known call for these arguments, and its inputs, if it is not among the last ones; it becomes one."""
        for known in self.by_shapes.get(_shapes(leaves), ()):
            if known not in self.calls and (inputs := known.inputs(structure, leaves)) is not None:
                self.calls = known, *self.calls[: _LENGTH - 1]
                return known, inputs
        return None

    def add(self, request: Request, call: Call, captures: Sequence[Tensor]) -> None:
        """Make further calls like this one faster, if that is possible."""
        if call.known < _MOST and is_usual() and KnownCall.is_possible(request, call.compiled):
            call.known += 1
            known = KnownCall(request, call.compiled, captures, call.lanes)
            self.calls = known, *self.calls[: _LENGTH - 1]
            shapes = _shapes(request.leaves)
            self.by_shapes[shapes] = known, *self.by_shapes.get(shapes, ())[: _MOST - 1]
            self.flattener = self.flattener_of(request, known.structure)

    def flattener_of(self, request: Request, structure: Structure) -> Flattener | None:
        if self.refusals >= _REFUSALS or not Flattener.is_possible(structure):
            return None
        return Flattener(_packed(request.args, request.kwargs), structure, of_known_type=request.kwargs)

    def clear(self) -> None:
        self.calls, self.flattener = (), None
        self.by_shapes.clear()


_LENGTH = 4  # a call is compared with each of them
_REFUSALS = 4  # a refusal takes longer than flattening, so that structures must not take turns
_MOST = 16  # known calls per signature, and of the same shapes; making one takes as long as a call


def _shapes(leaves: Sequence[Any]) -> Hashable:
    return tuple([leaf.shape if isinstance(leaf, Tensor) else leaf.__class__ for leaf in leaves])


def _kinds(request: Request) -> list[int]:
    """Return the kind of each leaf."""
    traced = set(request.traced)
    return [
        _TENSOR if isinstance(leaf, Tensor) else _NUMBER if i in traced else _CONSTANT
        for i, leaf in enumerate(request.leaves)
    ]


_KINDS = _TENSOR, _NUMBER, _CONSTANT = range(3)


def _is_own(leaf: Any, request: Request) -> bool:
    """Tell whether a constant may hold captures and equals only itself: a function, or the instance of a method."""
    return any(leaf is holder for holder in request.holders) and type(leaf).__eq__ in _EQUALITIES


# not that of bound methods, which are new objects in each call
_EQUALITIES: tuple[object, ...] = (object.__eq__, BuiltinFunctionType.__eq__)
