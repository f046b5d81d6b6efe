"""Reductions of any length are accurate: errors are at most twice those of eager torch or JAX, against float64.

Each function is applied to three kinds of numbers: uniform in [0, 1), near 1000, and 0.1 everywhere, where all rounding
errors of a running sum have the same sign. The errors of JAX 0.10.2 on CPU are the largest for 1e3 to 1e7 elements.
"""

import math

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import target

F = torch.nn.functional
inf, nan = math.inf, math.nan
LARGEST = torch.finfo(torch.float32).max


def bias_gradient(x: Tensor) -> Tensor:
    return torch.func.grad(lambda bias: (x * x + bias * x).mean(0).sum())(torch.zeros_like(x[0]))


def deviation_of_batch(x: Tensor) -> Tensor:
    """Return the divisor of batch_norm, the inverse of its result at mean + 1."""
    y = F.batch_norm(torch.cat([x, x.mean(0, keepdim=True) + 1]), None, None, training=True)
    return 1 / y[-1]


def in_steps(x: Tensor) -> Tensor:
    return fn.scan(lambda scale, _: (scale + 1, (x * scale).sum(0)), torch.ones_like(x[0, 0]), length=3)[1]


ROWS = {  # functions of x (rows, 10), and JAX's errors
    "sum": (lambda x, near, tenth: x.sum(), 1e-7),
    "sum of tenths": (lambda x, near, tenth: tenth.sum(), 3e-7),
    "outer": (lambda x, near, tenth: x.sum(0), 1e-7),
    "outer, of tenths": (lambda x, near, tenth: tenth.sum(0), 2e-7),
    "inner": (lambda x, near, tenth: x.T.contiguous().sum(1), 1e-7),
    "middle": (lambda x, near, tenth: x.reshape(2, -1, 5).sum(1), 1e-7),
    "several": (lambda x, near, tenth: x.reshape(-1, 5, 2).sum((0, 2)), 1e-7),
    "around": (lambda x, near, tenth: x.reshape(10, 5, -1).sum((0, 2)), 1e-7),
    "weighted": (lambda x, near, tenth: (x * x.sum(1, keepdim=True)).sum(), 1e-7),
    "mean": (lambda x, near, tenth: near.mean(), 8e-8),
    "variance": (lambda x, near, tenth: near.var(), 8e-8),
    "outer variance": (lambda x, near, tenth: near.var(0), 1e-7),
    "variance and mean": (lambda x, near, tenth: torch.stack(torch.var_mean(near, 0)), 1e-7),
    "deviation": (lambda x, near, tenth: x.std(), 8e-8),
    "batch_norm": (lambda x, near, tenth: deviation_of_batch(x), 1e-7),
    "norm": (lambda x, near, tenth: torch.linalg.vector_norm(x), 7e-8),
    "outer norm": (lambda x, near, tenth: torch.linalg.vector_norm(x, 3, 0), 1e-7),
    "dot": (lambda x, near, tenth: torch.dot(x.flatten(), near.flatten()), 5e-8),
    "exponentials": (lambda x, near, tenth: x.exp().sum(), 4e-8),
    "logsumexp": (lambda x, near, tenth: x.logsumexp(0), 7e-8),
    "softmax": (lambda x, near, tenth: x.softmax(0), 2e-7),
    "loss": (lambda x, near, tenth: F.mse_loss(x, x * x), 1e-7),
    "bias": (lambda x, near, tenth: bias_gradient(x), 1e-7),
    "scan": (lambda x, near, tenth: in_steps(x), 1e-7),
    "cumsum": (lambda x, near, tenth: x.cumsum(0), 1e-7),
    "cumprod": (lambda x, near, tenth: near.cumprod(0)[:10], 1e-7),
    "logcumsumexp": (lambda x, near, tenth: x.flatten().logcumsumexp(0), 1e-7),
    "product": (lambda x, near, tenth: x.T @ near, 3e-7),
}

EPS = torch.finfo(torch.float32).eps


def every_row(x: Tensor, near: Tensor, tenth: Tensor) -> list[Tensor]:
    return [f(x, near, tenth) for f, _ in ROWS.values()]


def data(*shape: int) -> list[Tensor]:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))
    return [x, 1000 + x, torch.full(shape, 0.1)]


def error(got: Tensor, right: Tensor) -> float:
    return ((got.double() - right) / right).abs().max().item()


def hold(got: list[Tensor], eager: list[Tensor], right: list[Tensor]) -> None:
    """Check that every error is at most twice the larger of torch's and JAX's, or one unit of rounding."""
    errors = {name: (error(a, c), error(b, c)) for name, a, b, c in zip(ROWS, got, eager, right, strict=True)}
    bounds = {name: max(2 * torchs, 2 * ROWS[name][1], EPS) for name, (_, torchs) in errors.items()}
    worse = {name: (ours, torchs) for name, (ours, torchs) in errors.items() if ours > bounds[name]}
    assert not worse


@pytest.mark.parametrize("count", [10_000, *(pytest.param(10**n, marks=pytest.mark.slow) for n in (2, 3, 5, 6, 7))])
def test_reductions_are_accurate(count: int) -> None:
    args = data(count // 10, 10)
    hold(jit(every_row, backend="native")(*args), every_row(*args), every_row(*(x.double() for x in args)))


LANES = 17


@pytest.mark.parametrize("count", [1_000, pytest.param(10**5, marks=pytest.mark.slow)])
def test_reductions_over_lanes_are_accurate(count: int) -> None:
    args = data(count // 10, 10, LANES)
    got = jit(fn.vmap(every_row, in_dims=-1), backend="native")(*args)
    eager, right = (
        [torch.stack(row) for row in zip(*(every_row(*lane) for lane in zip(*lanes, strict=True)), strict=True)]
        for lanes in ([x.unbind(-1) for x in args], [x.double().unbind(-1) for x in args])
    )
    hold(got, eager, right)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sum", "outer", "middle", "several", "variance", "outer variance", "bias"])
def test_a_single_reduction_is_accurate(name: str) -> None:
    f, jax = ROWS[name]
    args = data(10**5, 10)
    right = f(*(x.double() for x in args))
    assert error(jit(f, backend="native")(*args), right) <= 2 * max(error(f(*args), right), jax)


def test_float64_is_exact() -> None:
    x = torch.rand(10_000, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    columns = [math.fsum(column) for column in x.T.tolist()]
    f = lambda x: (x.sum(), x.sum(0), x.T.contiguous().sum(1), x.mean(0) * len(x))  # noqa: E731
    for got, right in zip(jit(f, backend="native")(x), (math.fsum(columns), *[columns] * 3), strict=True):
        torch.testing.assert_close(got, torch.tensor(right, dtype=torch.float64), rtol=4e-16, atol=0)
    lanes = jit(fn.vmap(torch.sum, in_dims=1), backend="native")(x)
    torch.testing.assert_close(lanes, torch.tensor(columns, dtype=torch.float64), rtol=4e-16, atol=0)


@pytest.mark.slow
def test_twenty_million_ones() -> None:
    ones = torch.ones(2 * 10**7, 2)
    assert jit(lambda x: x.sum(0), backend="native")(ones).tolist() == [2e7, 2e7]
    scaled = fn.vmap(lambda scale, x: (scale * x).sum(), in_dims=(0, None))
    assert jit(scaled, backend="native")(torch.tensor([1.0, 2.0]), ones[:, 0]).tolist() == [2e7, 4e7]


# torch's and JAX's errors of x @ y with inner axes of 100, 784 and 5,000
PRODUCTS = {"tiles": ((3, 3), 4e-7), "columns": ((64, 1), 2e-7), "wide": ((1, 100), 1e-6), "panels": ((64, 64), 1e-6)}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_accurate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "wins", lambda: False)
    (rows, columns), bound = PRODUCTS[name]
    generator = torch.Generator().manual_seed(0)
    pairs = [
        (torch.rand(rows, k, generator=generator), torch.rand(k, columns, generator=generator))
        for k in (100, 784, 5000)
    ]
    f = lambda pairs: [x @ y for x, y in pairs]  # noqa: E731
    for got, (x, y) in zip(jit(f, backend="native")(pairs), pairs, strict=True):
        want = x.double() @ y.double()
        assert error(got, want) <= max(2 * bound, error(x @ y, want))  # a call of BLAS has the error of torch's


def test_products_over_lanes_are_accurate() -> None:
    x = torch.rand(3, 2000, LANES, generator=torch.Generator().manual_seed(0))
    got = jit(fn.vmap(lambda x: x @ x.T, in_dims=-1), backend="native")(x)
    right = torch.stack([lane @ lane.T for lane in x.double().unbind(-1)])
    assert error(got, right) <= 2 * 4e-7


UNUSUAL = {
    "infinity": [1.0] * 700 + [inf, 2.0],
    "both infinities": [1.0] * 700 + [inf, -inf],
    "NaN": [nan] + [1.0] * 700,
    "too large": [LARGEST] * 700,
    "zeros": [0.0] * 700,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_infinities_and_nan_are_those_of_torch(dtype: torch.dtype) -> None:
    x = torch.stack([torch.tensor((row * 2)[:702], dtype=dtype) for row in UNUSUAL.values()])
    f = lambda x: (x.sum(1), x.T.contiguous().sum(0), x @ torch.ones_like(x[0]), x.cumsum(1))  # noqa: E731
    for got, right in zip(jit(f, backend="native")(x), f(x), strict=True):
        torch.testing.assert_close(got, right, equal_nan=True)
    lanes = jit(fn.vmap(lambda x: (x.sum(), torch.dot(x, x))), backend="native")(x)
    torch.testing.assert_close(lanes, (x.sum(1), (x * x).sum(1)), equal_nan=True)


RANGES = {
    "largest": (torch.std, torch.tensor([LARGEST, -LARGEST, LARGEST, 0.0])),
    "large": (lambda x: x.std(0), 1e30 * torch.tensor([[1.0, 2.0], [2.0, 5.0], [4.0, -3.0]])),
    "small": (lambda x: x.std(0), 1e-30 * torch.tensor([[1.0, 2.0], [2.0, 5.0], [4.0, -3.0]])),
    "constant": (torch.std, torch.full((1000,), 0.1)),
    "far": (torch.var, 1e5 + torch.linspace(0, 1, 1000)),
    "far, with the mean": (lambda x: torch.stack(torch.var_mean(x)), 1e4 + torch.linspace(0, 1, 1000)),
    "one": (lambda x: torch.stack([x.var(), x.std(correction=0), x.mean()]), torch.ones(1)),
    "0-d": (lambda x: torch.stack([x.var(), x.var(correction=0), x.std(), x.mean()]), torch.tensor(3.0)),
    "none": (lambda x: torch.stack([x.var(), x.std(), x.mean()]), torch.ones(0)),
    "none of a few": (lambda x: torch.stack([x.var(0), x.std(0)]), torch.ones(0, 3)),
    "few": (lambda x: x.var(0, correction=5), torch.tensor([[1.0, 2.0], [2.0, 5.0]])),
    "options": (lambda x: x.std((0, 2), correction=0, keepdim=True), torch.linspace(0, 1, 120).reshape(4, 5, 6)),
    "products": (lambda x: x.cumprod(0), torch.tensor([1e-30] * 3 + [1e30] * 3)),
    "sums": (lambda x: x.cumsum(0), torch.tensor([3e38] * 3 + [-3e38] * 3)),
    "logarithms": (lambda x: x.logcumsumexp(0), torch.tensor([-inf, -inf, -0.6931472, -0.6931472, 88.0, 1000.0, inf])),
}


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", RANGES)
def test_ranges_are_those_of_torch(name: str) -> None:
    f, x = RANGES[name]
    right = f(x.double()).float()  # not eager float32, which gives 7e-9 for the deviation of 1,000 equal numbers
    torch.testing.assert_close(jit(f, backend="native")(x), right, rtol=3e-7, atol=1e-44, equal_nan=True)


@pytest.mark.parametrize("name", ["largest", "small", "constant", "products", "logarithms"])
def test_ranges_over_lanes_are_those_of_torch(name: str) -> None:
    f, x = RANGES[name]
    got = jit(fn.vmap(f, in_dims=-1), backend="native")(torch.stack([x] * LANES, -1))
    right = torch.stack([f(x.double()).float()] * LANES)
    torch.testing.assert_close(got, right, rtol=3e-7, atol=1e-44, equal_nan=True)
