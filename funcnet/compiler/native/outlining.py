"""Outlining: the statements of a large kernel become C functions, because C compilers are superlinear in their size.

Repeated layers, unrolled steps and leaves of one shape give sections with the same text, which are compiled once. The
kernels of small networks take nanoseconds, so they stay one function.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.control import Break, Case, Check, Repeat, TorchCall
from funcnet.compiler.native.loop_ir import Cumulate, Loop, LoopProgram, Nest, Section, Sort, Statement, never, operands
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.native.target import Target

_TILES, _CALL = 100, 20  # lines of a product, and of other statements


def outline(program: LoopProgram, target: Target) -> LoopProgram:
    """Divide the statements of a large kernel into sections."""
    if lines(program.statements, target) <= target.inline:
        return program
    return replace(program, statements=[*_divided(program.statements, target)])


def _divided(statements: Sequence[Statement], target: Target) -> Iterator[Statement]:
    """Put neighbouring small statements into one section, and large ones except loops into sections of their own."""
    section, size = Section(), 0
    for statement in statements:
        count = lines([statement], target)
        is_alone = isinstance(statement, Break | Section)  # C leaves a loop from the function of the loop only
        is_open = isinstance(statement, Loop | Repeat | Case) and (count > target.section or _has_sections(statement))
        if section.body and (size + count > target.section or is_alone or is_open):
            yield section
            section, size = Section(), 0
        if is_alone:
            yield statement
        elif isinstance(statement, Loop | Repeat | Case) and is_open:
            yield replace(statement, body=[*_divided(statement.body, target)])
        else:
            section.body.append(statement)
            size += count
    if section.body:
        yield section


def _has_sections(statement: Statement) -> bool:
    """Tell whether there is a section in a statement, whose function cannot be called from another section."""
    if isinstance(statement, Loop | Repeat | Case):
        return any(map(_has_sections, statement.body))
    return isinstance(statement, Section)


def outermost(statements: Sequence[Statement]) -> Iterator[Loop]:
    """Yield the loops of scans that are not inside another one."""
    for statement in statements:
        if isinstance(statement, Loop):
            if statement.counter.is_step:
                yield statement
        elif isinstance(statement, Section):
            yield from outermost(statement.body)


def lines(statements: Sequence[Statement], target: Target) -> int:
    """Estimate the number of lines of statements in C."""
    total = 0
    for statement in statements:
        match statement:
            case Nest():
                count = math.prod(statement.shape)
                total += 4 + _body(statement) * (count if count <= target.unroll else 1)
            case Contract():
                count = statement.multiplications
                total += count if count <= target.tiny_product else _CALL if statement.method is Method.BLAS else _TILES
            case Cumulate() | Sort() | TorchCall() | Routine():
                total += _CALL
            case Check() | Break():
                total += 1
            case Loop() | Repeat() | Case() | Section():
                total += 3 + lines(statement.body, target)
            case _:
                never(statement)
    return total


def _body(nest: Nest) -> int:
    """Count the operations and loads of the body of a nest."""
    loaded = {operand for part in nest.body for operand in operands(part) if isinstance(operand, View)}
    return len(nest.body) + len(loaded)
