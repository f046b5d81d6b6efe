"""Programs and loop programs are verified between passes: each injected error is found after its pass."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from stages import loops, text
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit, passes, verification
from funcnet.compiler.errors import InternalError
from funcnet.compiler.native import backend, fission
from funcnet.compiler.native.buffers import Counter
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.loop_ir import Const, Gather, Index, Loop, LoopProgram, Nest, Node, Store
from funcnet.compiler.native.verification import verify as verify_loops
from funcnet.compiler.program import Apply, Program, Scan, Var
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

X, Y = torch.ones(3, 4), torch.ones(4)


def example(tensors: list[Tensor]) -> list[Tensor]:
    """Return results of two dtypes from a nest, a gather, a product and a loop."""
    x, y = tensors
    last, ys = fn.scan(lambda c, row: (c + row, (c * row).sum()), y, x)
    return [last, ys @ x, x[torch.tensor([2, 0])], (x > y).any(0)]


def program() -> Program:
    return passes.run(trace(example, [spec_of(X), spec_of(Y)]))


def scan(found: Program) -> Scan:
    (only,) = (op for op in found.block.ops if isinstance(op, Scan))
    return only


def assign_twice(found: Program) -> None:
    outputs = found.block.ops[0].outputs
    found.block.params = (*found.block.params, outputs[0])


def apply_too_early(found: Program) -> None:
    found.block.ops.reverse()


def return_from_a_body(found: Program) -> None:
    found.block.results = (scan(found).body.results[0], *found.block.results[1:])


def read_an_unknown(found: Program) -> None:
    scan(found).init = (Var((4,), torch.float32, torch.device("cpu")),)


def relabel(op: object, **changes: object) -> None:
    op.outputs = tuple(Var(**{**vars(var), **changes}) for var in op.outputs)


def compare(found: Program) -> Apply:
    (op,) = (op for op in found.block.ops if isinstance(op, Apply) and "gt" in str(op.target))
    return op


def change_a_dtype(found: Program) -> None:
    relabel(compare(found), dtype=torch.int8)


def change_a_shape(found: Program) -> None:
    relabel(compare(found), shape=(7,))


def refuse_arguments(found: Program) -> None:
    (op,) = (op for op in found.block.ops if isinstance(op, Apply) and "mm" in str(op.target))
    op.args = op.args[::-1]


def change_a_carry(found: Program) -> None:
    body = scan(found).body
    body.results = (body.results[1], body.results[0])


def lose_a_slice(found: Program) -> None:
    op = scan(found)
    op.xs, op.body.params = op.xs[:0], op.body.params[:1]


def lose_a_lane_axis(found: Program) -> None:
    found.in_dims = (0,)


FAULTS: dict[Callable[[Program], None], str] = {
    assign_twice: "assigns a value that has been assigned before",
    apply_too_early: "reads a value that is not in scope",
    return_from_a_body: "a result reads a value that is not in scope",
    read_an_unknown: "a scan reads a value that is not in scope",
    change_a_dtype: "has outputs of another shape or dtype",
    change_a_shape: "has outputs of another shape or dtype",
    refuse_arguments: "aten.mm.default refuses its arguments",
    change_a_carry: "a new carry of a scan has another shape or dtype",
    lose_a_slice: "reads a value that is not in scope",
    lose_a_lane_axis: "in_dims has 1 entries for",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_error_in_a_program_is_found(fault: Callable[[Program], None]) -> None:
    broken = program()
    verification.verify(broken)
    fault(broken)
    with pytest.raises(InternalError, match=FAULTS[fault]):
        verification.verify(broken)


def first(found: LoopProgram, kind: type, holds: Callable[[object], bool] = lambda part: True) -> object:
    """Return the first part of a nest of this kind, including the bodies of loops."""
    statements = [*found.statements, *(s for loop in found.statements if isinstance(loop, Loop) for s in loop.body)]
    nests = (statement for statement in statements if isinstance(statement, Nest))
    return next(part for nest in nests for part in nest.body if isinstance(part, kind) and holds(part))


def product(found: LoopProgram) -> Contract:
    return next(statement for statement in found.statements if isinstance(statement, Contract))


def start_later(found: LoopProgram) -> None:
    product(found).right = replace(product(found).right, offset=1)


def start_earlier(found: LoopProgram) -> None:
    product(found).right = replace(product(found).right, offset=-1)


def step_wider(found: LoopProgram) -> None:
    loop = next(statement for statement in found.statements if isinstance(statement, Loop))
    loop.counter.length = 4


def count_by_another_loop(found: LoopProgram) -> None:
    part = first(found, Store, lambda part: part.view.steps)
    part.view = replace(part.view, steps=((Counter(3), 1),))


def read_before_writing(found: LoopProgram) -> None:
    found.statements.reverse()


def leave_out_a_loop(found: LoopProgram) -> None:
    found.statements[:] = [statement for statement in found.statements if not isinstance(statement, Loop)]


def leave_out_a_result(found: LoopProgram) -> None:
    found.outputs.append(replace(found.outputs[0]))


def write_to_an_argument(found: LoopProgram) -> None:
    part = first(found, Store)
    part.view = replace(part.view, buffer=found.inputs[0])


def compute_too_late(found: LoopProgram) -> None:
    nest = next(s for s in found.statements if isinstance(s, Nest) and any(isinstance(p, Node) for p in s.body))
    nest.body.reverse()


def store_another_dtype(found: LoopProgram) -> None:
    first(found, Store).value = Const(1, torch.int8)


def store_lanes(found: LoopProgram) -> None:
    first(found, Store).value = Const(1.0, torch.float32, True)


def store_another_shape(found: LoopProgram) -> None:
    part = first(found, Store)
    part.view = replace(part.view, shape=(1, *part.view.shape), strides=(0, *part.view.strides))


def index_another_axis(found: LoopProgram) -> None:
    part = first(found, Node, lambda part: not isinstance(part, Gather) and part.args)
    part.args = (Index(5),)


def lose_an_index(found: LoopProgram) -> None:
    part = first(found, Gather)
    part.args = part.args[:1]


LOOP_FAULTS: dict[Callable[[LoopProgram], None], str] = {
    start_later: "a Contract has indices 1 to 12 in a buffer of 12",
    start_earlier: "a Contract has indices -1 to 10 in a buffer of 12",
    step_wider: "has indices 0 to .* in a buffer of",
    count_by_another_loop: "counts by a loop that is not around it",
    read_before_writing: "reads a temporary of .* that is not written yet",
    leave_out_a_loop: "reads a temporary of .* that is not written yet",
    leave_out_a_result: "result 0 is never written",
    write_to_an_argument: "a Nest writes to argument 0",
    compute_too_late: "before it is computed",
    store_another_dtype: "a Store writes torch.int8 to a view of",
    store_lanes: "a Store writes a varying value to a shared buffer",
    store_another_shape: r"a Store in a Nest over .* writes to a view of \(1",
    index_another_axis: "has an index of axis 5",
    lose_an_index: "a Gather has 1 indices for a view of",
}


@pytest.mark.parametrize("fault", LOOP_FAULTS, ids=lambda fault: fault.__name__)
def test_an_error_in_loops_is_found(fault: Callable[[LoopProgram], None]) -> None:
    broken = loops(trace(example, [spec_of(X), spec_of(Y)]))
    verify_loops(broken)
    fault(broken)
    with pytest.raises(InternalError, match=LOOP_FAULTS[fault]):
        verify_loops(broken)


def test_a_pass_that_breaks_a_program_is_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hoist = passes.hoist
    monkeypatch.setattr(passes, "hoist", lambda block: replace(hoist(block), ops=block.ops[::-1]))
    with pytest.raises(InternalError, match="reads a value that is not in scope"):
        text(trace(example, [spec_of(X), spec_of(Y)]))
    with pytest.raises(InternalError, match="reads a value that is not in scope"):
        jit(lambda x, y: example([x, y]), backend="eager")(X, Y)


@pytest.mark.parametrize("stage", [(backend, "lower"), (backend.contractions, "choose"), (fission, "separate")])
def test_a_stage_that_breaks_loops_is_found_at_once(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    before = getattr(*stage)

    def broken(*args: object) -> LoopProgram:
        found = before(*args)
        return replace(found, statements=found.statements[::-1])

    monkeypatch.setattr(*stage, broken)
    monkeypatch.setattr(backend.memory, "plan", lambda *_: pytest.fail("a later stage has run"))
    with pytest.raises(InternalError, match="that is not written yet"):
        text(trace(example, [spec_of(X), spec_of(Y)]))


def test_the_tests_verify() -> None:
    assert verification.VERIFYING
