"""Divisions of floats with a remainder are exact, for quotients of few digits and of many, without and with lanes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit


def operands(dtype: torch.dtype, most: float) -> tuple[Tensor, Tensor]:
    """Return numbers of many sizes, exact multiples and special values; quotients are below a bound."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(4096, generator=generator, dtype=dtype) for _ in range(2))
    x *= 10.0 ** torch.linspace(-3, 3, 4096, dtype=dtype)
    y[::7], y[::11], x[::13], x[::17] = 1, 0.1, y[::13] * 7, -y[::17]
    x = torch.where((x / y).abs() < most, x, y)
    x[:5] = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 0.0])
    y[5:10] = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0])
    return x, y


def assert_same(got: Tensor, want: Tensor) -> None:
    assert torch.equal(got.nan_to_num(12345), want.nan_to_num(12345))
    assert torch.equal(got.signbit()[~got.isnan()], want.signbit()[~want.isnan()])


@pytest.mark.parametrize("op", [torch.fmod, torch.remainder, torch.floor_divide])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
def test_remainders_are_exact(op: Callable[..., Tensor], dtype: torch.dtype) -> None:
    x, y = operands(dtype, 1e5)
    far = x.clone()
    far[100:103] = torch.tensor([1e30, -1e25, 3e20])
    f, lanes = jit(op, backend="native"), jit(fn.vmap(op), backend="native")
    for a in (x, far):
        assert_same(f(a, y), op(a, y))
        assert_same(lanes(a[:120], y[:120]), op(a[:120], y[:120]))


def test_remainders_near_each_multiple() -> None:
    """A rounded quotient may be the next integer: x is a neighbour of a multiple of y."""
    y = torch.tensor([0.1, 1 / 3, 0.7, 1.1, 3.0, 1e-3]).repeat_interleave(2000)
    multiple = y * torch.arange(1, 2001).repeat(6)
    for x in (multiple, multiple.nextafter(torch.tensor(torch.inf)), multiple.nextafter(torch.tensor(-torch.inf))):
        assert_same(jit(torch.fmod, backend="native")(x, y), torch.fmod(x, y))
        assert_same(jit(torch.remainder, backend="native")(x, -y), torch.remainder(x, -y))
