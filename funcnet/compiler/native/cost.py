"""Estimate the time of statements: a long run is worth threads."""

import math
from collections.abc import Sequence

from funcnet.compiler.native.control import Break, Case, Check, Repeat
from funcnet.compiler.native.loop_ir import (
    Contract,
    Cumulate,
    Loop,
    Method,
    Nest,
    Section,
    Sort,
    Statement,
    never,
)
from funcnet.compiler.native.target import Target


def work(statements: Sequence[Statement], target: Target) -> int:
    """Estimate the number of scalar operations of statements; an operation on all lanes counts once."""
    total = 0
    for statement in statements:
        match statement:
            case Nest():
                total += math.prod(statement.shape) * len(statement.body)
            case Contract():
                count = math.prod(statement.out.shape) * statement.left.shape[-1]
                total += count if statement.method is Method.TILES else count // target.product_speed
            case Cumulate():
                total += math.prod(statement.out.shape)
            case Sort():
                total += math.prod(statement.source.shape) * statement.keys.shape[0].bit_length()
            case Check() | Break():
                total += 1
            case Loop():
                total += statement.counter.length * work(statement.body, target)
            case Repeat():
                total += target.steps * work(statement.body, target)
            case Case() | Section():
                total += work(statement.body, target)
            case _:
                never(statement)
    return total
