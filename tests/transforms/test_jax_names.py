"""Programs of JAX use its names and keyword arguments, which are second names here."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn

X = torch.tensor([[1.0, 2.0], [3.0, 5.0]])


def test_axes_of_vmap():
    got = fn.vmap(lambda x, y: x * y, in_axes=(1, None), out_axes=1)(X, torch.tensor([1.0, -1.0]))
    assert_close(got, X * torch.tensor([[1.0], [-1.0]]))
    assert_close(fn.vmap(lambda x: 2 * X[0], in_axes=None, out_axes=None, axis_size=3)(X), 2 * X[0])
    with pytest.raises(TypeError, match="expected in_dims or in_axes, .* got both"):
        fn.vmap(torch.sum, (0,), in_axes=0)
    with pytest.raises(TypeError, match="expected out_dims or out_axes, .* got both"):
        fn.vmap(torch.sum, out_dims=None, out_axes=0)


def test_checkpoint_and_jacobian():
    f = fn.checkpoint(lambda x: x.sin().prod(), prevent_cse=False, policy=fn.checkpoint_policies.dots_saveable)
    assert_close(fn.grad(f)(X), fn.grad(lambda x: x.sin().prod())(X))
    assert_close(fn.jacobian(lambda x: x.cumsum(0))(X[0]), torch.ones(2, 2).tril())


def test_one_operand_by_keyword():
    assert fn.cond(torch.tensor(True), lambda _: 1.0, lambda _: 2.0, operand=None) == 1.0
    assert_close(fn.cond(X.sum() < 0, torch.sin, torch.neg, operand=X), -X)
    assert_close(fn.switch(torch.tensor(1), [torch.sin, torch.neg], operand=X), -X)
    with pytest.raises(TypeError, match="cond: expected operands by position, or one by the keyword operand, got both"):
        fn.cond(True, torch.sin, torch.neg, X, operand=X)


@pytest.mark.parametrize("last", [5, torch.tensor(5)])
def test_an_unrolled_range(last):
    loop = fn.jit(lambda x: fn.fori_loop(0, last, lambda i, x: x + i, x, unroll=2))
    assert_close(loop(X), X + 10)
