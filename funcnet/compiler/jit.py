"""jit: stage a function once for each form of its arguments, and run the staged program from then on."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.compiler import staging
from funcnet.compiler.abstract import check_result
from funcnet.compiler.backends import NAMES, Choice, choose
from funcnet.compiler.graph import Apply, Program, Scan, walk
from funcnet.compiler.holders import Path, check_objects, is_function, places, read
from funcnet.compiler.lanes import Lanes
from funcnet.compiler.progress import Progress
from funcnet.compiler.signature import are_plain, form, global_settings, signature, static, unhashable
from funcnet.transforms import transformed
from funcnet.transforms.purity import Pure
from funcnet.tree import Structure


def jit(f: Callable[..., Any], *, backend: str = "auto", progress: Progress | None = None) -> "Jit":
    """Transform a function of pytrees into one that is staged at its first call and then runs without Python.

    f runs once for each form of its arguments: their structure, the shapes, strides, dtypes and devices of their
    tensors, and the values of all other leaves, which become constants. What it computes is recorded and compiled. f
    must be pure and must not steer Python by the values of its tensors; that i in x[i] is a tensor is no steering. The
    tensors that f closes over are read again at each call, in the variables, attributes and containers where f found
    them; so are those of functions among the arguments and of the instance of a jitted method. Every number or object
    that f closes over is fixed when f is staged, so pass what changes as an argument. A `scan` in f and an outermost
    `vmap`, as in jit(vmap(f)), become loops of the program. Results may share memory with each other, never with an
    argument; after an outermost vmap they are views of memory in which the lanes are innermost.

    Errors that depend on values are raised when the run has ended, with torch's message: an index or a class of
    `one_hot` out of range, a matrix that has no Cholesky factor or inverse, an input of `binary_cross_entropy` outside
    [0, 1], a false `torch._assert_async`, invalid arguments of a distribution. In the lanes of an outermost vmap a
    matrix or an input of `binary_cross_entropy` that fails fills its lane with NaN instead; the other lanes go on.
    An operation whose result nothing reads is dropped, and an index out of range in it is not reported.

    The native backend flushes denormal numbers to zeros of the same sign, as XLA does, in all of its threads and
    whatever the caller's mode is. Only large matrix products, which torch's BLAS computes, run in the caller's mode.

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
        TypeError: f or progress cannot be called. Called with an object that holds tensors and is not a pytree node.
        StagingError: At the first call: f reads values of tensors in Python, or is not pure; no tensor has changed.
        IndexError, RuntimeError: At any call: values for which torch raises an error, as described above.
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
        self.owner: type | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the staged program for these arguments; stage it first if there is none."""
        if transformed():
            return self._unstaged(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        key, tensors, others = signature(leaves, structure)
        holders = self._holders(others, args, kwargs)
        if not are_plain(tensors):
            return self._unstaged(args, kwargs)
        call = self._find(key, args, kwargs, holders)
        compiled = call.compiled
        captures = compiled.captures(holders)
        if captures is None:
            self._calls.clear()
            self._programs.clear()
            return self(*args, **kwargs)
        if captures and not are_plain(captures):
            return self._unstaged(args, kwargs)
        return compiled.rebuild(compiled.choice.kernel([*tensors, *captures], call.lanes))

    def _holders(self, others: list[Any], args: Any, kwargs: Any) -> list[Any]:
        """List what may hold tensors that are no arguments: the function, functions among its arguments, an instance.

        Raises:
            TypeError: Another argument holds tensors.
        """
        own = args[0] if args and self.owner is not None and isinstance(args[0], self.owner) else None
        functions = [leaf for leaf in others if leaf is own or is_function(leaf)]
        if len(functions) < len(others):
            check_objects(args, kwargs, own)
        return [self.f, *functions]

    def _unstaged(self, args: Any, kwargs: Any) -> Any:
        """Call the function itself, which has to be as pure as one that is staged."""
        with Pure("jit", self.f, (args, kwargs)):
            return self.f(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind to an instance as a function does, so that methods can be jitted where they are defined."""
        return self if instance is None else _Method(self, instance)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """Say how these arguments run, without running them."""
        key, _, others = signature(*tree.flatten((args, kwargs)))
        compiled = self._find(key, args, kwargs, self._holders(others, args, kwargs)).compiled
        choice = compiled.choice
        names = (_name(op) for op in walk(compiled.program.block))
        return Explanation(
            choice.backend, choice.reason, dict(Counter(names)), choice.kernel.size, choice.kernel.cached
        )

    def _find(self, key: Hashable, args: Any, kwargs: Any, holders: list[Any]) -> "_Call":
        """Look up how a form of arguments runs; stage and compile it when it is new."""
        try:
            call = self._calls.get(key)
        except TypeError as error:
            raise unhashable(args, kwargs) from error
        if call is None:
            call = self._calls[key] = self._prepare(args, kwargs, holders)
        return call

    def _prepare(self, args: Any, kwargs: Any, holders: list[Any]) -> "_Call":
        """Stage a call, unless one that differs in the number of lanes only is known."""
        lanes = Lanes.of(self.f, args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        forms = lanes.forms([leaf for leaf in leaves if isinstance(leaf, Tensor)])
        rest = iter(forms)
        parts = (next(rest) if isinstance(leaf, Tensor) else static(leaf) for leaf in leaves)
        key = (structure, lanes.in_dims, *parts, global_settings())
        if key not in self._programs:
            self._programs[key] = _compile(lanes, leaves, structure, forms, holders, self.backend, self.progress)
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
    places: list[list[Path]]  # where these are

    def rebuild(self, tensors: Sequence[Tensor]) -> Any:
        leaves = self.template.copy()
        for position, tensor in zip(self.positions, tensors, strict=True):
            leaves[position] = tensor
        return tree.unflatten(self.structure, leaves)

    def captures(self, holders: list[Any]) -> list[Tensor] | None:
        """Read the closed-over tensors from their places; return None unless their forms are those of the staging."""
        found = [read(*pair, holders) for pair in zip(self.program.captures, self.places, strict=True)]
        same = all(t is not None and form(t) == before for t, before in zip(found, self.forms, strict=True))
        return found if same else None


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
    lanes: Lanes,
    leaves: Sequence[Any],
    structure: Structure,
    forms: Any,
    holders: list[Any],
    backend: str,
    progress: Progress | None,
) -> _Compiled:
    body = _Body(lanes, leaves, structure)
    staged = staging.stage(body, forms)
    program = lanes.program(staged, body.out_dims)
    choice, forms = choose(program, backend, progress), [form(tensor) for tensor in program.captures]
    found = places(program.captures, holders)
    return _Compiled(program, choice, body.structure, body.template, body.positions, forms, found)


def _name(op: Apply | Scan) -> str:
    return "scan" if isinstance(op, Scan) else str(op.target)
