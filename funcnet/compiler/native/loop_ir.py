"""The loop-level representation: buffers, strided views of them, and statements that run over index ranges.

A value is varying if it differs between the lanes of an ensemble: the C writer makes its elements vectors of lanes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import torch

from funcnet.compiler.native.buffers import Buffer, Counter, View
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.control import Break, Case, Check, Failure, Repeat, TorchCall
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.program import Apply


@dataclass(frozen=True)
class Const:
    """A number, the same at every index, converted to its dtype as the elements of a tensor are."""

    value: bool | int | float
    dtype: torch.dtype
    varying: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _converted(self.value, self.dtype))


def _converted(value: bool | int | float, dtype: torch.dtype) -> bool | int | float:
    if dtype == torch.bool:
        return bool(value)
    if dtype.is_floating_point:
        return float(value) if dtype == torch.float64 else torch.tensor(value, dtype=dtype, device="cpu").item()
    if isinstance(value, float):
        value = int(torch.tensor(value, dtype=torch.float64, device="cpu").to(torch.int64).item())
    least, count = torch.iinfo(dtype).min, 1 << torch.iinfo(dtype).bits
    return (int(value) - least) % count + least


@dataclass(frozen=True)
class Index:
    """The loop index of one axis of the nest, an int64."""

    axis: int
    dtype: torch.dtype = torch.int64
    varying: bool = False


@dataclass(eq=False)
class Node:
    """A scalar computed once per iteration of its nest."""

    op: str
    args: "tuple[Operand, ...]"
    dtype: torch.dtype
    varying: bool


@dataclass(eq=False)
class Gather(Node):
    """The element of a view at computed indices, one argument per axis; an index out of range sets the error flag.

    If all are known to be within their axes and not negative, they are not checked.
    """

    view: View
    is_within: bool = False


Operand = Node | View | Const | Index


@dataclass(eq=False)
class Store:
    """view[index] = value."""

    view: View
    value: Operand


@dataclass(eq=False)
class Accumulate:
    """view[index] = view[index] op value from identity on; the view repeats elements along the reduced axes.

    A long sum whose inner axes are kept has scratch for the sums of one block and for the rounding errors.
    """

    view: View
    value: Operand
    op: str
    identity: Const
    scratch: tuple[View, View] | None = None


@dataclass(eq=False)
class Scatter:
    """view[indices] = value, or `op` of both: in the order of the indices, so that the last write wins."""

    view: View
    indices: tuple[Operand, ...]
    value: Operand
    op: str | None  # a primitive of two operands; None: write the value


Part = Node | Store | Accumulate | Scatter


@dataclass(eq=False)
class Nest:
    """Loops over a shape around one fused body."""

    shape: tuple[int, ...]
    body: list[Part] = field(default_factory=list)
    sequential: bool = False


@dataclass(eq=False)
class Cumulate:
    """out[…, i, …] = source[…, 0, …] op … op source[…, i, …] along one axis."""

    out: View
    source: View
    axis: int
    op: str


@dataclass(eq=False)
class Sort:
    """values = source sorted along one axis from `first` on, stable, NaN as the largest; indices are the old positions.

    Keys and order are scratch of twice the length of one line.
    """

    values: View
    indices: View
    source: View
    axis: int
    descending: bool
    keys: View
    order: View
    first: int = 0


@dataclass(eq=False)
class Loop:
    """The loop of a scan, a few steps unrolled, or one over the strips or rows of nests."""

    counter: Counter
    unroll: int = 1
    body: "list[Statement]" = field(default_factory=list)


@dataclass(eq=False)
class Section:
    """Statements that become a C function; sections with the same text share one.

    With a counter they run once per value of it, in any order: the threads of a run share them.
    """

    body: "list[Statement]" = field(default_factory=list)
    counter: Counter | None = None


Statement = Nest | Contract | Cumulate | Sort | TorchCall | Routine | Check | Break | Loop | Repeat | Case | Section


@dataclass(eq=False)
class LoopProgram:
    """A lowered program: arguments, results, statements, messages of its checks, and operations that torch computes."""

    inputs: list[Buffer]
    shapes: list[tuple[int, ...]]
    outputs: list[Buffer]
    statements: list[Statement]
    lanes: bool
    messages: list[str | Failure] = field(default_factory=list)
    calls: list[Apply] = field(default_factory=list)

    @property
    def repeats(self) -> bool:
        """Whether there is a loop with a condition, whose number of steps is unknown."""
        return _repeats(self.statements)


def _repeats(statements: Sequence[Statement]) -> bool:
    return any(
        isinstance(statement, Repeat) or (isinstance(statement, Loop | Case | Section) and _repeats(statement.body))
        for statement in statements
    )


def never(value: NoReturn) -> NoReturn:
    """Raise for a kind of statement or part that a match does not handle; mypy reports it, too."""
    raise AssertionError(f"no case for {type(value).__name__}")


def rewrite(program: LoopProgram, f: Callable[[Statement], Iterable[Statement]]) -> LoopProgram:
    """Replace each statement by those that f returns for it; for one with a body, replace those inside."""

    def rewritten(statements: Sequence[Statement]) -> Iterator[Statement]:
        for statement in statements:
            match statement:
                case Loop() | Repeat() | Case() | Section():
                    yield replace(statement, body=[*rewritten(statement.body)])
                case Nest() | Contract() | Cumulate() | Sort() | TorchCall() | Routine() | Check() | Break():
                    yield from f(statement)
                case _:
                    never(statement)

    return replace(program, statements=[*rewritten(program.statements)])


def reads(statement: Statement) -> Iterator[View]:
    """Yield the views that a statement reads, including those in its body."""
    match statement:
        case Nest():
            yield from (view for part in statement.body for view in sources(part))
        case Contract(_, left, right):
            yield from (left, right)
        case Cumulate(_, view) | Sort(_, _, view) | Check(view) | Break(view):
            yield view
        case TorchCall():
            yield from statement.inputs
        case Routine():
            yield from (statement.matrix, *statement.operands)
        case Loop() | Repeat() | Case() | Section():
            yield from (statement.view,) if isinstance(statement, Case) else ()
            yield from (view for inner in statement.body for view in reads(inner))
        case _:
            never(statement)


def writes(statement: Statement) -> Iterator[View]:
    """Yield the views that a statement writes, including those in its body."""
    match statement:
        case Nest():
            yield from (view for part in statement.body if (view := written(part)) is not None)
        case Contract():
            yield from (view for view in (statement.out, statement.panel) if view is not None)
        case Cumulate():
            yield statement.out
        case Sort():
            yield from (statement.values, statement.indices, statement.keys, statement.order)
        case TorchCall():
            yield from statement.outputs
        case Routine():
            yield from (statement.matrix, *statement.results)
        case Check() | Break():
            pass
        case Loop() | Repeat() | Case() | Section():
            yield from (view for inner in statement.body for view in writes(inner))
        case _:
            never(statement)


def scratch(statement: Statement) -> Iterator[View]:
    """Yield the scratch of long sums and of LAPACK, including that of statements in the body."""
    match statement:
        case Nest():
            yield from (view for part in statement.body if isinstance(part, Accumulate) for view in part.scratch or ())
        case Routine():
            yield from (*statement.work, *statement.copies)
        case Contract() | Cumulate() | Sort() | TorchCall() | Check() | Break():
            pass
        case Loop() | Repeat() | Case() | Section():
            yield from (view for inner in statement.body for view in scratch(inner))
        case _:
            never(statement)


def operands(part: Part) -> tuple[Operand, ...]:
    """Return the operands of one part of a nest's body."""
    match part:
        case Node():
            return part.args
        case Store() | Accumulate():
            return (part.value,)
        case Scatter():
            return (part.value, *part.indices)
        case _:
            never(part)


def sources(part: Part) -> list[View]:
    """List the views that one part of a nest's body reads."""
    found = [value for value in operands(part) if isinstance(value, View)]
    return [*found, part.view] if isinstance(part, Gather | Accumulate) else found


def written(part: Part) -> View | None:
    """Return the view that one part of a nest's body writes, if any."""
    match part:
        case Node():
            return None
        case Store() | Accumulate() | Scatter():
            return part.view
        case _:
            never(part)
