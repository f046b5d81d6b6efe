"""Long scans outside of `jit`: a compiled loop, if the step can be traced and the loop is worth it.

Whether a loop is compiled depends only on the step, its closed-over values and its arguments, so that equal
calls give equal results. A step that is created again at each call, as a lambda is, uses the loop of an equal one.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch

from funcnet import tree
from funcnet.compiler import Jit, is_disabled
from funcnet.compiler.calls import Compiled, Request, prepare_call, trace_call
from funcnet.compiler.errors import NoCompilerError, UnsupportedError
from funcnet.compiler.known_calls import is_usual
from funcnet.compiler.lanes import Lanes
from funcnet.compiler.program import Block, Scan, Switch, While
from funcnet.compiler.signature import are_plain, global_settings, tensor_key
from funcnet.compiler.state import State, UnknownStateError
from funcnet.transforms.flatten import transformed
from funcnet.tree import Tree

_LEAST_STEPS = 1_000  # shorter loops are not even traced
_LEAST_WORK = 60_000  # operations that take about as long in Python as the compiler does
_PER_STEP = 5  # operations that the Python loop costs per step

_MOST = 32  # loops that are kept
_loops: OrderedDict[Hashable, Compiled | None] = OrderedDict()  # None for those that run in Python


def compiled_scan(
    scan: Callable[..., Any], f: Callable[..., Any], init: Any, xs: Tree, length: int, unroll: int
) -> Any:
    """Run a scan as a compiled loop; return None if it has to run in Python, or if it raises an error."""
    if length < _LEAST_STEPS:
        return None
    leaves, structure = tree.flatten(((init, xs), {}))
    if not _is_plain_call(leaves):
        return None
    try:
        state = State(f, _function_of)
        settings = torch.is_grad_enabled(), global_settings()
        key = (*state.parts, length, unroll, structure, *map(tensor_key, leaves), *settings)
        found = _loops.get(key, _UNKNOWN)
    except (UnknownStateError, RecursionError, TypeError):
        return None
    if found is _UNKNOWN:
        request = Request((init, xs), {}, leaves, structure, key, leaves, (), [f])
        found = _prepared(lambda init, xs: scan(f, init, xs, length, unroll=unroll), request, state)
        _keep(key, found)
    return None if found is None else _run(found, f, leaves, key)


_UNKNOWN: Any = object()


def _function_of(value: Any) -> Any:
    return value.f if type(value) is Jit and value.progress is None else None


def _is_plain_call(leaves: list[Any]) -> bool:
    """Tell whether all leaves are tensors on the CPU, and nothing outside sees the operations of the loop."""
    plain = all(tree.is_tensor(leaf) and leaf.is_cpu for leaf in leaves) and are_plain(leaves)
    return plain and is_usual() and not (is_disabled() or transformed() or torch.is_inference_mode_enabled())


def _run(loop: Compiled, f: Callable[..., Any], leaves: list[Any], key: Hashable) -> Any:
    """Run a compiled loop with the tensors that f closes over now."""
    captures = loop.captures([f])
    if captures is None:  # other tensors are the same object, or a value that the trace has read is another one
        _loops[key] = None
        return None
    if not are_plain(captures):
        return None
    try:
        return loop.rebuild(loop.choice.kernel([*leaves, *captures]))
    except (IndexError, RuntimeError, ValueError):  # the Python loop raises the error at its step
        return None


def _prepared(run: Callable[..., Any], request: Request, state: State) -> Compiled | None:
    lanes = Lanes(run)
    try:
        program, body = trace_call(lanes, request, lanes.specs(request.tensors))
    except Exception:  # the Python loop raises it again, if it is not about the trace
        state.restore()
        return None
    if state.restore() or work(program.block) < _LEAST_WORK:
        return None
    try:
        loop = prepare_call(program, body, request, "native", keeps_captures=False)
    except (UnsupportedError, NoCompilerError):
        return None
    except Exception as error:  # a bug in the compiler: a warning here and an error in the tests
        warnings.warn(f"scan runs in Python: a bug in the native backend raised {error!r}.", stacklevel=4)
        return None
    return None if loop.places.hidden else loop


def work(block: Block) -> int:
    """Count the operations of a run, which of a loop with a condition are those of one step."""
    return sum(map(_work, block.ops))


def _work(op: Any) -> int:
    match op:
        case Scan():
            return op.length * (work(op.body) + _PER_STEP)
        case While():
            return work(op.test) + work(op.body) + _PER_STEP
        case Switch():
            return max(map(work, op.branches)) + 1
    return 1


def _keep(key: Hashable, loop: Compiled | None) -> None:
    _loops[key] = loop
    while len(_loops) > _MOST:
        _loops.popitem(last=False)
