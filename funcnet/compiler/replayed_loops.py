"""Loops and branches of the eager backend, as loops and branches of Python."""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.progress import Meter
from funcnet.compiler.tracing.control_flow import switch_recorder, while_recorder
from funcnet.compiler.tracing.trace import loop

Replay = Callable[..., tuple[Tensor, ...]]


def run_loop(
    body: Replay,
    length: int,
    empty: list[Any],
    meter: Meter | None,
    init: list[Tensor],
    xs: list[Tensor],
    outside: list[Tensor],
) -> tuple[Tensor, ...]:
    """Run a scan as a Python loop, or record it if a trace is running.

    The first carries are copied: torch.compile recompiles a step for other strides, and for aliased tensors.
    """
    if (recorded := loop()) is not None:
        return _run_recorded(recorded, body, length, init, xs, outside)
    carries, ys = tuple(x.clone(memory_format=torch.contiguous_format) for x in init), []
    slices = zip(*(x.unbind() for x in xs), strict=True) if xs else repeat((), length)
    for slice_ in slices:
        results = body(*carries, *slice_, *outside)
        carries = results[: len(init)]
        ys.append(results[len(init) :])
        if meter is not None:
            meter.step()
    if not ys:
        return *carries, *(torch.zeros(shape, dtype=dtype, device=device) for shape, dtype, device in empty)
    return *carries, *(torch.stack(column) for column in zip(*ys, strict=True))


def _run_recorded(
    recorded: Any, body: Replay, length: int, init: list[Tensor], xs: list[Tensor], outside: list[Tensor]
) -> tuple[Tensor, ...]:
    def step(carries: list[Tensor], slices: list[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        results = body(*carries, *slices, *outside)
        return results[: len(init)], results[len(init) :]

    carries, ys = recorded(step, init, xs, length, 1)
    return *carries, *ys


def run_switch(index: Tensor, branches: Sequence[Replay]) -> Sequence[Tensor | None]:
    """Run the branch of an index, or record the switch if a trace is running."""
    recorded = switch_recorder()
    return branches[int(index)]() if recorded is None else recorded(index, branches)


def run_while(test: Replay, body: Replay, init: list[Tensor]) -> Sequence[Tensor]:
    """Run a loop with a condition, or record it if a trace is running."""
    if (recorded := while_recorder()) is not None:
        return recorded(lambda carries: test(*carries)[0], lambda carries: body(*carries), init)
    carries: Sequence[Tensor] = [x.clone(memory_format=torch.contiguous_format) for x in init]
    while test(*carries)[0]:
        carries = body(*carries)
    return carries
