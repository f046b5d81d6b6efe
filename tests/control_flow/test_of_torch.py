"""torch's own control flow inside a jitted function, and in eager mode before and after."""

import pytest
import torch
from torch._higher_order_ops import map as map_of_torch
from torch._higher_order_ops import scan, while_loop
from torch.testing import assert_close

import funcnet as fn


def branch(x):
    return torch.cond(x.sum() > 0, lambda x: {"b": x + 1, "a": x.sin()}, lambda x: {"b": x - 1, "a": x}, (x,))


def doubled(x):
    return while_loop(lambda x: x.sum() < 100, lambda x: (x * 2,), (x,))[0]


def running(x):
    return scan(
        lambda c, row: ({"z": c["z"] + row, "a": c["a"]}, c["z"] * row), {"z": x[0], "a": x[1]}, x, reverse=True
    )


X = torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("backend", [pytest.param("native", marks=pytest.mark.slow), "eager"])
def test_inside_jit(backend):
    for x in (X, -X):
        got, sign = fn.jit(branch, backend=backend)(x), x.sum().sign()
        assert_close(got, {"b": x + sign, "a": x.sin() if sign > 0 else x})
    assert_close(fn.jit(doubled, backend=backend)(X), X * 32)
    last, ys = fn.jit(running, backend=backend)(X)
    assert_close((last["z"], last["a"], ys), (torch.tensor(7.0), X[1], torch.tensor([6.0, 8.0, 3.0])))


@pytest.mark.slow
def test_under_transformations_inside_jit():
    total = lambda x: sum(leaf.sum() for leaf in branch(x).values())  # noqa: E731
    assert_close(fn.jit(fn.grad(total))(X), 1 + X.cos())
    rows = torch.stack([X, -X])
    assert_close(fn.jit(fn.vmap(fn.grad(total)))(rows), torch.stack([1 + X.cos(), X * 0 + 2]))
    assert_close(fn.jit(fn.vmap(doubled))(rows[:1]), X[None] * 32)


def test_other_operations_raise():
    with pytest.raises(RuntimeError, match="jit: cannot trace torch's higher-order operation .* Use cond, switch"):
        fn.jit(lambda x: map_of_torch(torch.sin, x))(X)


@pytest.mark.slow
def test_eager_mode_after_jit():
    assert_close(fn.jit(branch)(X)["b"], X + 1)
    with pytest.raises(RuntimeError, match="cannot trace"):
        fn.jit(lambda x: map_of_torch(torch.sin, x))(X)
    assert_close(torch.cond(X.sum() > 0, torch.sin, torch.cos, (X,)), X.sin())
