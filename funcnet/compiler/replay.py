"""The eager backend: the program as a Python function that calls ATen operations one by one.

It contains no tracing, no layers of torch.func and none of the user's Python, so the operations take most of its time.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler import live_memory, passes
from funcnet.compiler.program import Apply, Block, Op, Program, Scan, Switch, Var, While, free, inputs, variables
from funcnet.compiler.progress import Meter, Progress, steps
from funcnet.compiler.replayed_loops import Replay, run_loop, run_switch, run_while
from funcnet.compiler.tracing.layouts import on_any_layout
from funcnet.compiler.tracing.spec import row_major
from funcnet.compiler.tracing.trace import trace
from funcnet.transforms import vmap

Transform = Callable[[Replay, Block], Replay]

aten = torch.ops.aten


class ReplayKernel:
    """A program that is ready to run. An outermost vmap is removed by tracing it, once per number of lanes."""

    size, cached = 0, False
    calls: Sequence[Apply] = ()

    def __init__(self, program: Program, transform: Transform, progress: Progress | None = None) -> None:
        self.program, self.transform = program, transform
        self.meter = None if progress is None else Meter(progress)
        self.runs: dict[int | None, Replay] = {}

    def __call__(self, tensors: Sequence[Tensor], lanes: int | None = None) -> list[Tensor]:
        most, tensors = self.program.chunk_size, _physical(tensors)
        starts = range(0, lanes, most) if lanes is not None and most is not None and lanes > most else range(1)
        if self.meter is None:
            return self.in_chunks(tensors, lanes, starts)
        with self.meter.run(len(starts) * steps(self.program)):
            return self.in_chunks(tensors, lanes, starts)

    def memory(self, lanes: int | None) -> int:
        """Estimate the bytes of a run besides its arguments."""
        return live_memory.estimate(self.program, lanes)

    def specialised(self, tensors: Sequence[Tensor], lanes: int | None) -> Callable[[Sequence[Tensor]], list[Tensor]]:
        """Return a function that runs the program on tensors with the shapes of these."""
        return partial(self, lanes=lanes)

    def in_chunks(self, tensors: Sequence[Tensor], lanes: int | None, starts: range) -> list[Tensor]:
        if lanes is None or len(starts) == 1:
            return list(self.run(lanes)(*tensors))
        sizes = [(i, min(starts.step, lanes - i)) for i in starts]
        chunks = [self.run(size)(*self.narrow(tensors, i, size)) for i, size in sizes]
        dims = self.program.out_dims or ()
        return [
            c[0] if dim is None else torch.cat(c, dim) for c, dim in zip(zip(*chunks, strict=True), dims, strict=True)
        ]

    def run(self, lanes: int | None) -> Replay:
        if lanes not in self.runs:
            program = self.program if lanes is None else over_lanes(self.program, lanes)
            self.runs[lanes] = replay(program.block, self.transform, self.meter)
        return self.runs[lanes]

    def narrow(self, tensors: Sequence[Tensor], start: int, size: int) -> Iterator[Tensor]:
        for tensor, dim in zip(tensors, self.program.in_dims or (), strict=True):
            yield tensor if dim is None else tensor.narrow(dim, start, size)


def prepare(program: Program, progress: Progress | None = None, lanes: int | None = None) -> ReplayKernel:
    """Prepare a program to be replayed operation by operation; every program can be."""
    return ReplayKernel(program, unchanged, progress)


def replay(block: Block, transform: Transform, meter: Meter | None = None) -> Replay:
    """Turn a block into a function of its parameters and of the values that it reads from outside.

    Args:
        block: The operations to run.
        transform: Applied to the function of every block, including the bodies of scans.
        meter: Counts the steps of this block's scans.
    """
    names = _Names()
    signature = ", ".join(names[var] for var in (*block.params, *dict.fromkeys(free(block))))
    lines = [line for op in _with_lifetimes(block) for line in _statement(op, names, transform, meter)]
    results = "".join(f"{names[var]}, " for var in block.results)
    exec("\n    ".join([f"def block({signature}):", *lines, f"return ({results})"]), names.constants)
    return transform(names.constants["block"], block)


def unchanged(run: Replay, block: Block) -> Replay:
    return run


def over_lanes(program: Program, lanes: int) -> Program:
    """Trace a program for all lanes at once: batched operations in one block, without the overhead of vmap."""
    run, dims = replay(program.block, unchanged), program.in_dims or ()
    shapes = [_with_axis(var.shape, dim, lanes) for var, dim in zip(program.block.params, dims, strict=True)]
    signature = [row_major(var, shape) for var, shape in zip(program.block.params, shapes, strict=True)]
    batch = vmap(run, program.in_dims, program.out_dims)
    return passes.run(trace(lambda tensors: batch(*tensors), signature))


def _with_axis(shape: tuple[int, ...], dim: int | None, size: int) -> tuple[int, ...]:
    return shape if dim is None else (*shape[:dim], size, *shape[dim:])


class _Names(dict[Var, str]):
    """Names of values, and the constants that the generated function refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.constants: dict[str, Any] = {}

    def __missing__(self, var: Var) -> str:
        return self.setdefault(var, f"v{len(self)}")

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def argument(self, value: Any) -> str:
        if isinstance(value, Var):
            return self[value]
        if isinstance(value, tuple | list):
            return f"[{', '.join(self.argument(item) for item in value)}]"
        return repr(value) if value is None or isinstance(value, bool | int) else self.constant(value)


def _with_lifetimes(block: Block) -> Iterator[Op | list[Var]]:
    """Yield the operations, and after each the values that no later operation reads."""
    last = {var: i for i, op in enumerate(block.ops) for var in (*op.outputs, *inputs(op))}
    kept = {*variables(block.results), *block.params, *free(block)}
    for i, op in enumerate(block.ops):
        yield op
        yield [var for var in dict.fromkeys((*op.outputs, *inputs(op))) if last[var] == i and var not in kept]


def _statement(op: Op | list[Var], names: _Names, transform: Transform, meter: Meter | None) -> list[str]:
    if isinstance(op, list):
        return [f"del {', '.join(names[var] for var in op)}"] if op else []
    outputs = ", ".join(names[var] for var in op.outputs)
    several = ","
    match op:
        case Apply():
            several, call = _several(op), f"{names.constant(on_any_layout(op.target))}({_arguments(op, names)})"
        case Scan():
            call = f"{names.constant(_loop(op, transform, meter))}({_scan_arguments(op, names)})"
        case Switch():
            branches = [_closed(branch, transform, names) for branch in op.branches]
            call = f"{names.constant(run_switch)}({names[op.index]}, [{', '.join(branches)}])"
        case While():
            parts = [_closed(part, transform, names) for part in (op.test, op.body)]
            call = f"{names.constant(run_while)}({', '.join(parts)}, {names.argument(op.init)})"
    return [f"{outputs}{several} = {call}" if outputs else call]


def _closed(block: Block, transform: Transform, names: _Names) -> str:
    """Return the text of a function of a block's parameters, which holds the values that it reads from outside."""
    outside = names.argument(tuple(dict.fromkeys(free(block))))
    return f"{names.constant(_bind)}({names.constant(replay(block, transform))}, {outside})"


def _bind(run: Replay, outside: list[Tensor]) -> Replay:
    return lambda *params: run(*params, *outside)


def _several(op: Apply) -> str:
    """Return a comma if an operation returns a tuple, even of one tensor."""
    single = len(op.outputs) == 1 and str(op.target._schema.returns[0].type) == "Tensor"
    return "" if single else ","


def _arguments(op: Apply, names: _Names) -> str:
    return ", ".join([*map(names.argument, op.args), *(f"{k}={names.argument(v)}" for k, v in op.kwargs.items())])


def _scan_arguments(op: Scan, names: _Names) -> str:
    outside = tuple(dict.fromkeys(free(op.body)))
    return ", ".join(names.argument(values) for values in (op.init, op.xs, outside))


def _loop(scan: Scan, transform: Transform, meter: Meter | None) -> Callable[..., tuple[Tensor, ...]]:
    empty = [(y.shape, y.dtype, y.device) for y in scan.outputs[len(scan.init) :]]
    return partial(run_loop, replay(scan.body, transform), scan.length, empty, meter)


def _physical(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Resolve conjugate and negative views, for which view_as_real raises."""
    if any(map(Tensor.is_conj, tensors)) or any(map(Tensor.is_neg, tensors)):
        return [tensor.resolve_conj().resolve_neg() for tensor in tensors]
    return tensors
