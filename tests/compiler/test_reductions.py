"""Reductions and cumulative operations equal ATen's: over all and some axes, over lanes, on every backend."""

import math

import pytest
import torch
from backends import BACKENDS, FLOATS, check, check_alone, rand, rows

import funcnet as fn
from funcnet.compiler import jit

nan, inf = math.nan, math.inf

REDUCTIONS = {
    "sum": lambda x: x.sum(),
    "sum0": lambda x: x.sum(0),
    "sum1": lambda x: x.sum(1, keepdim=True),
    "sum02": lambda x: x.sum((0, 2)),
    "mean": lambda x: x.mean(-1),
    "prod": lambda x: x.prod(1),
    "amax": lambda x: x.amax(2),
    "amin": lambda x: x.amin((0, 1)),
    "max": lambda x: x.max(),
    "max1": lambda x: list(x.max(1)),
    "min1": lambda x: list(x.min(2, keepdim=True)),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(),
    "any": lambda x: (x > 1).any(1),
    "all": lambda x: (x < 1).all(),
    "var": lambda x: x.var(1),
    "std": lambda x: x.std(),
    "norm": lambda x: torch.linalg.vector_norm(x),
    "norm1": lambda x: torch.linalg.vector_norm(x, 1, dim=1),
    "logsumexp": lambda x: x.logsumexp(1),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(2),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]),
    "count": lambda x: (x > 0).sum(1),
    "weighted": lambda x: (x * x.sum(0)).sum(-1),
}


REDUCED = ((2, 3, 5), (1, 2, 1), (3, 50, 33), (4, 2, 100))
FEW = [((2, 3, 5), torch.float64), ((1, 2, 1), torch.float64), ((3, 50, 33), torch.float32)]


@pytest.mark.few(5)
@pytest.mark.parametrize("shape, dtype, backend", rows(REDUCED, FLOATS, inductor=FEW[::2], quick=FEW))
def test_reductions(shape: tuple[int, ...], dtype: torch.dtype, backend: str) -> None:
    check(REDUCTIONS, rand(*shape, dtype=dtype), backend=backend, ulp=64, atol=400 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dim", [0, 1])
def test_reductions_of_nothing(dim: int, backend: str) -> None:
    names = ("sum", "prod", "any", "all", "mean")
    check({name: lambda x, name=name: getattr(x, name)(dim) for name in names}, torch.zeros(0, 3), backend=backend)


EXTREMA = {
    "max": lambda x: list(x.max(1)),
    "min": lambda x: list(x.min(0)),
    "argmax": torch.argmax,
    "amax": lambda x: x.amax(0),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_extrema_propagate_nan(backend: str) -> None:
    x = torch.tensor([[1.0, nan, 3.0], [4.0, 5.0, -inf]])
    check(EXTREMA, x, backend=backend)


@pytest.mark.parametrize("lanes", [False, True])
def test_deviations_of_the_largest_numbers_are_infinite_not_nan(lanes):
    f = lambda x: (x.var(), x.std(), *torch.var_mean(x), *torch.std_mean(x))  # noqa: E731
    for x in (torch.tensor([3.4e38, -3.4e38, 3e38]), torch.tensor([1e20, -1e20, 3e20]), torch.tensor([1.0, torch.nan])):
        got = [y[0] for y in jit(fn.vmap(f), backend="native")(x[None])] if lanes else jit(f, backend="native")(x)
        torch.testing.assert_close(tuple(got), f(x), equal_nan=True)


BACKWARDS = {
    "sum of squares": lambda x: x.flip(-1).square().sum(),
    "sum of squares, all axes": lambda x: x.flip(0, 1).square().sum(),
    "two sums": lambda x: (x.flip(-1) * x).sum() + x.flip(-1).sum(),
    "var": lambda x: x.flip(-1).var(),
    "norm": lambda x: x.flip(1).norm(),
    "logsumexp": lambda x: x.flip(1).logsumexp((0, 1)),
    "rolled": lambda x: (x.roll(1, -1) * 1.5).sum(),
    "rolled squares": lambda x: x.roll(-1, 1).square().sum(),
    "maximum": lambda x: (x.flip(-1) * 1.5).amax(),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 2), (5, 3), (4, 3, 2), (40, 9)], ids=str)
def test_reductions_in_descending_and_in_rolled_order(shape, dtype):
    check_alone(BACKWARDS, rand(*shape, dtype=dtype), backend="native", ulp=64, atol=400 * torch.finfo(dtype).eps)


OTHERS = {
    "wider": lambda x: (x.double() * 2).sum(1),
    "whole numbers": lambda x: x.to(torch.int64).amax(1),
    "stored": lambda x: x * x,
    "stored, wider": lambda x: x.double(),
    "stored, a function": lambda x: x.exp(),
}


@pytest.mark.parametrize("columns", [1000, pytest.param(300, marks=pytest.mark.slow)])
def test_a_sum_has_the_same_bits_next_to_other_results(columns: int) -> None:
    """The number of partial sums, and the one that each term is added to, depend on the size only."""
    x = rand(40, columns)
    alone = jit(lambda x: x.sum(1), backend="native")(x)
    for name, other in OTHERS.items():
        both = jit(lambda x, f=other: (x.sum(1), f(x)), backend="native")(x)
        assert torch.equal(both[0], alone), name


NUMBERS = (torch.float32, *(pytest.param(d, marks=pytest.mark.slow) for d in (torch.float64, torch.uint8, torch.int64)))


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("values", [20, 0], ids=["numbers", "zeros"])
def test_running_extrema_of_neighbours_run_in_vectors(dtype: torch.dtype, values: float) -> None:
    """The elements after a NaN are NaN, in its vector and in later ones; of equal zeros the last counts."""
    x = torch.randn(4, 300, generator=torch.Generator().manual_seed(1)).mul(values).to(dtype)
    if dtype.is_floating_point:
        x[0, 7], x[1, 16:40], x[2, 299] = torch.nan, -torch.inf, torch.nan
    f = lambda x: [*x.cummax(1), *x.cummin(1)]  # noqa: E731
    for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(got.signbit() | got.isnan(), want.signbit() | want.isnan())


@pytest.mark.parametrize("dim", [0, pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize(
    "dtype", [torch.float32, *(pytest.param(d, marks=pytest.mark.slow) for d in (torch.float64, torch.int32))]
)
def test_running_reductions_of_many_lines(dtype: torch.dtype, dim: int) -> None:
    """Several lines run at once: rows in registers, columns in vectors, and the rest one by one."""
    x = torch.randn(6, 7, 133, generator=torch.Generator().manual_seed(0)).mul(3).to(dtype)
    if dtype.is_floating_point:
        x[1, 2, 3], x[0, 0, 0], x[4, 1, 130] = torch.nan, -torch.inf, torch.nan
    f = lambda x: [x.cumsum(dim), x.cumprod(dim), *x.cummax(dim), *x.cummin(dim), x.mT.cumsum(dim)]  # noqa: E731
    for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
        assert torch.equal(got.nan_to_num(123), want.nan_to_num(123))
    log = lambda x: x.double().logcumsumexp(dim)  # noqa: E731
    torch.testing.assert_close(jit(log, backend="native")(x), log(x), equal_nan=True)
