"""linear_transpose: the adjoint identity <f(x), y> = <x, f'(y)>."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

A = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64).reshape(2, 3)


def linear(p):
    return {"y": A @ p["x"] + 2 * p["z"].sum(), "z": p["z"].flip(0)}


X = {"x": torch.linspace(1.0, 2.0, 3, dtype=torch.float64), "z": torch.linspace(3.0, 4.0, 4, dtype=torch.float64)}
Y = {"y": torch.tensor([0.3, -0.7], dtype=torch.float64), "z": torch.linspace(0.0, 1.0, 4, dtype=torch.float64)}


@pytest.mark.parametrize("like", [X, tree.map(lambda x: fn.ShapeDtypeStruct(x.shape, x.dtype), X)])
@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_adjoint(like, wrap):
    (found,) = wrap(lambda y: fn.linear_transpose(linear, like)(y))(Y)
    assert_close(tree.dot(found, X), tree.dot(Y, linear(X)), rtol=1e-14, atol=0)
    (again,) = fn.linear_transpose(lambda y: fn.linear_transpose(linear, like)(y)[0], Y)(X)
    assert_close(again, linear(X))


def test_the_adjoint_of_complex_numbers_is_conjugated():
    (found,) = fn.linear_transpose(lambda z: z * (2 + 3j), torch.tensor(0j))(torch.tensor(1 + 0j))
    assert found == 2 - 3j


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating-point"):
        fn.linear_transpose(lambda n: 2 * n, torch.tensor(1))
