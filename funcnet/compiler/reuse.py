"""Programs of functions that are jitted again, as in a loop around `jit(step)(...)`: equal ones are compiled once.

A function that is jitted again is traced again, so that it sees every change of the values that it closes over. Its
program is that of an earlier function if the trace would be the same: if everything that both depend on besides tensors
is equal. Where that cannot be told, or where a trace has changed something, the function is traced.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.calls import Compiled, Request, compile_call, is_constant, metadata, program_key
from funcnet.compiler.known_calls import is_usual
from funcnet.compiler.lanes import Lanes
from funcnet.compiler.number_arguments import NumberArguments
from funcnet.compiler.progress import Progress
from funcnet.compiler.state import State, UnknownStateError
from funcnet.compiler.tracing.spec import TensorSpec

_MOST = 64  # programs that are kept
_LARGEST = 2**24  # most bytes that a run of one of them needs: a kernel may keep the memory of its runs
_VARIABLES = ("CC", "PATH", "FUNCNET_DUMP")  # of the environment, on which compiling depends
_SIMPLE = {int, float, bool, complex, str, type(None)}
_programs: OrderedDict[Hashable, Compiled] = OrderedDict()
_numbers: OrderedDict[Hashable, NumberArguments] = OrderedDict()


def compiled_once(
    lanes: Lanes,
    request: Request,
    specs: Sequence[TensorSpec],
    backend: str,
    progress: Progress | None,
    of_jit: Callable[[Any], Any],
) -> Compiled:
    """Return the program of an equal function that fits the tensors of this one, or trace and compile the function."""
    key = None if progress or not is_usual() else _key(lanes, request, specs, backend, of_jit)
    if key is None:
        return compile_call(lanes, request, specs, backend, progress)
    found = _programs.get(key)
    if found is not None and found.captures(request.holders) is not None:
        _keep(_programs, key)
        return found
    compiled = compile_call(lanes, request, specs, backend, progress)
    if _may_be_kept(compiled, lanes, backend) and key == _key(lanes, request, specs, backend, of_jit):
        _programs[key] = compiled
        _keep(_programs, key)
    return compiled


def shared_numbers(
    own: NumberArguments, f: Callable[..., Any], request: Request, backend: str, of_jit: Callable[[Any], Any]
) -> NumberArguments:
    """Return what an equal function that was jitted before has learnt about its numbers; its own, if there is none.

    So an int that differs between the calls of equal functions becomes a traced number, as in calls of one function.
    """
    if not is_usual() or int not in map(type, request.leaves):
        return own
    lanes = Lanes.of(f, request.args, request.kwargs)  # without traced numbers: the key must not depend on them
    leaves = [leaf.__class__() if leaf.__class__ in (int, float) else leaf for leaf in request.leaves]
    key = _key(lanes, replace(request, leaves=leaves, traced=()), lanes.specs(request.tensors), backend, of_jit)
    if key is None:
        return own
    found = _numbers.setdefault((key, own.static), own)
    _keep(_numbers, (key, own.static))
    return found


def _keep(kept: OrderedDict[Hashable, Any], key: Hashable) -> None:
    """Mark an entry as the one used last, and drop those that have not been used for the longest time."""
    with suppress(KeyError):  # another thread may have removed it
        kept.move_to_end(key)
    while len(kept) > _MOST:
        kept.popitem(last=False)


def _key(
    lanes: Lanes, request: Request, specs: Sequence[TensorSpec], backend: str, of_jit: Callable[[Any], Any]
) -> Hashable | None:
    """Return a key of everything that the trace depends on; None if there is no such key."""
    parts = [leaf for leaf in request.leaves if not (isinstance(leaf, Tensor) or leaf.__class__ in _SIMPLE)]
    rest = [leaf.__class__ if any(leaf is part for part in parts) else leaf for leaf in request.leaves]
    nodes = metadata((request.args, request.kwargs))
    if not all(is_constant(data) for _, data in nodes):  # a key would keep it
        return None
    try:
        state = State([*request.holders, *parts, nodes], of_jit)
        given = program_key(lanes, replace(request, leaves=rest), specs)
        key = given, backend, torch.is_grad_enabled(), *map(os.environ.get, _VARIABLES), *state.parts
        hash(key)
    except (UnknownStateError, RecursionError, TypeError):
        return None
    return key


def _may_be_kept(compiled: Compiled, lanes: Lanes, backend: str) -> bool:
    """Tell whether a program may be kept: not one that needs much memory, or is replayed for lack of a rule."""
    choice = compiled.choice
    is_sought = choice.backend == "native" or choice.backend == backend == "eager"
    return compiled.is_general and is_sought and choice.kernel.memory(lanes.size) <= _LARGEST
