"""The traced program: blocks of pure operations on values, each assigned once.

A value is a `Var`, identified by the object itself. A `Block` takes parameters, applies operations in order and has
results; a `Scan`, a `Switch` and a `While` hold blocks of their own, whose operations may read the values of the blocks
around them. An outermost vmap is not in the block: the block is one lane, and the `Program` says which axes of the
actual tensors are lanes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import Operation


@dataclass(eq=False)
class Var:
    """A tensor that the program computes or receives: shape, dtype and device, no values."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


@dataclass(eq=False)
class Apply:
    """One ATen operation. Arguments are values, constants (numbers, None, dtype, str), and tuples or lists.

    An operation without outputs is a check of values, which dead code elimination keeps.
    """

    target: Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Var, ...]


@dataclass(eq=False)
class Scan:
    """A loop: body(*carries, *slices of xs) -> (*carries, *ys); outputs are the last carries and the stacked ys."""

    length: int
    unroll: int
    init: tuple[Var, ...]
    xs: tuple[Var, ...]
    body: "Block"
    outputs: tuple[Var, ...]


@dataclass(eq=False)
class Switch:
    """The results of branch i of several, which have no parameters; i is a 0-d bool or int64 within their number."""

    index: Var
    branches: "tuple[Block, ...]"
    outputs: tuple[Var, ...]


@dataclass(eq=False)
class While:
    """A loop: carries = body(*carries) as long as test(*carries) is true, a 0-d bool; outputs are the last carries."""

    init: tuple[Var, ...]
    test: "Block"
    body: "Block"
    outputs: tuple[Var, ...]


Op = Apply | Scan | Switch | While


@dataclass(eq=False)
class Block:
    """A sequence of operations between parameters and results."""

    params: tuple[Var, ...]
    ops: list[Op] = field(default_factory=list)
    results: tuple[Var, ...] = ()

    def __repr__(self) -> str:
        return "\n".join(_lines(self, _Names(), ""))


@dataclass(eq=False)
class Program:
    """A traced function: its block, the lane axis of each parameter and result, and the closed-over tensors.

    The parameters are the arguments' tensors and then the captures. `in_dims` and `out_dims` are None without an
    outermost vmap; an entry None there is a tensor that all lanes share. `varying` are the values that differ between
    lanes; `passes.run` sets it. `fixed` holds the values of captures that the trace has read, None for the others.
    `whole_size` is the number of lanes of which the lanes of a call are a part; they are rounded as the whole is.
    """

    block: Block
    in_dims: tuple[int | None, ...] | None = None
    out_dims: tuple[int | None, ...] | None = None
    captures: tuple[Tensor, ...] = ()
    fixed: tuple[Tensor | None, ...] = ()
    chunk_size: int | None = None
    whole_size: int | None = None
    varying: frozenset[Var] = frozenset()

    def __repr__(self) -> str:
        return repr(self.block)


def blocks(op: Op) -> tuple[Block, ...]:
    """Return the blocks that an operation holds."""
    match op:
        case Apply():
            return ()
        case Scan():
            return (op.body,)
        case Switch():
            return op.branches
        case While():
            return op.test, op.body


def map_blocks(op: Op, f: Callable[[Block], Block]) -> Op:
    """Return an operation with f applied to the blocks that it holds, in their order."""
    match op:
        case Apply():
            return op
        case Scan():
            return replace(op, body=f(op.body))
        case Switch():
            return replace(op, branches=tuple(map(f, op.branches)))
        case While():
            return replace(op, test=f(op.test), body=f(op.body))


def inputs(op: Op) -> Iterator[Var]:
    """Yield the values that an operation reads, including those that its blocks read from outside; some repeatedly."""
    match op:
        case Apply():
            yield from variables((op.args, tuple(op.kwargs.values())))
        case Scan():
            yield from variables((op.init, op.xs))
        case Switch():
            yield op.index
        case While():
            yield from op.init
    for block in blocks(op):
        yield from free(block)


def has_effect(op: Op) -> bool:
    """Tell whether an operation is a check, or holds one in a block."""
    return not op.outputs if isinstance(op, Apply) else any(has_effect(inner) for b in blocks(op) for inner in b.ops)


def free(block: Block) -> Iterator[Var]:
    """Yield the values that a block reads from the blocks around it."""
    bound = set(block.params)
    for op in block.ops:
        yield from (var for var in inputs(op) if var not in bound)
        bound.update(op.outputs)
    yield from (var for var in variables(block.results) if var not in bound)


_SEQUENCES = (tuple, list)  # isinstance takes three times as long with tuple | list


def variables(value: Any) -> list[Var]:
    """List the values inside nested tuples and lists of arguments."""
    found, rest = list[Var](), [value]
    while rest:
        item = rest.pop()
        if isinstance(item, Var):
            found.append(item)
        elif isinstance(item, _SEQUENCES):
            rest.extend(item[::-1])
    return found


def substitute(value: Any, mapping: dict[Any, Any]) -> Any:
    """Replace values inside nested tuples and lists of arguments by those that the mapping assigns to them."""
    if isinstance(value, Var):
        return mapping.get(value, value)
    if isinstance(value, _SEQUENCES):
        return type(value)(substitute(item, mapping) for item in value)
    return value


def renamed(block: Block, names: dict[Var, Var]) -> Block:
    """Return a copy of a block, whose values are new but for those that have a name already; add the others to it."""

    def new(values: Sequence[Var]) -> tuple[Var, ...]:
        return tuple(names.setdefault(var, Var(var.shape, var.dtype, var.device)) for var in values)

    params, ops = new(block.params), list[Op]()
    for op in block.ops:
        outputs = new(op.outputs)
        match op:
            case Apply():
                kwargs = {name: substitute(value, names) for name, value in op.kwargs.items()}
                ops.append(Apply(op.target, substitute(op.args, names), kwargs, outputs))
            case Scan():
                init, xs = substitute((op.init, op.xs), names)
                ops.append(Scan(op.length, op.unroll, init, xs, renamed(op.body, names), outputs))
            case Switch():
                branches = tuple(renamed(branch, names) for branch in op.branches)
                ops.append(Switch(substitute(op.index, names), branches, outputs))
            case While():
                test, body = (renamed(inner, names) for inner in (op.test, op.body))
                ops.append(While(substitute(op.init, names), test, body, outputs))
    return Block(params, ops, substitute(block.results, names))


def emit(
    ops: list[Op],
    target: Operation,
    args: tuple[Any, ...],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    like: Var,
    kwargs: dict[str, Any] | None = None,
) -> Var:
    """Append an operation with one output, on the device of another value; return the output."""
    out = Var(shape, dtype, like.device)
    ops.append(Apply(target, args, kwargs or {}, (out,)))
    return out


def walk(block: Block) -> Iterator[Op]:
    """Yield every operation of a block, including those in the blocks that its operations hold."""
    for op in block.ops:
        yield op
        for inner in blocks(op):
            yield from walk(inner)


class _Names(dict[Var, str]):
    """Short names in the order in which values first appear."""

    def __missing__(self, var: Var) -> str:
        self[var] = f"v{len(self)}"
        return self[var]


def _lines(block: Block, names: _Names, indent: str) -> Iterator[str]:
    yield f"{indent}({', '.join(_typed(var, names) for var in block.params)}) ->"
    for op in block.ops:
        lines = _apply_lines(op, names) if isinstance(op, Apply) else _block_lines(op, names)
        yield from (f"{indent}  {line}" for line in lines)
    yield f"{indent}  return {_show(block.results, names)}"


def _apply_lines(op: Apply, names: _Names) -> Iterator[str]:
    arguments = [_show(arg, names) for arg in op.args] + [f"{k}={_show(v, names)}" for k, v in op.kwargs.items()]
    outputs = ", ".join(_typed(var, names) for var in op.outputs)
    target = str(op.target).removesuffix(".default")
    yield f"{outputs}{' = ' if outputs else ''}{target}({', '.join(arguments)})"


def _block_lines(op: Scan | Switch | While, names: _Names) -> Iterator[str]:
    outputs = ", ".join(_typed(var, names) for var in op.outputs)
    match op:
        case Scan():
            yield f"{outputs} = scan length={op.length} init={_show(op.init, names)} xs={_show(op.xs, names)}"
        case Switch():
            yield f"{outputs} = switch {_show(op.index, names)}"
        case While():
            yield f"{outputs} = while init={_show(op.init, names)}"
    for block in blocks(op):
        yield from _lines(block, names, "  ")


def counts(ops: Iterable[Op]) -> dict[str, int]:
    """Count operations by their names; loops and branches are `scan`, `while` and `switch`."""
    return dict(Counter(str(op.target) if isinstance(op, Apply) else type(op).__name__.lower() for op in ops))


def _typed(var: Var, names: _Names) -> str:
    return f"{names[var]}: {str(var.dtype).removeprefix('torch.')}{list(var.shape)}"


def _show(value: Any, names: _Names) -> str:
    if isinstance(value, Var):
        return names[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_show(item, names) for item in value)}]"
    return repr(value).removeprefix("torch.")
