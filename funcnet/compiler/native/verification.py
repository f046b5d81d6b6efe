"""Check a loop program between stages: indices are inside their buffers, values are written before they are read."""

from collections.abc import Iterator, Sequence

from funcnet.compiler.errors import InternalError
from funcnet.compiler.native.buffers import Buffer, Counter, View
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.control import Break, Case, Check, Repeat, TorchCall
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Cumulate,
    Gather,
    Index,
    Loop,
    LoopProgram,
    Nest,
    Node,
    Operand,
    Part,
    Scatter,
    Section,
    Sort,
    Statement,
    Store,
    never,
    operands,
    reads,
    scratch,
    writes,
    written,
)
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.verification import VERIFYING


def checked(program: LoopProgram) -> LoopProgram:
    """Return a loop program, verified if the tests ask for it."""
    if VERIFYING:
        verify(program)
    return program


def verify(program: LoopProgram) -> None:
    """Check a loop program.

    Raises:
        InternalError: A stage has broken it; the message says where.
    """
    verifier = _Verifier(set(program.inputs))
    verifier.statements(program.statements, ())
    for buffer in program.outputs:
        if buffer.size and buffer not in verifier.ready:
            raise InternalError(f"result {buffer.position} is never written")


class _Verifier:
    """Visits the statements in order; `ready` holds the buffers that have been written."""

    def __init__(self, inputs: set[Buffer]) -> None:
        self.inputs, self.ready = inputs, set(inputs)

    def statements(self, statements: Sequence[Statement], counters: tuple[Counter, ...]) -> None:
        for statement in statements:
            match statement:
                case Loop():
                    self.statements(statement.body, (*counters, statement.counter))
                case Case():
                    if statement.view.varying:
                        raise InternalError("a Case depends on an element that varies between lanes")
                    self.access(Check(statement.view, 0), counters)
                    self.statements(statement.body, counters)
                case Section(body, counter):
                    self.statements(body, (*counters, counter) if counter else counters)
                case Repeat():
                    self.statements(statement.body, counters)
                case Nest():
                    _check_body(statement)
                    self.access(statement, counters)
                case TorchCall():
                    _check_call(statement)
                    self.access(statement, counters)
                case Contract() | Cumulate() | Sort() | Routine() | Check() | Break():
                    self.access(statement, counters)
                case _:
                    never(statement)

    def access(self, statement: Statement, counters: tuple[Counter, ...]) -> None:
        """Check the views of a statement, and mark the buffers that it writes as ready."""
        kind, own = type(statement).__name__, _started(statement)
        for view in (*reads(statement), *writes(statement), *scratch(statement)):
            _check_inside(view, counters, kind)
        for view in reads(statement):
            if view.buffer.size and view.buffer not in self.ready and view.buffer not in own:
                raise InternalError(f"a {kind} reads a {view.buffer.kind} of {view.shape} that is not written yet")
        for view in writes(statement):
            if view.buffer in self.inputs:
                raise InternalError(f"a {kind} writes to argument {view.buffer.position}")
            self.ready.add(view.buffer)


def _started(statement: Statement) -> set[Buffer]:
    """Collect the buffers that a nest initialises before it reads them: those of reductions and of some stores."""
    if not isinstance(statement, Nest):
        return set()
    reduced = {part.view.buffer for part in statement.body if isinstance(part, Accumulate)}
    found, late = set[Buffer](), set[Buffer]()
    for part in statement.body:
        late |= {view.buffer for view in _loaded(part) if view.buffer not in found}
        if isinstance(part, Store):
            found.add(part.view.buffer)
    return reduced | (found - late)


def _loaded(part: Part) -> Iterator[View]:
    yield from (value for value in operands(part) if isinstance(value, View))
    if isinstance(part, Gather):
        yield part.view


def _check_inside(view: View, counters: tuple[Counter, ...], kind: str) -> None:
    """Check the smallest and the largest index of a view, over all steps of the loops around it."""
    if len(view.shape) != len(view.strides):
        raise InternalError(f"a {kind} has a view of {view.shape} with strides {view.strides}")
    for counter, _ in view.steps:
        if counter not in counters:
            raise InternalError(f"a {kind} counts by a loop that is not around it")
    ranges = [*zip(view.shape, view.strides, strict=True), *((counter.length, step) for counter, step in view.steps)]
    if all(size for size, _ in ranges):
        ends = [(size - 1) * stride for size, stride in ranges]
        least, most = (view.offset + sum(pick(end, 0) for end in ends) for pick in (min, max))
        if least < 0 or most >= view.buffer.size:
            raise InternalError(f"a {kind} has indices {least} to {most} in a buffer of {view.buffer.size}")


def _check_call(call: TorchCall) -> None:
    for view in (*call.inputs, *call.outputs):
        if view.varying or not view.is_dense:
            raise InternalError(f"a TorchCall has a varying or strided view of {view.shape}, strides {view.strides}")


def _check_body(nest: Nest) -> None:
    """Check that the body of a nest computes nodes before it reads them, and that shapes and dtypes match."""
    known = set[Node]()
    for part in nest.body:
        for operand in operands(part):
            _check_operand(operand, nest, known)
        view = written(part)
        if isinstance(part, Node):
            known.add(part)
        elif view is not None and isinstance(part, Store | Accumulate | Scatter):
            _check_target(view, part, nest)
        if isinstance(part, Gather) and len(part.args) != len(part.view.shape):
            raise InternalError(f"a Gather has {len(part.args)} indices for a view of {part.view.shape}")


def _check_operand(operand: Operand, nest: Nest, known: set[Node]) -> None:
    if isinstance(operand, Node) and operand not in known:
        raise InternalError(f"a Nest reads {operand.op} before it is computed")
    if isinstance(operand, View) and operand.shape != nest.shape:
        raise InternalError(f"a Nest over {nest.shape} reads a view of {operand.shape}")
    if isinstance(operand, Index) and operand.axis >= len(nest.shape):
        raise InternalError(f"a Nest over {nest.shape} has an index of axis {operand.axis}")


def _check_target(view: View, part: Store | Accumulate | Scatter, nest: Nest) -> None:
    kind = type(part).__name__
    if not isinstance(part, Scatter) and view.shape != nest.shape:
        raise InternalError(f"a {kind} in a Nest over {nest.shape} writes to a view of {view.shape}")
    if part.value.dtype != view.dtype:
        raise InternalError(f"a {kind} writes {part.value.dtype} to a view of {view.dtype}")
    if part.value.varying and not view.varying:
        raise InternalError(f"a {kind} writes a varying value to a shared buffer")
