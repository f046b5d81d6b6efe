"""A call of a jitted function: its arguments, and the compiled function that runs it."""

import gc
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import isbuiltin, isfunction
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet._torch import without_symbols
from funcnet.compiler import passes
from funcnet.compiler.backends import Choice, choose
from funcnet.compiler.captures import Places
from funcnet.compiler.lanes import Lanes, check_shared
from funcnet.compiler.number_arguments import parameter
from funcnet.compiler.program import Apply, Program, walk
from funcnet.compiler.progress import Progress
from funcnet.compiler.signature import global_settings, is_fixed, static, tensor_key
from funcnet.compiler.tracing.arguments import SYMBOLS
from funcnet.compiler.tracing.numbers import index
from funcnet.compiler.tracing.spec import TensorSpec
from funcnet.compiler.tracing.trace import trace
from funcnet.compiler.tracing.tracer import check_result
from funcnet.tree import Structure
from funcnet.tree.flattening import is_leaf, one_level


@dataclass(slots=True)
class Request:
    """The arguments of a call, and the key of its trace."""

    args: Any
    kwargs: Any
    leaves: list[Any]
    structure: Structure
    key: tuple[Hashable, ...]
    tensors: list[Tensor]
    traced: tuple[int, ...]  # positions of the traced numbers among the leaves
    holders: list[Any]  # the objects from which paths lead to the closed-over tensors

    def inputs(self) -> list[Tensor]:
        """Return the inputs of the program: the tensors, then the traced numbers as tensors."""
        return [*self.tensors, *(parameter(self.leaves[i]) for i in self.traced)] if self.traced else self.tensors

    def constants(self) -> list[Any]:
        """Return the leaves, with traced numbers replaced by their types."""
        return [leaf.__class__ if i in self.traced else leaf for i, leaf in enumerate(self.leaves)]


@dataclass(frozen=True)
class Compiled:
    """A traced and compiled function, and the structure of its result."""

    program: Program
    choice: Choice
    structure: Structure
    template: list[Any]  # the result's leaves, None where a tensor belongs
    positions: list[int]  # positions of the tensors among the leaves
    numbers: list[int]  # positions of the tensors that become Python numbers
    capture_keys: list[Hashable]  # of the closed-over tensors
    places: Places  # paths to each of them
    is_fixed: bool  # whether the result holds no object of the function besides tensors

    @property
    def is_whole(self) -> bool:
        """Whether all leaves of the result are tensors."""
        return len(self.positions) == len(self.template) and not self.numbers

    @property
    def is_general(self) -> bool:
        """Whether an equal function can use the program: nothing in it is an object of the function itself."""
        calls = (op for op in walk(self.program.block) if isinstance(op, Apply))
        has_callbacks = any(op.target.namespace == "funcnet" for op in calls)
        return self.is_fixed and not (has_callbacks or self.places.hidden)

    def rebuild(self, tensors: Sequence[Tensor]) -> Any:
        """Return the result that has these tensors."""
        if self.is_whole:
            return tree.unflatten(self.structure, tensors)
        leaves = self.template.copy()
        for position, tensor in zip(self.positions, tensors, strict=True):
            leaves[position] = tensor
        for position in self.numbers:
            leaves[position] = leaves[position].item()
        return tree.unflatten(self.structure, leaves)

    def captures(self, holders: list[Any]) -> list[Tensor] | None:
        """Read the closed-over tensors at their places; return None unless the program is valid for them.

        It is valid if their keys, and the values that were read during tracing, are the same as during tracing.
        """
        found = self.places.read(holders)
        return found if found is None or all(map(_fits, found, self.capture_keys, self.program.fixed)) else None


def _fits(found: Any, key: Hashable, fixed: Tensor | None) -> bool:
    return isinstance(found, Tensor) and tensor_key(found) == key and (fixed is None or _same(found, fixed))


def _same(a: Tensor, b: Tensor) -> bool:
    """Compare bits: 0.0 and -0.0 differ, and a function that reads NaN is not traced again at each call."""
    return torch.equal(_bytes(a), _bytes(b))


def _bytes(x: Tensor) -> Tensor:
    return (
        x.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format).ravel().view(torch.uint8)
    )


class _Body:
    """A function of pytrees as a function of their tensors; it records the structure of its result."""

    def __init__(self, lanes: Lanes, request: Request) -> None:
        self.lanes, self.request = lanes, request

    def __call__(self, inputs: list[Any]) -> list[Tensor]:
        args, kwargs = tree.unflatten(self.request.structure, self._leaves(inputs))
        result = self.lanes.f(*args, **kwargs)
        found, self.structure = tree.flatten(result)
        check_result(result)
        self.numbers = [i for i, leaf in enumerate(found) if isinstance(leaf, SYMBOLS)]
        if self.lanes.in_dims is not None:
            for i in self.numbers:
                found[i].node.needed()  # a number in the result is the same for all lanes: a constant
        self.out_dims = self.lanes.result_dims(result)
        found = [*map(index, found)]
        self.positions = [i for i, leaf in enumerate(found) if isinstance(leaf, Tensor)]
        self.template = [None if isinstance(leaf, Tensor) else leaf for leaf in found]
        self.is_fixed = all(map(is_fixed, self.template)) and all(is_constant(data) for _, data in metadata(result))
        return [found[i] for i in self.positions]

    def _leaves(self, inputs: list[Any]) -> list[Any]:
        """Insert tensors and symbolic numbers at their positions among the leaves."""
        tensors, numbers = iter(inputs), iter(inputs[len(self.request.tensors) :])
        leaves = self.request.leaves
        return [
            next(tensors) if isinstance(leaf, Tensor) else next(numbers) if i in self.request.traced else leaf
            for i, leaf in enumerate(leaves)
        ]


def metadata(value: Any) -> list[tuple[type, Any]]:
    """List the class and the metadata of every node of a tree whose class is not one of Python."""
    found = list[Any]()

    def collect(node: Any) -> bool:
        if type(node) not in _PLAIN:
            found.append(node)
        return False

    tree.leaves(value, collect)
    return [(type(node), one_level(node)[1]) for node in found if not is_leaf(node)]


_PLAIN = (Tensor, torch.nn.Parameter, tuple, list, dict, int, float, bool, str, type(None))


def is_constant(value: Any) -> bool:
    """Tell whether metadata is the same in every run of a function, and holds no tensors."""
    if isinstance(value, tuple | list):
        return all(map(is_constant, value))
    if isfunction(value):
        return not (value.__closure__ or value.__defaults__ or value.__kwdefaults__ or vars(value))
    return (
        isinstance(value, type)
        or (isbuiltin(value) and isinstance(value.__self__, ModuleType | type))
        or is_fixed(value)
    )


def program_key(lanes: Lanes, request: Request, specs: Sequence[TensorSpec]) -> Hashable:
    """Return the key of a call's program, which does not contain the number of lanes."""
    rest = iter(specs)
    parts = (next(rest) if isinstance(leaf, Tensor) else static(leaf) for leaf in request.constants())
    return request.structure, lanes.in_dims, request.traced, *parts, global_settings()


def trace_call(lanes: Lanes, request: Request, specs: Sequence[TensorSpec]) -> tuple[Program, _Body]:
    """Trace a call and run the passes; return the program, and the structure of the result."""
    body = _Body(lanes, request)
    with _without_collection(), without_symbols():
        traced = trace(body, specs, len(request.traced))
        program = passes.run(lanes.program(traced, body.out_dims))
    check_shared(program)
    return program, body


def compile_call(
    lanes: Lanes, request: Request, specs: Sequence[TensorSpec], backend: str, progress: Progress | None
) -> Compiled:
    """Trace a call and prepare its program for a backend."""
    program, body = trace_call(lanes, request, specs)
    return prepare_call(program, body, request, backend, progress, lanes.size)


def prepare_call(
    program: Program,
    body: _Body,
    request: Request,
    backend: str,
    progress: Progress | None = None,
    lanes: int | None = None,
) -> Compiled:
    """Prepare the program of a traced call for a backend, without the closed-over tensors of this call."""
    captured, found = [tensor_key(tensor) for tensor in program.captures], Places(program.captures, request.holders)
    program = replace(program, captures=())
    with _without_collection(), without_symbols():
        choice = choose(program, backend, progress, lanes)
    return Compiled(
        program, choice, body.structure, body.template, body.positions, body.numbers, captured, found, body.is_fixed
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the collector of cycles, which would look through all objects of a large trace again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
