"""Remove what nothing reads, such as the indices of a running maximum of which only the values are used.

An operation with several results is one in the program, where dead code elimination keeps it if any result is used.
"""

from dataclasses import replace

from funcnet.compiler.native.buffers import Buffer, View
from funcnet.compiler.native.loop_ir import (
    Cumulate,
    Gather,
    LoopProgram,
    Nest,
    Node,
    Operand,
    Part,
    Statement,
    Store,
    operands,
    reads,
    rewrite,
)

_FAILING = ("quotient", "floordiv", "remainder", "fmod")  # operations that report a division by zero


def remove(program: LoopProgram) -> LoopProgram:
    """Remove stores and running reductions to temporaries that nothing reads, and then what only they read."""
    read = {view.buffer for statement in program.statements for view in reads(statement)}
    found = rewrite(program, lambda statement: _kept(statement, read))
    left = {view.buffer for statement in found.statements for view in reads(statement)}
    return found if left == read else remove(found)


def _kept(statement: Statement, read: set[Buffer]) -> list[Statement]:
    if isinstance(statement, Cumulate):
        return [] if _is_unread(statement.out, read) else [statement]
    if not isinstance(statement, Nest):
        return [statement]
    body = _used([part for part in statement.body if not (isinstance(part, Store) and _is_unread(part.view, read))])
    if len(body) == len(statement.body):
        return [statement]
    return [replace(statement, body=body)] if body else []


def _is_unread(view: View, read: set[Buffer]) -> bool:
    return view.buffer.kind == "temporary" and view.buffer not in read


def _used(body: list[Part]) -> list[Part]:
    """Remove the nodes of a body that no other part uses, unless they may report an error."""
    needed, kept = set[Operand](), list[Part]()
    for part in reversed(body):
        if not isinstance(part, Node) or part in needed or isinstance(part, Gather) or part.op in _FAILING:
            needed.update(operands(part))
            kept.append(part)
    return kept[::-1]
