"""Estimate the time of statements."""

import math
from collections.abc import Callable, Sequence

from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.control import Break, Case, Check, Repeat, TorchCall
from funcnet.compiler.native.loop_ir import Cumulate, Loop, Nest, Section, Sort, Statement, never
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.native.target import Target

Simple = Nest | Contract | Cumulate | Sort | TorchCall | Routine | Check | Break


def work(statements: Sequence[Statement], target: Target) -> int:
    """Estimate the number of scalar operations of statements; an operation on all lanes counts once."""
    return int(total(statements, target, lambda statement: operations(statement, target)))


def total(statements: Sequence[Statement], target: Target, price: Callable[[Simple], float]) -> float:
    """Return the sum of the prices of statements; those in the body of a loop count once per step."""
    found = 0.0
    for statement in statements:
        match statement:
            case Loop():
                found += statement.counter.length * total(statement.body, target, price)
            case Repeat():
                found += target.steps * total(statement.body, target, price)
            case Case():
                found += total(statement.body, target, price)
            case Section(body, counter):
                found += (counter.length if counter else 1) * total(body, target, price)
            case Nest() | Contract() | Cumulate() | Sort() | TorchCall() | Routine() | Check() | Break():
                found += price(statement)
            case _:
                never(statement)
    return found


def operations(statement: Simple, target: Target) -> int:
    """Estimate the number of scalar operations of one statement."""
    if isinstance(statement, Nest):
        return math.prod(statement.shape) * len(statement.body)
    if isinstance(statement, Routine):
        return statement.multiplications
    if isinstance(statement, Contract):
        count = statement.multiplications
        return count if statement.method is Method.TILES else count // target.product_speed
    if isinstance(statement, Sort):
        return math.prod(statement.source.shape) * statement.keys.shape[0].bit_length()
    if isinstance(statement, TorchCall):
        views = (*statement.inputs, *statement.outputs)
        return target.call + target.per_element * sum(math.prod(view.shape) for view in views)
    return math.prod(statement.out.shape) if isinstance(statement, Cumulate) else 1
