"""jit: stage a function once for each form of its arguments, and run the staged program from then on."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial, update_wrapper
from numbers import Number
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.compiler import staging
from funcnet.compiler.abstract import check_result
from funcnet.compiler.backends import NAMES, Choice, choose
from funcnet.compiler.graph import Apply, Program, Scan, walk
from funcnet.compiler.lanes import Lanes
from funcnet.compiler.progress import Progress
from funcnet.transforms import transformed
from funcnet.transforms.purity import Pure
from funcnet.tree import Structure


def jit(f: Callable[..., Any], *, backend: str = "auto", progress: Progress | None = None) -> "Jit":
    """Transform a function of pytrees into one that is staged at its first call and then runs without Python.

    f runs once for each form of its arguments: their structure, the shapes, strides, dtypes and devices of their
    tensors, and the values of all other leaves, which become constants. What it computes is recorded and compiled. f
    must be pure and must not steer Python by the values of its tensors; that i in x[i] is a tensor is no steering. The
    values of tensors that f closes over are read anew at each call; which tensors these are, and every number or object
    that f closes over, is fixed when f is staged, so pass what changes as an argument. A `scan` in f and an outermost
    `vmap`, as in jit(vmap(f)), become loops of the program. Results may share memory with each other, never with an
    argument; after an outermost vmap they are views of memory in which the lanes are innermost.

    Args:
        f: Any function of pytrees; its results are pytrees, too.
        backend: "native" is compiled C, for CPU tensors; "inductor" is torch.compile; "eager" replays the operations
            one by one. "auto" takes inductor for tensors that are not on the CPU and else native, or eager where native
            lacks an operation or there is no C compiler.
        progress: Called in the calling thread as progress(done, total), about ten times a second while a run goes on
            and once at its end: the steps of the outermost scans, over all blocks of lanes; 0 of 0 where there is none,
            and a scan of one step is none. What it raises stops the run.
    Returns:
        A callable with the arguments of f. Inside a transformation, or where torch's autograd is recording, it calls f
        itself. Its `explain(*args)` says which backend runs these arguments and why.
    Raises:
        ValueError: There is no such backend.
        TypeError: f or progress cannot be called.
        StagingError: At the first call: f reads values of tensors in Python, or is not pure.
    Example:
        >>> fn.jit(lambda x, y: {"sum": x + y})(torch.tensor(1.0), torch.tensor(2.0))
        {'sum': tensor(3.)}
    """
    if backend not in NAMES:
        raise ValueError(f"jit: expected backend to be one of {', '.join(NAMES)}, got {backend!r}.")
    for name, value in (("f", f), ("progress", progress)):
        if not callable(value) and (name == "f" or value is not None):
            raise TypeError(f"jit: expected {name} to be callable, got {tree.describe(value)}.")
    return Jit(f, backend, progress)


@dataclass(frozen=True)
class Explanation:
    """What runs a call of a jitted function.

    Attributes:
        backend: "native", "inductor" or "eager".
        reason: Why this one.
        operations: How often each operation stands in the program, scans' bodies included; "scan" counts the loops.
        kernel_size: Bytes of the compiled library; 0 for other backends.
        cache_hit: Whether the compiled library came from the disk.
    """

    backend: str
    reason: str
    operations: dict[str, int]
    kernel_size: int
    cache_hit: bool


class Jit:
    """A function that is staged at its first call for each form of its arguments; made by `jit`."""

    def __init__(self, f: Callable[..., Any], backend: str, progress: Progress | None = None) -> None:
        update_wrapper(self, f, updated=())
        self.f, self.backend, self.progress = f, backend, progress
        self._calls: dict[Hashable, _Call] = {}
        self._programs: dict[Hashable, _Compiled] = {}

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the staged program for these arguments; stage it first if there is none."""
        if transformed():
            return self._unstaged(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        key, tensors, plain = _signature(leaves, structure)
        call = self._find(key, args, kwargs) if plain else None
        if call is None or call.compiled.differentiates():
            return self._unstaged(args, kwargs)
        compiled = call.compiled
        if compiled.outdated():
            self._calls.clear()
            self._programs.clear()
            return self(*args, **kwargs)
        return compiled.rebuild(compiled.choice.kernel([*tensors, *compiled.program.captures], call.lanes))

    def _unstaged(self, args: Any, kwargs: Any) -> Any:
        """Call the function itself, which has to be as pure as one that is staged."""
        with Pure("jit", self.f, (args, kwargs)):
            return self.f(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind to an instance as a function does, so that methods can be jitted where they are defined."""
        return self if instance is None else _Method(self, instance)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """Say how these arguments run, without running them."""
        key, _, _ = _signature(*tree.flatten((args, kwargs)))
        compiled = self._find(key, args, kwargs).compiled
        choice = compiled.choice
        names = (_name(op) for op in walk(compiled.program.block))
        return Explanation(
            choice.backend, choice.reason, dict(Counter(names)), choice.kernel.size, choice.kernel.cached
        )

    def _find(self, key: Hashable, args: Any, kwargs: Any) -> "_Call":
        """Look up how a form of arguments runs; stage and compile it when it is new."""
        try:
            call = self._calls.get(key)
        except TypeError as error:
            raise _unhashable(args, kwargs) from error
        if call is None:
            call = self._calls[key] = self._prepare(args, kwargs)
        return call

    def _prepare(self, args: Any, kwargs: Any) -> "_Call":
        """Stage a call, unless one that differs in the number of lanes only is known."""
        lanes = Lanes.of(self.f, args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        forms = lanes.forms([leaf for leaf in leaves if isinstance(leaf, Tensor)])
        rest = iter(forms)
        parts = (next(rest) if isinstance(leaf, Tensor) else _static(leaf) for leaf in leaves)
        key = (structure, lanes.in_dims, *parts, _globals())
        if key not in self._programs:
            self._programs[key] = _compile(lanes, leaves, structure, forms, self.backend, self.progress)
        return _Call(self._programs[key], lanes.size)


class _Method(partial[Any]):
    """A jitted function bound to an instance."""

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        explain: Callable[..., Explanation] = self.func.explain  # type: ignore[attr-defined]
        return explain(*self.args, *args, **kwargs)


@dataclass(frozen=True)
class _Compiled:
    """A staged and compiled function, and how its results become a pytree again."""

    program: Program
    choice: Choice
    structure: Structure
    template: list[Any]  # the result's leaves, None where a tensor belongs
    positions: list[int]  # where the tensors belong
    forms: list[Hashable]  # of the closed-over tensors

    def rebuild(self, tensors: Sequence[Tensor]) -> Any:
        leaves = self.template.copy()
        for position, tensor in zip(self.positions, tensors, strict=True):
            leaves[position] = tensor
        return tree.unflatten(self.structure, leaves)

    def outdated(self) -> bool:
        """Tell whether a closed-over tensor has another form now than when it was staged."""
        return self.forms != [_form(tensor) for tensor in self.program.captures]

    def differentiates(self) -> bool:
        """Tell whether torch's autograd would record what happens to a closed-over tensor."""
        captures = self.program.captures
        return bool(captures) and torch.is_grad_enabled() and any(tensor.requires_grad for tensor in captures)


@dataclass(frozen=True)
class _Call:
    """How one form of arguments runs."""

    compiled: _Compiled
    lanes: int | None


class _Body:
    """A function of pytrees as a function of the tensors in them, and what it knows about its result afterwards."""

    def __init__(self, lanes: Lanes, leaves: Sequence[Any], structure: Structure) -> None:
        self.lanes, self.leaves, self.inputs = lanes, leaves, structure

    def __call__(self, tensors: list[Tensor]) -> list[Tensor]:
        rest = iter(tensors)
        leaves = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        args, kwargs = tree.unflatten(self.inputs, leaves)
        result = self.lanes.f(*args, **kwargs)
        found, self.structure = tree.flatten(result)
        check_result(result)
        self.out_dims = self.lanes.result_dims(result)
        self.positions = [i for i, leaf in enumerate(found) if isinstance(leaf, Tensor)]
        self.template = [None if isinstance(leaf, Tensor) else leaf for leaf in found]
        return [found[i] for i in self.positions]


def _compile(
    lanes: Lanes, leaves: Sequence[Any], structure: Structure, forms: Any, backend: str, progress: Progress | None
) -> _Compiled:
    body = _Body(lanes, leaves, structure)
    staged = staging.stage(body, forms)
    program = lanes.program(staged, body.out_dims)
    choice, forms = choose(program, backend, progress), [_form(tensor) for tensor in program.captures]
    return _Compiled(program, choice, body.structure, body.template, body.positions, forms)


def _signature(leaves: Sequence[Any], structure: Structure) -> tuple[Hashable, list[Tensor], bool]:
    """Return what staging depends on, the tensors, and whether they are plain: no subclass, nothing that needs grad."""
    key: list[Any] = [structure, _globals()]
    tensors, plain, recording = [], True, torch.is_grad_enabled()
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            key.append(_form(leaf))
            tensors.append(leaf)
            plain = plain and (leaf.__class__ in _PLAIN) and not (recording and leaf.requires_grad)
        else:
            key.append(_static(leaf))
    return tuple(key), tensors, plain


_PLAIN = (Tensor, torch.nn.Parameter)


def _form(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _globals() -> Hashable:
    """Return the global settings that the meaning of a function depends on."""
    return torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu")


def _static(leaf: Any) -> Hashable:
    """Return a key of a leaf that is a constant, such that 1, 1.0, True, 0.0 and -0.0 all differ, inside others too."""
    if leaf.__class__ in (int, str, bool):
        return leaf.__class__, leaf
    if isinstance(leaf, float):
        return type(leaf), leaf.hex()
    if isinstance(leaf, Number) and not isinstance(leaf, int):
        return type(leaf), repr(leaf)
    exact = frozenset if isinstance(leaf, set | frozenset) else tuple
    parts = exact(map(_static, _parts(leaf)))
    return (type(leaf), parts) if type(leaf) in (tuple, list, dict, set) else (type(leaf), leaf, parts)


def _parts(leaf: Any) -> Iterable[Any]:
    """What takes part in the equality of a constant: 1 and 1.0, which are equal, may be among it."""
    if isinstance(leaf, tuple | list | set | frozenset):
        return leaf
    if isinstance(leaf, dict):
        return leaf.items()
    if not is_dataclass(leaf) or isinstance(leaf, type) or type(leaf).__eq__ is object.__eq__:
        return ()
    return (getattr(leaf, field.name) for field in fields(leaf) if field.compare and field.hash is not False)


def _name(op: Apply | Scan) -> str:
    return "scan" if isinstance(op, Scan) else str(op.target)


def _unhashable(args: Any, kwargs: Any) -> TypeError:
    """Build the error for a constant that cannot be part of a key."""
    for path, leaf in zip(tree.paths((args, kwargs)), tree.leaves((args, kwargs)), strict=True):
        try:
            hash(_static(leaf))
        except TypeError:
            return TypeError(
                f"jit: at path {path!r} (0: positional, 1: keyword arguments): expected a tensor or a hashable"
                f" constant, got {type(leaf).__name__}. Make it a pytree node, or close over it."
            )
    return TypeError("jit: the structure of the arguments is not hashable: a node holds unhashable metadata.")
