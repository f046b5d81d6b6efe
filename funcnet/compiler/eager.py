"""The eager backend: the program as a Python function that calls one ATen operation after the other.

Tracing, torch.func's layers and the user's Python are gone from it, so that little but the operations' own time remains.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.graph import Apply, Block, Program, Scan, Var, free, inputs, variables
from funcnet.transforms import vmap

Replay = Callable[..., tuple[Tensor, ...]]

aten = torch.ops.aten


class Kernel:
    """A program ready to run: tensors in, results out."""

    size, cached = 0, False

    def __init__(self, run: Replay, program: Program) -> None:
        lanes = (program.in_dims, program.out_dims)
        self.run = run if program.in_dims is None else vmap(run, *lanes, chunk_size=program.chunk_size)

    def __call__(self, tensors: Sequence[Tensor], lanes: int | None = None) -> list[Tensor]:
        return list(self.run(*tensors))


def compile(program: Program) -> Kernel:
    """Prepare a program to be replayed operation by operation; it has no operation that this cannot run."""
    return Kernel(replay(program.block), program)


def replay(block: Block, transform: Callable[[Replay, Block], Replay] = lambda run, block: run) -> Replay:
    """Turn a block into a function of its parameters and of what it takes from outside.

    Args:
        block: What to run.
        transform: Applied to the function of every block, those of scans' bodies included.
    """
    names = _Names()
    signature = ", ".join(names[var] for var in (*block.params, *dict.fromkeys(free(block))))
    lines = [line for op in _with_lifetimes(block) for line in _statement(op, names, transform)]
    source = [
        f"def block({signature}):",
        *lines,
        f"return ({''.join(names[v] + ', ' for v in variables(block.results))})",
    ]
    exec("\n    ".join(source), names.constants)
    return transform(names.constants["block"], block)


class _Names(dict[Var, str]):
    """Names of values, and the constants that the function refers to."""

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


def _with_lifetimes(block: Block) -> Iterator[Apply | Scan | list[Var]]:
    """Yield the operations, and after each the values that nobody reads any more."""
    last = {var: i for i, op in enumerate(block.ops) for var in (*op.outputs, *inputs(op))}
    kept = {*variables(block.results), *block.params, *free(block)}
    for i, op in enumerate(block.ops):
        yield op
        yield [var for var in dict.fromkeys((*op.outputs, *inputs(op))) if last[var] == i and var not in kept]


def _statement(op: Apply | Scan | list[Var], names: _Names, transform: Any) -> list[str]:
    if isinstance(op, list):
        return [f"del {', '.join(names[var] for var in op)}"] if op else []
    outputs = ", ".join(names[var] for var in op.outputs)
    if isinstance(op, Scan):
        return [f"{outputs}, = {names.constant(_loop(op, transform))}({_scan_arguments(op, names)})"]
    arguments = [names.argument(arg) for arg in op.args] + [f"{k}={names.argument(v)}" for k, v in op.kwargs.items()]
    several = "" if str(op.target._schema.returns[0].type) == "Tensor" and len(op.outputs) == 1 else ","
    return [f"{outputs}{several} = {names.constant(_OPERATIONS.get(op.target, op.target))}({', '.join(arguments)})"]


def _scan_arguments(op: Scan, names: _Names) -> str:
    outside = tuple(dict.fromkeys(free(op.body)))
    return ", ".join(names.argument(values) for values in (op.init, op.xs, outside))


def _loop(scan: Scan, transform: Any) -> Callable[..., tuple[Tensor, ...]]:
    empty = [(y.shape, y.dtype, y.device) for y in scan.outputs[len(scan.init) :]]
    return partial(_run_loop, replay(scan.body, transform), scan.length, empty)


def _run_loop(
    body: Replay, length: int, empty: list[Any], init: list[Tensor], xs: list[Tensor], outside: list[Tensor]
) -> tuple[Tensor, ...]:
    """Run a scan as a Python loop."""
    carries, ys = tuple(init), []
    slices = zip(*(x.unbind() for x in xs), strict=True) if xs else [()] * length
    for slice_ in slices:
        results = body(*carries, *slice_, *outside)
        carries = results[: len(init)]
        ys.append(results[len(init) :])
    if not ys:
        return *carries, *(torch.zeros(shape, dtype=dtype, device=device) for shape, dtype, device in empty)
    return *carries, *(torch.stack(column) for column in zip(*ys, strict=True))


def _as_strided(x: Tensor, size: list[int], stride: list[int], offset: int | None = None) -> Tensor:
    """Strides of a program refer to the values in row-major order, whatever the layout of the tensor that arrives."""
    return torch.as_strided(x.contiguous(), size, stride, offset or 0)


# What depends on a tensor's memory layout, in a form that takes any.
_OPERATIONS = {aten.view.default: torch.reshape, aten.as_strided.default: _as_strided}
