"""Writes to tensors whose views a branch or a loop reads, and to slices of the results of control flow."""

import pytest
import torch
from torch import Tensor

import funcnet as fn


def doubled(x: Tensor) -> Tensor:
    """Return a view of a tensor that was made before the tensor was written to."""
    whole = x * 1
    part = whole[0]
    whole.mul_(2)
    return part


def in_branches(x):
    part = doubled(x)
    return fn.cond(x.sum() > 0, lambda: part.sin(), lambda: part.cos()) + part


def in_a_branch_of_a_loop(x):
    part = doubled(x)
    step = lambda c, _: (fn.cond(c.sum() > 0, lambda: part.sin() + c, lambda: c - part), part)  # noqa: E731
    return fn.scan(step, x[0], length=2)[0] + part


def in_a_loop(x):
    part = doubled(x)
    return fn.while_loop(lambda c: c.sum() < 5, lambda c: c + part.abs() + 0.1, part * 1) + part


READS = {f.__name__: f for f in (in_branches, in_a_branch_of_a_loop, in_a_loop)}
RESULTS = {
    "cond": lambda x: fn.cond(x.sum() > 0, torch.sin, torch.cos, x),
    "switch": lambda x: fn.switch((x.sum() > 0).long(), [torch.sin, torch.cos], x),
    "scan": lambda x: fn.scan(lambda c, y: (c * y.sum(), c), x, x)[0],
    "fori_loop": lambda x: fn.fori_loop(0, 2, lambda _, c: c.sin(), x),
    "map": lambda x: fn.map(torch.sin, x),
}
X = torch.tensor([[0.5, -0.25, 2.0], [1.0, -1.5, 0.75]], dtype=torch.float64)


@pytest.mark.parametrize("name", READS)
def test_a_view_is_that_of_the_written_tensor(name):
    f = READS[name]
    torch.testing.assert_close(fn.jit(f, backend="eager")(X), f(X), rtol=1e-14, atol=0)
    both = torch.stack([X, -X])
    torch.testing.assert_close(
        fn.jit(fn.vmap(f), backend="eager")(both), torch.stack([f(X), f(-X)]), rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("name", RESULTS)
def test_gradients_after_writes_to_slices_of_results(name):
    def loss(x):
        y = RESULTS[name](x)
        y[0].square_()
        y.view(-1)[-1] = 0.5
        return (y * x.cos()).sum()

    gradient = fn.grad(loss)
    torch.testing.assert_close(fn.jit(gradient, backend="eager")(X), gradient(X), rtol=1e-14, atol=1e-15)
