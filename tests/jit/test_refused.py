"""Code that cannot be traced raises an error with the line of the user's code."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence
from traced import X

import funcnet as fn
from funcnet.compiler import StagingError, jit
from funcnet.control_flow.scan import scan


def branch(x):
    if x.sum() > 0:
        return x
    return -x


READS = [
    (branch, "branch"),
    (lambda x: x * x.sum().item(), r"\.item\(\)"),
    (lambda x: x[x > 0], r"index.Tensor .* torch.where\(mask, x, 0\)"),
    (lambda x: x.masked_select(x > 0), "torch.where"),
    (lambda x: x.nonzero(), "nonzero.* torch.where"),
    (lambda x: x.unique(), "unique.* Sort"),
    (lambda x: x.tolist(), "tolist.* Use cond for a branch"),
    (lambda x: x.numpy(), "numpy"),
    (torch.from_dlpack, "from_dlpack"),
    (lambda x: torch.utils.dlpack.to_dlpack(x), "needs the values"),
    (lambda x: torch.func.linearize(torch.sin, x)[1](x), "make_fx.* Use fn.linearize"),
    (lambda x: x * pytest.importorskip("numpy").ones(4), r"torch.as_tensor\(array\)"),
    (lambda x: f"{x.sum():.3f}", "formatting by '.3f'"),
    (lambda x: torch.tensor([x[0, 0], x[0, 1]]), "needs the values"),
    (fn.grad(lambda x: x.sum() * float(x[0, 0])), r"float\(\)"),
    (fn.vmap(lambda row: torch.tensor(row.tolist())), "needs the values"),
]


@pytest.mark.parametrize("f, operation", READS)
def test_code_that_reads_values_is_refused_with_its_line(f, operation):
    with pytest.raises(StagingError, match=operation) as error:
        jit(f)(X)
    assert f"{Path(__file__).name}:" in str(error.value)


def test_the_error_names_the_line_of_the_branch():
    line = branch.__code__.co_firstlineno + 1
    with pytest.raises(StagingError, match=rf"in branch, .*test_refused\.py:{line}\."):
        jit(branch)(X)


IMPURE = [
    (lambda x: x + torch.rand(3, 4), "aten.rand.default draws from torch's global generator"),
    (lambda x: functional.dropout(x, 0.5), "draws from torch's global generator"),
    (lambda x: x.add_(1), "add_.Tensor writes to an argument in place"),
    (lambda x: x[0].zero_(), "zero_.default writes to an argument in place"),
    (lambda x: torch.neg(x, out=X), "writes to a closed-over tensor in place"),
    (lambda x: (x * 1).resize_(2, 2), "resize_.default"),
    (lambda x: pack_padded_sequence(x[..., None], [3, 2, 2, 1]).data, "packed sequences.* fn.from_module"),
]


@pytest.mark.parametrize("f, message", IMPURE)
def test_functions_that_are_not_pure_are_refused(f, message):
    with pytest.raises(StagingError, match=message):
        jit(f)(X.clone())


def test_a_scan_body_that_writes_outside_is_refused():
    def f(x):
        buffer = torch.zeros(3)

        def step(c, _):
            buffer[0] = 1.0
            return c, None

        return scan(step, x, length=2), buffer

    with pytest.raises(StagingError, match="writes to a tensor from outside the scan body"):
        jit(f)(X)


def test_values_that_leave_their_scan_or_their_trace_are_refused():
    kept = []

    def f(x):
        scan(lambda c, _: (kept.append(c * 2), (c, None))[1], x, length=2)
        return kept[0] + 1

    with pytest.raises(StagingError, match="used outside the function, loop body or branch that made it"):
        jit(f)(X)
    with pytest.raises(StagingError, match="got a traced tensor after its tracing has ended"):
        kept[0] + 1


@pytest.mark.parametrize("fails", [False, True])
def test_backward_to_closed_over_tensors_is_refused_and_leaves_no_gradient(fails):
    weight = X.clone().requires_grad_()

    def f(x):
        (weight * x).sum().backward()
        return x.sum().item() if fails else x

    with pytest.raises(StagingError, match=r"item\(\)" if fails else "call backward\\(\\) on the result"):
        jit(f)(X)
    assert weight.grad is None
    jit(lambda x: (weight * x).sum())(X).backward()
    assert torch.equal(weight.grad, X)
