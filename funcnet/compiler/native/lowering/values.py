"""Values during lowering (in memory, inside a nest, or one number), and `Emit`, which appends nodes to a nest."""

from dataclasses import dataclass, field

import torch

from funcnet.compiler.errors import InternalError
from funcnet.compiler.native.buffers import HALVES, Buffer, View
from funcnet.compiler.native.c.primitives import Kind, find
from funcnet.compiler.native.loop_ir import Const, Nest, Node, Operand, Statement

Number = bool | int | float


@dataclass(eq=False)
class Scope:
    """The statements of one block so far, and the position of the statement that completes each buffer.

    Positions of statements, and of the last nest of each shape that more operations may join, are kept in tables.
    """

    statements: list[Statement] = field(default_factory=list)
    ready: dict[Buffer, int] = field(default_factory=dict)
    positions: dict[Statement, int] = field(default_factory=dict)
    last: dict[tuple[int, ...], Nest] = field(default_factory=dict)

    def add(self, statement: Statement, *written: View) -> None:
        self.positions[statement] = len(self.statements)
        self.statements.append(statement)
        if isinstance(statement, Nest) and not statement.sequential:
            self.last[statement.shape] = statement
        self.ready.update({view.buffer: len(self.statements) - 1 for view in written})


@dataclass(eq=False)
class Pending:
    """A value inside a nest that has no memory yet."""

    node: Operand
    nest: Nest
    scope: Scope
    view: View | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.nest.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.node.dtype


@dataclass(frozen=True)
class Splat:
    """One number at every index of a shape."""

    const: Const
    shape: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        return self.const.dtype


Value = View | Pending | Splat


def varies(value: Value) -> bool:
    """Tell whether a value differs between lanes."""
    if isinstance(value, Splat):
        return False
    return value.varying if isinstance(value, View) else value.node.varying


def inside(value: Value, nest: Statement) -> bool:
    """Tell whether a nest computes a value."""
    return isinstance(value, Pending) and value.nest is nest


class Emit:
    """Appends nodes to a nest: emit("mul", a, b) computes in the dtype of the operands that are not numbers."""

    def __init__(self, nest: Nest):
        self.nest = nest

    def __call__(self, op: str, *args: Operand | Number, dtype: torch.dtype | None = None) -> Node:
        row = find(op)
        if len(args) != row.arity:
            raise InternalError(f"the primitive {op} takes {row.arity} operands, got {len(args)}")
        kinds = (arg.dtype for arg in args[op == "where" :] if not isinstance(arg, Number))
        kind = next(kinds, torch.float32)
        operands = tuple(Const(arg, kind) if isinstance(arg, Number) else arg for arg in args)
        result = torch.bool if row.kind is Kind.COMPARISON else dtype or kind
        return self.append(Node(op, operands, result, any(arg.varying for arg in operands)))

    def append(self, node: Node) -> Node:
        self.nest.body.append(node)
        return node

    def cast(self, value: Operand | Number, dtype: torch.dtype) -> Operand:
        """Convert to a dtype; in `where` of two numbers, the numbers are converted."""
        if isinstance(value, Number):
            return Const(value, dtype)
        if value.dtype == dtype:
            return value
        if (
            not isinstance(value, Const)
            and torch.float32 not in (value.dtype, dtype)
            and {value.dtype, dtype} & {*HALVES}
        ):
            return self.cast(self.cast(value, torch.float32), dtype)
        if isinstance(value, Const):
            return Const(value.value, dtype)
        if dtype in HALVES and isinstance(value, Node) and value.op == "cast" and value.args[0].dtype == dtype:
            return value.args[0]  # converted to float32 and back
        if isinstance(value, Node) and value.op == "where" and all(isinstance(arm, Const) for arm in value.args[1:]):
            return self("where", value.args[0], *(self.cast(arm, dtype) for arm in value.args[1:]), dtype=dtype)
        return self("cast", value, dtype=dtype)
