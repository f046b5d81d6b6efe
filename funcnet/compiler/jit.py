"""jit: trace and compile a function once per signature, then run the compiled program."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from funcnet import _torch, tree
from funcnet.compiler import forks
from funcnet.compiler.backends import NAMES
from funcnet.compiler.calls import Compiled, Request, program_key, trace_call
from funcnet.compiler.captures import check_objects, is_function
from funcnet.compiler.disabling import is_disabled
from funcnet.compiler.errors import NumberNeededError
from funcnet.compiler.known_calls import Call, Recent, is_usual
from funcnet.compiler.lanes import Lanes
from funcnet.compiler.lowered import Explanation, Lowered
from funcnet.compiler.number_arguments import NumberArguments, static_arguments
from funcnet.compiler.program import counts, walk
from funcnet.compiler.progress import Bar, Progress, ended_by
from funcnet.compiler.retraces import Retraces
from funcnet.compiler.reuse import compiled_once, shared_numbers
from funcnet.compiler.signature import are_plain, signature, unhashable, with_traced
from funcnet.reprs import Shown, text
from funcnet.transforms import transformed
from funcnet.transforms.flatten import check_function
from funcnet.transforms.purity import Pure
from funcnet.transforms.wrapped import global_name
from funcnet.tree.conversion import arrays_as_tensors, is_array

P = ParamSpec("P")
R = TypeVar("R")


def jit(
    f: Callable[P, R],
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Sequence[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Sequence[str] | None = None,
    inline: bool = False,
    keep_unused: bool = False,
    backend: str | None = "auto",
    progress: Progress | bool | None = None,
) -> "Jit[P, R]":
    """Transform a function of pytrees into one that is traced at its first call and then runs without Python.

    f runs once for each signature of its arguments: their structure, the shapes, strides, dtypes and devices of their
    tensors, and the values of other leaves, which become constants. The run is recorded and compiled. f must be pure,
    and Python must not branch on the values of its tensors; indexing by a tensor, `x[i]`, is allowed. The tensors that
    f closes over are read again at each call, in the variables, attributes and containers where f found them; so are
    those of functions among the arguments and of the instance of a jitted method. If a list, tuple or dict that holds
    them has another length, f is traced again. Every number or other object that f closes over is fixed when f is
    traced, so pass what changes as an argument. A `scan` in f and an outermost `vmap`, as in
    jit(vmap(f)), become loops of the program. Results may share memory with each other, never with an argument; after
    an outermost vmap their lanes may be innermost in memory. Another number of lanes may give other rounding errors.

    A float among the arguments is traced, and so is an int from its second value on: a new learning rate or step count
    does not need a new program. f receives a number that it can compute with. If Python needs its value, as for a
    shape, a branch, a text or `math.sqrt`, the number becomes a constant, and f is traced again for each of its values.
    Its type is not int or float itself: test with isinstance, not with `type(n) is int`.

    Errors that depend on values are raised when the run has ended, with torch's message: an index or a class of
    `one_hot` out of range, a matrix that has no Cholesky factor or inverse, an input of `binary_cross_entropy` outside
    [0, 1], a false `torch._assert_async`, invalid arguments of a distribution. In the lanes of an outermost vmap a
    matrix or an input of `binary_cross_entropy` that fails fills its lane with NaN instead; the other lanes continue.
    An operation whose result nothing reads is dropped, and an index out of range in it is not reported. Torch computes
    the operations without a native rule; an error of one of these ends the run and is raised with torch's type.

    A function that is jitted again, as by `jit(step)(...)` in a loop, uses the program of the last time if nothing has
    changed that the trace depends on, and a lambda or a transformation that is made again that of an equal one; an int
    that differs is traced. This holds if f reaches only plain Python, torch and this library, and has no callbacks.

    The native backend flushes denormal numbers to zeros of the same sign, as XLA does, in all of its threads and
    whatever the caller's mode is. Only large matrix products and other operations that torch computes run in that mode.

    After `os.fork`, as in the workers of a DataLoader, the first call of a jitted function in the child sets torch to
    one thread, because OpenMP would wait for the parent's threads; kernels that call BLAS are compiled again without.

    Args:
        f: Any function of pytrees; its results are pytrees, too.
        static_argnums: Positions of arguments that are constants, such as options; each must be hashable. Without
            static_argnames, these arguments are also constants if they are given by keyword.
        static_argnames: Names of arguments that are constants. Without static_argnums, also if given by position.
        donate_argnums, donate_argnames, inline, keep_unused: Accepted as in JAX; they have no effect.
        backend: "native" is compiled C for CPU tensors, with calls of torch for operations that it lacks; "inductor" is
            torch.compile; "eager" replays the operations one by one. "auto" takes inductor for tensors that are not on
            the CPU and else native, or eager for a program that is mostly calls or that native cannot run, or if there
            is no C compiler; so does None.
        progress: Called in the calling thread as progress(done, total), about ten times per second during a run and
            once at its end: the steps of the outermost scans, over all blocks of lanes; 0 of 0 without a scan of
            more than one step. An exception from the callback stops the run. True: a progress bar in a terminal, for
            runs of more than two seconds.
    Returns:
        A callable with the arguments of f. Inside a transformation or a torch function mode, or where torch's
        autograd is recording, it calls f itself. Its `explain(*args)` says which backend runs these arguments and why.
    Raises:
        ValueError: backend is not one of these names; or, at a call, a static argument is not hashable or has tensors.
        TypeError: f or progress is not callable, or an argument holds tensors and is not a pytree node.
        StagingError: At the first call: f reads values of tensors in Python, or is not pure; no tensor is changed.
        IndexError, RuntimeError: At any call: values for which torch raises an error, as described above.
    Example:
        >>> fn.jit(lambda x, y: {"sum": x + y})(torch.tensor(1.0), torch.tensor(2.0))
        {'sum': tensor(3.)}
    """
    backend = "auto" if backend is None else backend
    if backend not in NAMES:
        raise ValueError(f"jit: expected backend to be one of {', '.join(NAMES)}, got {backend!r}.")
    check_function("jit", f)
    progress = (Bar() if progress else None) if isinstance(progress, bool) else progress
    if progress is not None and not callable(progress):
        raise TypeError(f"jit: expected progress to be callable or a bool, got {tree.describe(progress)}.")
    return Jit(f, backend, progress, NumberArguments(*static_arguments(f, static_argnums, static_argnames)))


class Jit(Shown, Generic[P, R]):
    """A function that is traced at its first call per signature; made by `jit`."""

    def __init__(self, f: Callable[P, R], backend: str, progress: Progress | None, traced: NumberArguments) -> None:
        update_wrapper(self, f, updated=())
        self.f, self.backend, self.progress = f, backend, progress
        self._calls: dict[Hashable, Call] = {}
        self._recent = Recent()
        self._programs: dict[Hashable, Compiled] = {}
        self._traced, self._retraces = traced, Retraces()
        self.owner: type | None = None

    def __repr__(self) -> str:
        backend = "" if self.backend == "auto" else f", backend={self.backend!r}"
        return f"jit({text(self.f)}{backend})"

    def __reduce__(self) -> Any:
        """Pickle the function, or its name if it can be imported; it is traced again after unpickling."""
        return global_name(self) or (_made, (self.f, self.owner, self.backend, self.progress, *self._traced.static))

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the compiled program for these arguments; trace and compile the function first if necessary."""
        try:
            while is_usual():
                leaves, structure = self._recent.flatten(args, kwargs)
                for known in self._recent.calls:
                    if (inputs := known.inputs(structure, leaves)) is not None:
                        return known.run(inputs)
                if (found := self._recent.find(structure, leaves)) is not None:
                    return found[0].run(found[1])
                if not any(map(is_array, leaves)):
                    break
                args, kwargs = arrays_as_tensors((args, kwargs))  # then the call may be like a recent one
            return self._call(args, kwargs)
        except BaseException as error:
            programs = [each.program for each in self._programs.values()]
            raise ended_by(error, self.progress, programs)  # noqa: B904  # the error itself, not a new one

    def _call(self, args: Any, kwargs: Any) -> Any:
        """Make a call that is not like a recent one."""
        if forks.is_new:
            forks.adapt()
        if is_disabled() or transformed() or _torch.has_foreign_modes():
            return self._untraced(args, kwargs)
        request = self._request(args, kwargs)
        if not are_plain(request.tensors):
            return self._untraced(args, kwargs)
        request, call = self._find(request)
        compiled = call.compiled
        captures = compiled.captures(request.holders)
        if captures is None:
            self._calls.clear()
            self._programs.clear()
            self._recent.clear()
            return self(*args, **kwargs)
        if captures and not are_plain(captures):
            return self._untraced(args, kwargs)
        self._recent.add(request, call, captures)
        return compiled.rebuild(compiled.choice.kernel([*request.inputs(), *captures], call.lanes))

    def _request(self, args: Any, kwargs: Any) -> Request:
        """Return the request of a call, with numpy arrays as tensors."""
        leaves, structure = tree.flatten((args, kwargs))
        key, tensors, numbers, others = signature(leaves, structure)
        if any(map(is_array, others)):
            return self._request(*arrays_as_tensors((args, kwargs)))
        traced = self._traced.positions(structure, leaves, numbers, args, kwargs) if numbers else ()
        key = with_traced(key, leaves, traced) if traced else key
        return Request(args, kwargs, leaves, structure, key, tensors, traced, self._holders(others, args, kwargs))

    def _holders(self, others: list[Any], args: Any, kwargs: Any) -> list[Any]:
        """List the objects that may hold captures: the function, functions among its arguments, a method's instance.

        Raises:
            TypeError: Another argument holds tensors.
        """
        own = args[0] if args and self.owner is not None and isinstance(args[0], self.owner) else None
        functions = [leaf for leaf in others if leaf is own or is_function(leaf)]
        if len(functions) < len(others):
            check_objects(args, kwargs, own)
        return [self.f, *functions]

    def _untraced(self, args: Any, kwargs: Any) -> Any:
        """Call the function itself, which must be pure as if it were traced."""
        with Pure("jit", self.f, (args, kwargs)):
            return self.f(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind to an instance as a function does, so that `jit` can decorate methods."""
        return self if instance is None else _Method(self, instance)

    def explain(self, /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return which backend runs these arguments and why, without running them."""
        _, call = self._find(self._request(args, kwargs))
        choice, kernel = call.compiled.choice, call.compiled.choice.kernel
        operations, calls = counts(walk(call.compiled.program.block)), counts(kernel.calls)
        return Explanation(
            choice.backend, choice.reason, operations, kernel.size, kernel.cached, calls, kernel.memory(call.lanes)
        )

    def lower(self, /, *args: P.args, **kwargs: P.kwargs) -> Lowered:
        """Trace the function for these arguments without compiling it; the result shows each stage as text.

        Example:
            >>> text = fn.jit(lambda x: 2 * x).lower(torch.ones(3)).as_text("c")
        """
        request = self._request(args, kwargs)
        try:
            lanes = Lanes.of(self.f, request.args, request.kwargs, len(request.traced))
            program, _ = trace_call(lanes, request, lanes.specs(request.inputs()))
        except NumberNeededError as error:
            self._keep(request, error)
            return self.lower(*args, **kwargs)
        return Lowered(program, partial(self._compiled, request), partial(self.explain, *args, **kwargs))

    def _compiled(self, request: Request) -> "Jit[P, R]":
        self._find(request)
        return self

    def _keep(self, request: Request, error: NumberNeededError) -> None:
        """Make the numbers whose values the function needs constants from now on."""
        self._traced.fix(request.structure, [request.traced[i] for i in error.numbers])

    def _find(self, request: Request) -> tuple[Request, Call]:
        """Look up the call of a signature; trace and compile the function if it is new.

        Numbers whose values the function needs become constants, so the returned request may differ from the given one.
        """
        try:
            call = self._calls.get(request.key)
        except TypeError as error:
            raise unhashable(request.args, request.kwargs) from error
        if call is not None:
            return request, call
        is_new = not (self._calls or self.progress)
        known = shared_numbers(self._traced, self.f, request, self.backend, function_of) if is_new else self._traced
        if known is not self._traced:
            self._traced = known
            return self._find(self._request(request.args, request.kwargs))
        if isinstance(found := self._prepare(request), NumberNeededError):
            self._keep(request, found)
            return self._find(self._request(request.args, request.kwargs))
        self._calls[request.key] = found
        self._retraces.add(getattr(self.f, "__name__", type(self.f).__name__), request)
        return request, found

    def _prepare(self, request: Request) -> Call | NumberNeededError:
        """Trace a call, unless a known one has only another number of lanes; return the error if numbers prevent it."""
        self._traced.check(request.args, request.kwargs)
        lanes = Lanes.of(self.f, request.args, request.kwargs, len(request.traced))
        specs = lanes.specs(request.inputs())
        key = program_key(lanes, request, specs)
        if key not in self._programs:
            try:
                self._programs[key] = compiled_once(lanes, request, specs, self.backend, self.progress, function_of)
            except NumberNeededError as error:
                return error
        return Call(self._programs[key], lanes.size)


def function_of(value: Any) -> Any:
    """Return the function of a jitted one that reports no progress; None for other objects."""
    return value.f if type(value) is Jit and value.progress is None else None


def _made(f: Callable[..., Any], owner: type | None, backend: str, progress: Progress | None, *static: Any) -> Any:
    made: Jit[..., Any] = Jit(f, backend, progress, NumberArguments(*static))
    made.owner = owner
    return made


class _Method(partial[Any]):
    """A jitted function bound to an instance."""

    func: Jit[..., Any]

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        return self.func.explain(*self.args, *args, **kwargs)

    def lower(self, /, *args: Any, **kwargs: Any) -> Lowered:
        return self.func.lower(*self.args, *args, **kwargs)
