"""bfloat16 and float16 run natively, in float32 with each operation rounded: results equal ATen's bit for bit."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, pad
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit

HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def rand(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def same_bits(got: Tensor, want: Tensor) -> None:
    """Assert equality bit for bit, except for the bits of NaN."""
    assert got.dtype == want.dtype
    integer = {2: torch.int16, 4: torch.int32}[want.dtype.itemsize]
    assert bool(((got.view(integer) == want.view(integer)) | (got.isnan() & want.isnan())).all())


@HALVES
def test_conversions_of_all_numbers_and_of_their_midpoints(dtype: torch.dtype) -> None:
    every = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(dtype)
    exact = jit(lambda x: x.float(), backend="native")(every)
    normal = every.float().abs() >= torch.finfo(torch.float32).tiny  # others are flushed, as in all kernels
    kept = normal | (every == 0) | every.isnan()
    same_bits(exact[kept], every.float()[kept])
    bits = every[every.isfinite()].float().view(torch.int32)
    near = (bits[:, None] + torch.tensor([0, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001])).int().view(torch.float32)
    x = torch.cat([near.flatten(), torch.tensor([65519.0, 65520.0, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-7])])
    x = x[~(x.abs() < torch.finfo(torch.float32).tiny) | (x == 0)]
    same_bits(jit(lambda x: x.to(dtype), backend="native")(x), x.to(dtype))


def exact(x: Tensor, y: Tensor, i: Tensor) -> list[Tensor]:
    return [
        *(x * 2 + 1, x * y - y / 3, torch.where(x > y, x, y), x.clamp(-1, 0.5), x.relu()),
        *(
            x < y,
            x * y.float(),
            x.int(),
            x.double(),
            torch.full_like(x, 0.1),
            torch.cat([x, y]),
            x[i],
            x.mT.contiguous(),
        ),
        *(pad(x, (1, 1), value=0.3), x.repeat(2, 1), x.sort(1).values, x.argmax(1), x.amax(0), x.topk(2).values),
    ]


def with_numbers(x: Tensor, number: float | Tensor) -> list[Tensor]:
    """Operations that round the number to 16 bits, and some that do not."""
    results = [x > number, x == number, number <= x, x - number, number - x, x + number, x % number]
    return [*results, torch.where(x != number, x, 0), x * number, x / number]


@HALVES
@pytest.mark.parametrize("number", [0.1, 1 / 3, 1.7])
def test_operations_with_numbers_equal_eager_mode(number: float, dtype: torch.dtype) -> None:
    x = torch.cat([rand(50, dtype=dtype), torch.full((2,), number, dtype=dtype)])
    given = {
        "a constant": (jit(lambda x: with_numbers(x, number), backend="native")(x), number),
        "an argument": (jit(with_numbers, backend="native")(x, number), number),
        "a tensor": (jit(with_numbers, backend="native")(x, torch.tensor(number)), torch.tensor(number)),
    }
    for kind, (results, value) in given.items():
        for i, (got, want) in enumerate(zip(results, with_numbers(x, value), strict=True)):
            assert got.dtype == want.dtype and torch.equal(got, want), (kind, i)
    power = jit(lambda x: x.abs() ** number, backend="native")(x)
    assert_close(power, x.abs() ** number, rtol=torch.finfo(dtype).eps, atol=0)


@HALVES
def test_operations_with_integers_equal_eager_mode(dtype: torch.dtype) -> None:
    x, n = rand(4, 8, dtype=dtype), torch.arange(8) * 1500 + 257

    def f(x: Tensor, n: Tensor) -> list[Tensor]:
        results = [x * n, n * x, x + n, n - x, x / n, n / x, x < n, torch.where(x > 0, x, n)]
        return [*results, x * n[3], n[3] * x, x + n[3], x / n[3], n[3] / x, x * (n[3] * 1.0), (n[3] * 1.0) * x]

    for i, (got, want) in enumerate(zip(jit(f, backend="native")(x, n), f(x, n), strict=True)):
        assert got.dtype == want.dtype and torch.equal(got, want), i
    lanes = jit(fn.vmap(f, in_dims=(0, None)), backend="native")(x, n)
    for i, got in enumerate(lanes):
        assert torch.equal(got, torch.stack([f(row, n)[i] for row in x])), i


def near(x: Tensor, y: Tensor, i: Tensor) -> list[Tensor]:
    sums = [
        x.sum(1),
        x.mean(),
        x @ y.T,
        x.softmax(-1),
        x.cumsum(1),
        x.index_add(0, i, y[:5]),
        layer_norm(x, x.shape[-1:]),
    ]
    return [*sums, torch.add(x, y, alpha=0.3), x.tanh() * y.sigmoid(), gelu(x), x.exp().log1p()]


@HALVES
def test_operations_equal_eager_mode(dtype: torch.dtype) -> None:
    x, y, i = rand(7, 33, dtype=dtype), rand(7, 33, dtype=dtype, seed=1), torch.tensor([3, 0, 6, 3, 1])
    for got, want in zip(jit(exact, backend="native")(x, y, i), exact(x, y, i), strict=True):
        assert got.dtype == want.dtype and torch.equal(got, want)
    assert_close(jit(near, backend="native")(x, y, i), near(x, y, i), rtol=2 * torch.finfo(dtype).eps, atol=1e-3)


@HALVES
def test_lanes_equal_eager_mode(dtype: torch.dtype) -> None:
    x, y, i = rand(19, 3, 5, dtype=dtype), rand(19, 3, 5, dtype=dtype, seed=1), torch.tensor([2, 0])
    f = lambda x, y, i: [x * y - y / 3, x[i], pad(x, (1, 0)), x.sum(1), (x @ y.T).relu(), x > y]  # noqa: E731
    got = jit(fn.vmap(f, in_dims=(0, 0, None)), backend="native")(x, y, i)
    want = [torch.stack(column) for column in zip(*(f(a, b, i) for a, b in zip(x, y, strict=True)), strict=True)]
    assert_close(got, want, rtol=2 * torch.finfo(dtype).eps, atol=1e-3)


@HALVES
def test_carries_of_a_scan_and_gradients(dtype: torch.dtype) -> None:
    x = rand(40, dtype=dtype)

    def f(x: Tensor) -> list[Tensor]:
        carry, sums = fn.scan(lambda c, _: (c * 0.5 + x, c.amax()), x, length=3)
        return [carry, sums, fn.grad(lambda x: (x * x).float().sum())(x)]

    for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
        assert got.dtype == want.dtype and torch.equal(got, want)


def test_bits_of_converted_float16_do_not_depend_on_their_neighbours() -> None:
    """Vectors are converted by instructions, short rows by integer arithmetic; both give the same bits, also of NaN."""
    every = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(torch.float16)
    wide = torch.arange(-(1 << 31), 1 << 31, 65_521).to(torch.int32).view(torch.float32)
    convert = jit(lambda x, y: (x.float(), y.half()), backend="native")
    whole, half = convert(every, wide)
    for i in range(0, len(every), 4099):
        single, rounded = convert(every[i : i + 3], wide[i : i + 3])
        assert torch.equal(single.view(torch.int32), whole[i : i + 3].view(torch.int32))
        assert torch.equal(rounded.view(torch.int16), half[i : i + 3].view(torch.int16))


def in_stages(x: Tensor, y: Tensor, i: Tensor) -> list[Tensor]:
    """Compute in bodies with several conversions, of views with all kinds of strides."""
    return [
        *(x * y * 2 - x, (x * 3).float() + y, x + y[:, :1], x[:, :1] * y[:1], x.flip(1) * y, x[:, ::2] * 2),
        *(x.mT + y.mT, torch.where(x > y, 1.5, x * 2), (x * y).int(), i * x, x[:, i[0] % x.shape[1]] * y),
        *(torch.cat([x * 2, y], 1), x.amax(1), (x * 2).amax(0), x.half() * y, x.bfloat16() + y.half()),
    ]


@pytest.mark.parametrize("columns", [130, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 17, 64))])
def test_rows_of_float16_of_any_length(columns: int) -> None:
    x, y = rand(5, columns, dtype=torch.float16), rand(5, columns, dtype=torch.float16, seed=1)
    i = torch.arange(columns).expand(5, -1)
    for got, want in zip(jit(in_stages, backend="native")(x, y, i), in_stages(x, y, i), strict=True):
        same_bits(got, want) if want.dtype.itemsize == 2 and want.is_floating_point() else assert_close(got, want)


@HALVES
@pytest.mark.parametrize("rounding_mode", ["trunc", pytest.param("floor", marks=pytest.mark.slow)])
def test_quotients_are_rounded_before_their_digits_are_dropped(dtype: torch.dtype, rounding_mode: str) -> None:
    """17.99 / 3 rounds to 6 in 16 bits."""
    x, y = 30 * rand(2048, dtype=dtype), rand(2048, dtype=dtype, seed=1)
    y[:3], x[1:5] = torch.tensor([0.0, -0.0, math.inf]), torch.tensor([0.0, 1.0, -0.0, math.nan])
    for divisor in (y, 0.7):
        divide = partial(torch.div, other=divisor, rounding_mode=rounding_mode)
        same_bits(jit(divide, backend="native")(x), divide(x))
