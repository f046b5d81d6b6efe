"""Distances and trilinear products in native kernels: values and gradients are those of torch's kernels."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import funcnet as fn
from funcnet.compiler import jit

ORDERS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, torch.inf]


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def check(f: Callable[..., Tensor], *args: Tensor) -> None:
    def loss(*args: Tensor) -> Tensor:
        return f(*args).sin().sum()

    leaves = [arg.clone().requires_grad_() for arg in args]
    want = f(*args), torch.autograd.grad(loss(*leaves), leaves)
    compiled = jit(lambda *args: (f(*args), fn.grad(loss, argnums=tuple(range(len(args))))(*args)), backend="native")
    assert not compiled.explain(*args).calls
    bound = 4096 * torch.finfo(args[0].dtype).eps
    torch.testing.assert_close(compiled(*args), want, rtol=bound, atol=bound)


def test_distances_and_a_layer() -> None:
    def f(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        return functional.bilinear(x, y, weight) @ torch.cdist(x, y)[:2] + functional.pdist(x[:2], 1.0)

    check(f, numbers(4, 3), numbers(4, 3) + 1, numbers(2, 3, 3))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", ORDERS)
def test_distances_of_all_orders(p: float, dtype: torch.dtype) -> None:
    x, y = numbers(4, 3, dtype=dtype), numbers(5, 3, dtype=dtype)
    cdist, pdist = partial(torch.cdist, p=p), partial(functional.pdist, p=p)
    for args in ((x, y), (x, x.clone()), (x[None].repeat(2, 1, 1), y[None]), (x[:1, :1], y[:1, :1])):
        check(cdist, *args)
    for points in (x, x[:2], torch.ones_like(x)) if p != 0.5 else ():
        check(pdist, points)


@pytest.mark.slow
def test_bilinear_with_batch_axes_and_a_bias() -> None:
    check(functional.bilinear, numbers(2, 5, 3), numbers(2, 5, 4), numbers(2, 3, 4), numbers(2))


@pytest.mark.slow
def test_lanes_and_empty_points() -> None:
    x = numbers(5, 4, 3)
    distances = lambda x: torch.cdist(x, x.flip(0) + 1)  # noqa: E731
    torch.testing.assert_close(jit(fn.vmap(distances), backend="native")(x), torch.stack([*map(distances, x)]))
    assert jit(torch.cdist)(x[0, :0], x[0]).shape == (0, 4)


def test_negative_orders_are_torchs_error() -> None:
    with pytest.raises(RuntimeError, match="cdist only supports non-negative p values"):
        jit(partial(torch.cdist, p=-1.0), backend="eager")(numbers(4, 3), numbers(5, 3))
