"""The traced program: blocks of pure operations on values, each assigned once.

A value is a `Var`, identified by the object itself. A `Block` takes parameters, applies operations in order and has
results; a `Scan` holds a block of its own, whose operations may read the values of the blocks around it. An outermost
vmap is not in the block: the block is one lane, and the `Program` says which axes of the actual tensors are lanes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
class Block:
    """A sequence of operations between parameters and results."""

    params: tuple[Var, ...]
    ops: list[Apply | Scan] = field(default_factory=list)
    results: tuple[Var, ...] = ()

    def __repr__(self) -> str:
        return "\n".join(_lines(self, _Names(), ""))


@dataclass(eq=False)
class Program:
    """A traced function: its block, the lane axis of each parameter and result, and the closed-over tensors.

    The parameters are the arguments' tensors and then the captures. `in_dims` and `out_dims` are None without an
    outermost vmap; an entry None there is a tensor that all lanes share. `varying` are the values that differ between
    lanes; `passes.run` sets it. `fixed` holds the values of captures that the trace has read, None for the others.
    """

    block: Block
    in_dims: tuple[int | None, ...] | None = None
    out_dims: tuple[int | None, ...] | None = None
    captures: tuple[Tensor, ...] = ()
    fixed: tuple[Tensor | None, ...] = ()
    chunk_size: int | None = None
    varying: frozenset[Var] = frozenset()

    def __repr__(self) -> str:
        return repr(self.block)


def inputs(op: Apply | Scan) -> Iterator[Var]:
    """Yield the values that an operation reads, including those that its body reads from outside; some repeatedly."""
    if isinstance(op, Apply):
        yield from variables((op.args, tuple(op.kwargs.values())))
    else:
        yield from variables((op.init, op.xs))
        yield from free(op.body)


def has_effect(op: Apply | Scan) -> bool:
    """Tell whether an operation is a check, or a loop that contains one."""
    return any(map(has_effect, op.body.ops)) if isinstance(op, Scan) else not op.outputs


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


def walk(block: Block) -> Iterator[Apply | Scan]:
    """Yield every operation of a block, including those in the bodies of its scans."""
    for op in block.ops:
        yield op
        if isinstance(op, Scan):
            yield from walk(op.body)


class _Names(dict[Var, str]):
    """Short names in the order in which values first appear."""

    def __missing__(self, var: Var) -> str:
        self[var] = f"v{len(self)}"
        return self[var]


def _lines(block: Block, names: _Names, indent: str) -> Iterator[str]:
    yield f"{indent}({', '.join(_typed(var, names) for var in block.params)}) ->"
    for op in block.ops:
        lines = _apply_lines(op, names) if isinstance(op, Apply) else _scan_lines(op, names)
        yield from (f"{indent}  {line}" for line in lines)
    yield f"{indent}  return {_show(block.results, names)}"


def _apply_lines(op: Apply, names: _Names) -> Iterator[str]:
    arguments = [_show(arg, names) for arg in op.args] + [f"{k}={_show(v, names)}" for k, v in op.kwargs.items()]
    outputs = ", ".join(_typed(var, names) for var in op.outputs)
    target = str(op.target).removesuffix(".default")
    yield f"{outputs}{' = ' if outputs else ''}{target}({', '.join(arguments)})"


def _scan_lines(op: Scan, names: _Names) -> Iterator[str]:
    outputs = ", ".join(_typed(var, names) for var in op.outputs)
    yield f"{outputs} = scan length={op.length} init={_show(op.init, names)} xs={_show(op.xs, names)}"
    yield from _lines(op.body, names, "  ")


def _typed(var: Var, names: _Names) -> str:
    return f"{names[var]}: {str(var.dtype).removeprefix('torch.')}{list(var.shape)}"


def _show(value: Any, names: _Names) -> str:
    if isinstance(value, Var):
        return names[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_show(item, names) for item in value)}]"
    return repr(value).removeprefix("torch.")
