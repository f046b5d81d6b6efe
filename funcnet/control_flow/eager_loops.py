"""Long loops outside of `jit`: a compiled loop, if the step can be traced and the loop is worth it.

Whether a loop is compiled depends only on the step, its closed-over values and its arguments, so that equal
calls give equal results. A step that is created again at each call, as a lambda is, uses the loop of an equal one.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch

from funcnet import tree
from funcnet.compiler import is_disabled
from funcnet.compiler.calls import Compiled, Request, prepare_call, trace_call
from funcnet.compiler.errors import NoCompilerError, UnsupportedError
from funcnet.compiler.jit import function_of
from funcnet.compiler.known_calls import is_usual
from funcnet.compiler.lanes import Lanes
from funcnet.compiler.program import Block, Scan, Switch, While
from funcnet.compiler.signature import are_plain, global_settings, tensor_key
from funcnet.compiler.state import State, UnknownStateError
from funcnet.transforms.flatten import transformed
from funcnet.tree import Tree

LEAST_STEPS = 1_000  # shorter loops are not even traced
_LEAST_WORK = 60_000  # operations that take about as long in Python as the compiler does
_PER_STEP = 5  # operations that the Python loop costs per step, and per test of a condition

_MOST = 32  # loops that are kept
_loops: OrderedDict[Hashable, Compiled | None] = OrderedDict()  # None for those that run in Python


def compiled_scan(
    scan: Callable[..., Any], f: Callable[..., Any], init: Any, xs: Tree, length: int, unroll: int
) -> Any:
    """Run a scan as a compiled loop; return None if it has to run in Python, or if it raises an error."""
    if length < LEAST_STEPS:
        return None

    def run(init: Any, xs: Any) -> Any:
        return scan(f, init, xs, length, unroll=unroll)

    return _compiled("scan", run, [f], (init, xs), (length, unroll), lambda block: work(block) >= _LEAST_WORK)


def compiled_while(
    while_loop: Callable[..., Any], cond_fun: Callable[..., Any], body_fun: Callable[..., Any], carry: Any, steps: int
) -> Any:
    """Continue a loop with a condition as a compiled loop, after some steps; return None as `compiled_scan` does.

    It is worth it as soon as the steps have taken half as long as the compiler does: most loops that have taken so long
    take longer.
    """
    run, functions = partial(while_loop, cond_fun, body_fun), [cond_fun, body_fun]
    return _compiled(
        "while_loop", run, functions, (carry,), (steps,), lambda block: 2 * steps * work(block) >= _LEAST_WORK
    )


def _compiled(
    name: str,
    run: Callable[..., Any],
    functions: list[Any],
    args: tuple[Any, ...],
    options: tuple[int, ...],
    is_worth: Callable[[Block], bool],
) -> Any:
    """Run a loop of some functions over arguments as a compiled one; return None if it has to run in Python."""
    leaves, structure = tree.flatten((args, {}))
    if not _is_plain_call(leaves):
        return None
    try:
        state = State(functions, function_of)
        settings = torch.is_grad_enabled(), global_settings()
        key = (name, *state.parts, *options, structure, *map(tensor_key, leaves), *settings)
        found = _loops.get(key, _UNKNOWN)
    except (UnknownStateError, RecursionError, TypeError):
        return None
    if found is _UNKNOWN:
        request = Request(args, {}, leaves, structure, key, leaves, (), functions)
        found = _prepared(name, run, request, state, is_worth)
        if found is None or found.is_general:
            _keep(key, found)
    return None if found is None else _run(found, functions, leaves, key)


_UNKNOWN: Any = object()


def _is_plain_call(leaves: list[Any]) -> bool:
    """Tell whether all leaves are tensors on the CPU, and nothing outside sees the operations of the loop."""
    plain = all(tree.is_tensor(leaf) and leaf.is_cpu for leaf in leaves) and are_plain(leaves)
    return plain and is_usual() and not (is_disabled() or transformed() or torch.is_inference_mode_enabled())


def _run(loop: Compiled, functions: list[Any], leaves: list[Any], key: Hashable) -> Any:
    """Run a compiled loop with the tensors that its functions close over now."""
    captures = loop.captures(functions)
    if captures is None:  # other tensors are the same object, or a value that the trace has read is another one
        _loops[key] = None
        return None
    if not are_plain(captures):
        return None
    try:
        return loop.rebuild(loop.choice.kernel([*leaves, *captures], None))
    except (IndexError, RuntimeError, ValueError):  # the Python loop raises the error at its step
        return None


def _prepared(
    name: str, run: Callable[..., Any], request: Request, state: State, is_worth: Callable[[Block], bool]
) -> Compiled | None:
    lanes = Lanes(run)
    try:
        program, body = trace_call(lanes, request, lanes.specs(request.tensors))
    except Exception:  # the Python loop raises it again, if it is not about the trace
        state.restore()
        return None
    if state.restore() or not is_worth(program.block):
        return None
    try:
        progress = _ignore if name == "while_loop" else None
        loop = prepare_call(program, body, request, "native", progress)
    except (UnsupportedError, NoCompilerError):
        return None
    except Exception as error:  # a bug in the compiler: a warning here and an error in the tests
        warnings.warn(f"{name} runs in Python: a bug in the native backend raised {error!r}.", stacklevel=5)
        return None
    return None if loop.places.hidden else loop


def _ignore(done: int, total: int) -> None:
    """Ignore the progress; a kernel that reports it runs in a thread, so that Ctrl-C can stop an endless loop."""


def work(block: Block) -> int:
    """Count the operations of a run, which of a loop with a condition are those of one step."""
    return sum(map(_work, block.ops))


def _work(op: Any) -> int:
    match op:
        case Scan():
            return op.length * (work(op.body) + _PER_STEP)
        case While():
            return work(op.test) + work(op.body) + 2 * _PER_STEP
        case Switch():
            return max(map(work, op.branches)) + 1
    return 1


def _keep(key: Hashable, loop: Compiled | None) -> None:
    _loops[key] = loop
    while len(_loops) > _MOST:
        _loops.popitem(last=False)
