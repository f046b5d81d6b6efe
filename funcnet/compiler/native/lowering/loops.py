"""Rules of loops and branches: their blocks become statements inside statements."""

from collections.abc import Sequence
from dataclasses import replace

from funcnet.compiler.native.buffers import Buffer, Counter, View
from funcnet.compiler.native.control import Break, Case, Repeat
from funcnet.compiler.native.loop_ir import Gather, Loop, Nest, Statement, Store, reads
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Pending, Value
from funcnet.compiler.program import Block, Scan, Switch, Var, While


def _scan(lowering: Lowering, op: Scan) -> list[Value]:
    count, values = len(op.init), lowering.values
    carries = [_carry(lowering, start, var) for start, var in zip(op.init, op.body.params[:count], strict=True)]
    sources = [lowering.view(values[var]) for var in op.xs]
    loop = Loop(Counter(op.length), op.unroll)
    for var, source in zip(op.body.params[count:], sources, strict=True):
        steps = (*source.steps, (loop.counter, source.strides[0]))
        values[var] = View(source.buffer, source.shape[1:], source.strides[1:], source.offset, steps)
    stacks = [_memory(lowering, var) for var in op.outputs[count:]]
    with lowering.inside(loop.body):
        _lower(lowering, op.body)
        for var, stack in zip(op.body.results[count:], stacks, strict=True):
            steps = ((loop.counter, stack.strides[0]),)
            lowering.store(replace(stack, shape=stack.shape[1:], strides=stack.strides[1:], steps=steps), values[var])
        _advance(lowering, carries, [values[var] for var in op.body.results[:count]])
    lowering.scope.add(loop, *carries, *stacks)
    return [*carries, *stacks]


def _switch(lowering: Lowering, op: Switch) -> list[Value]:
    index = lowering.view(lowering.values[op.index])
    outputs = [_memory(lowering, var) for var in op.outputs]
    cases = [Case(index, i) for i in range(len(op.branches))]
    for case, branch in zip(cases, op.branches, strict=True):
        with lowering.inside(case.body):
            _lower(lowering, branch)
            for var, out in zip(branch.results, outputs, strict=True):
                lowering.store(out, lowering.values[var])
    for case in cases:
        lowering.scope.add(case, *outputs)
    return [*outputs]


def _while(lowering: Lowering, op: While) -> list[Value]:
    carries = [_carry(lowering, start, var) for start, var in zip(op.init, op.body.params, strict=True)]
    lowering.values.update(zip(op.test.params, carries, strict=True))
    loop = Repeat()
    with lowering.inside(loop.body):
        _lower(lowering, op.test)
        lowering.scope.add(Break(lowering.view(lowering.values[op.test.results[0]])))
        lowering.scope.last.clear()  # an operation of the body must not join a nest of the test
        _lower(lowering, op.body)
        _advance(lowering, carries, [lowering.values[var] for var in op.body.results])
    lowering.scope.add(loop, *carries)
    return [*carries]


def _lower(lowering: Lowering, block: Block) -> None:
    for op in block.ops:
        lowering.lower(op)


def _memory(lowering: Lowering, var: Var) -> View:
    """Return the memory of an output: that of a result, unless it repeats a shared value in all lanes."""
    varying, result = var in lowering.program.varying, lowering.destination.get(var)
    if result is not None and result.varying == varying:
        return result
    return lowering.temporary(var.shape, var.dtype, varying)


def _carry(lowering: Lowering, start: Var, var: Var) -> View:
    lowering.values[var] = carry = lowering.temporary(var.shape, var.dtype, var in lowering.program.varying)
    lowering.store(carry, lowering.values[start])
    return carry


def _advance(lowering: Lowering, carries: list[View], values: list[Value]) -> None:
    """Overwrite the old carries by the new ones: in place if nothing reads the old one later, else at the end."""
    moved = [(carry, value) for carry, value in zip(carries, values, strict=True) if value is not carry]
    buffers = {carry.buffer for carry in carries}
    settled = [
        (carry, value if isinstance(value, Pending) else _safe(lowering, value, buffers)) for carry, value in moved
    ]
    readers = _readers(lowering.scope.statements, buffers)
    for carry, value in settled:
        if isinstance(value, Pending) and _in_place(lowering, carry, value, readers[carry.buffer]):
            value.nest.body.append(Store(carry, value.node))
        else:
            lowering.scope.add(Nest(carry.shape, [Store(carry, lowering.view(value))]), carry)


def _safe(lowering: Lowering, value: Value, carries: set[Buffer]) -> View:
    """Return a value in memory that no carry overwrites."""
    view = lowering.view(value)
    if view.buffer not in carries:
        return view
    copy = lowering.temporary(view.shape, view.dtype, view.varying)
    lowering.scope.add(Nest(view.shape, [Store(copy, view)]), copy)
    return copy


def _readers(statements: Sequence[Statement], buffers: set[Buffer]) -> dict[Buffer, list[tuple[int, View | None]]]:
    """Collect the positions of the statements that read some buffers, and the views; None is a read at indices."""
    found: dict[Buffer, list[tuple[int, View | None]]] = {buffer: [] for buffer in buffers}
    for position, statement in enumerate(statements):
        gathered = statement.body if isinstance(statement, Nest) else ()
        for part in gathered:
            if isinstance(part, Gather) and part.view.buffer in buffers:
                found[part.view.buffer].append((position, None))
        for view in reads(statement):
            if view.buffer in buffers:
                found[view.buffer].append((position, view))
    return found


def _in_place(lowering: Lowering, carry: View, value: Pending, readers: Sequence[tuple[int, View | None]]) -> bool:
    """Tell whether a nest may overwrite an old carry by the new one: other elements of the old one are not read."""
    if value.scope is not lowering.scope:
        return False
    position = lowering.scope.positions[value.nest]
    return all(at < position or (at == position and view == carry) for at, view in readers)


RULES: dict[str, Rule] = {"Scan": _scan, "Switch": _switch, "While": _while}
