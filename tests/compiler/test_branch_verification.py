"""Branches and loops with a condition are verified between passes: each injected error is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from stages import loops
from torch import Tensor

import funcnet as fn
from funcnet.compiler import passes, verification
from funcnet.compiler.errors import InternalError
from funcnet.compiler.native.control import Break, Case, Repeat
from funcnet.compiler.native.loop_ir import LoopProgram
from funcnet.compiler.native.verification import verify as verify_loops
from funcnet.compiler.program import Program, Switch, Var, While
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

X, Y = torch.ones(3, 4), torch.ones(4)


def branching(tensors: list[Tensor]) -> list[Tensor]:
    """Return the results of a branch and of a loop with a condition."""
    x, y = tensors
    chosen = fn.cond(x.sum() > 0, lambda: y.exp(), lambda: y * 2)
    return [chosen, fn.while_loop(lambda c: c.sum() < 9, lambda c: c + y.sin(), chosen * y)]


def found_by(found: Program, kind: type) -> Any:
    (only,) = (op for op in found.block.ops if isinstance(op, kind))
    return only


def swap_an_index(found: Program) -> None:
    found_by(found, Switch).index = found.block.params[1]


def lose_a_result_of_a_branch(found: Program) -> None:
    found_by(found, Switch).branches[1].results = ()


def read_from_the_other_branch(found: Program) -> None:
    first, second = found_by(found, Switch).branches
    second.results = first.results


def give_a_branch_a_parameter(found: Program) -> None:
    found_by(found, Switch).branches[0].params = (Var((), torch.float32, torch.device("cpu")),)


def check_by_a_vector(found: Program) -> None:
    loop = found_by(found, While)
    loop.test.results = loop.test.params


def lose_a_new_carry(found: Program) -> None:
    found_by(found, While).body.results = ()


def lose_a_carry_of_the_test(found: Program) -> None:
    loop = found_by(found, While)
    loop.test.params, loop.test.ops, loop.test.results = (), [], (found_by(found, Switch).index,)


BRANCH_FAULTS: dict[Callable[[Program], None], str] = {
    swap_an_index: "the index of a switch is not a 0-d bool or int64",
    lose_a_result_of_a_branch: "a result of branch 1 of a switch has another shape or dtype",
    read_from_the_other_branch: "a switch reads a value that is not in scope",
    give_a_branch_a_parameter: "a branch of a switch has parameters",
    check_by_a_vector: "the test of a while is not a 0-d bool",
    lose_a_new_carry: "a new carry of a while has another shape or dtype",
    lose_a_carry_of_the_test: "a carry of the test of a while has another shape or dtype",
}


@pytest.mark.parametrize("fault", BRANCH_FAULTS, ids=lambda fault: fault.__name__)
def test_an_error_in_a_branch_is_found(fault: Callable[[Program], None]) -> None:
    broken = passes.run(trace(branching, [spec_of(X), spec_of(Y)]))
    verification.verify(broken)
    fault(broken)
    with pytest.raises(InternalError, match=BRANCH_FAULTS[fault]):
        verification.verify(broken)


def choose_by_lanes(found: LoopProgram) -> None:
    case = next(statement for statement in found.statements if isinstance(statement, Case))
    case.view = replace(case.view, buffer=replace(case.view.buffer, varying=True))


def choose_outside(found: LoopProgram) -> None:
    case = next(statement for statement in found.statements if isinstance(statement, Case))
    case.view = replace(case.view, offset=1)


def leave_by_an_unknown(found: LoopProgram) -> None:
    repeat = next(statement for statement in found.statements if isinstance(statement, Repeat))
    leave = next(statement for statement in repeat.body if isinstance(statement, Break))
    leave.view = replace(leave.view, buffer=replace(leave.view.buffer))


@pytest.mark.parametrize(
    "fault, message",
    [
        (choose_by_lanes, "a Case depends on an element that varies between lanes"),
        (choose_outside, "a Check has indices 1 to 1 in a buffer of 1"),
        (leave_by_an_unknown, "a Break reads a temporary of .* that is not written yet"),
    ],
)
def test_an_error_in_branches_of_loops_is_found(fault: Callable[[LoopProgram], None], message: str) -> None:
    broken = loops(trace(branching, [spec_of(X), spec_of(Y)]))
    verify_loops(broken)
    fault(broken)
    with pytest.raises(InternalError, match=message):
        verify_loops(broken)
