"""Second derivatives where the first one is infinite or NaN: zero tangents do not turn them into NaN."""

import pytest
import torch
from torch import Tensor

import funcnet as fn

FUNCTIONS = {
    "log": torch.log,
    "sqrt": torch.sqrt,
    "entr": torch.special.entr,
    "power": lambda x: x**0.5,
    "views": lambda x: x.reshape(2, 2).T.log()[:, 0].expand(3, 2),
    "product": lambda x: (2 * x).log() * x - x.log() / 3,
    "loop": lambda x: fn.scan(lambda c, y: (c + y.log(), c), torch.zeros((), dtype=x.dtype), x)[0],
}


def curvature(f, x: Tensor) -> Tensor:
    return fn.jvp(fn.grad(lambda x: f(x).sum()), (x,), (torch.ones_like(x),))[1]


@pytest.mark.parametrize("backend", [pytest.param("native", marks=pytest.mark.slow), "eager"])
def test_derivatives_of_infinite_gradients_are_those_of_eager_mode(backend):
    def f(x):
        return {name: curvature(f, x) for name, f in FUNCTIONS.items()}

    x = torch.tensor([0.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    want = f(x)
    assert not want["log"].isnan().any()
    for name, got in fn.jit(f, backend=backend)(x).items():
        torch.testing.assert_close(got, want[name], rtol=1e-14, atol=0, equal_nan=True, msg=name)
    lanes = fn.jit(fn.vmap(f), backend=backend)(torch.stack([x, x + 1, x.flip(0)]))
    for name, got in lanes.items():
        torch.testing.assert_close(got[0], want[name], rtol=1e-14, atol=0, equal_nan=True, msg=name)


def test_quotients_of_zero_tangents_are_nan():
    def f(x):
        _, tangent = fn.jvp(lambda x: x.sign(), (x,), (x,))
        return tangent / tangent, tangent * x, x - tangent

    x = torch.tensor([1.0, float("inf")])
    for got, want in zip(fn.jit(f, backend="eager")(x), f(x), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
