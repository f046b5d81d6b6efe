"""Binary searches equal ATen's, and the tensors that are searched may differ between lanes."""

import math

import pytest
import torch
from backends import check, rand
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit


def searches(line: Tensor, x: Tensor) -> list[Tensor]:
    line = line.sort(-1).values
    return [
        torch.searchsorted(line, x),
        torch.searchsorted(line, x, right=True, out_int32=True),
        torch.searchsorted(line, x[:1], side="right"),
        torch.bucketize(x, line),
        torch.bucketize(x, line, right=True),
        torch.searchsorted(line[:1], x),
        torch.searchsorted(line[:0], x),
        torch.searchsorted(line.expand(2, -1).contiguous(), x[:4].reshape(2, 2)),
        torch.searchsorted(line.flip(-1).contiguous(), x, sorter=torch.arange(len(line) - 1, -1, -1)),
    ]


@pytest.mark.parametrize("size", [2, 7, 64, 100])
def test_searches_of_ties_and_special_values(size: int) -> None:
    line = torch.arange(size, dtype=torch.float32) // 2
    x = torch.tensor([-1.0, 0.0, -0.0, 0.5, 1.0, 3.0, size, math.inf, -math.inf, math.nan])
    for got, want in zip(jit(searches, backend="native")(line, x), searches(line, x), strict=True):
        assert got.dtype == want.dtype and torch.equal(got, want)


def test_searches_in_lanes() -> None:
    check(searches, rand(9), rand(8, seed=1))


def test_searches_for_numbers_and_integers() -> None:
    line, x = torch.tensor([1, 3, 3, 7]), torch.tensor([[3], [0]])
    f = lambda line, x: [torch.searchsorted(line, 3), torch.searchsorted(line, x), torch.bucketize(x, line)]  # noqa: E731
    for got, want in zip(jit(f, backend="native")(line, x), f(line, x), strict=True):
        assert torch.equal(got, want)


def test_a_search_in_a_batch_of_lines() -> None:
    lines, x = rand(3, 2, 9).sort(-1).values, rand(3, 2, 5, seed=1)
    assert torch.equal(jit(torch.searchsorted, backend="native")(lines, x), torch.searchsorted(lines, x))
    across = jit(fn.vmap(torch.searchsorted), backend="native")(lines, x)
    assert torch.equal(across, torch.searchsorted(lines, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32, torch.int64])
def test_many_searches_in_long_lines(dtype: torch.dtype) -> None:
    """Positions are within the line by construction, so that reads are not checked and searches run in vectors."""
    line, x = ((rand(size, seed=size) * 300).to(dtype) for size in (1_001, 5_003))
    lines = torch.stack([line, line + 7]).sort(-1).values
    f = lambda lines, x: [  # noqa: E731
        torch.searchsorted(lines[0], x),
        torch.searchsorted(lines, torch.stack([x, x]), side="right"),
        torch.searchsorted(lines[1], x, out_int32=True),
    ]
    for got, want in zip(jit(f, backend="native")(lines, x), f(lines, x), strict=True):
        assert got.dtype == want.dtype and torch.equal(got, want)
    assert "hidden(n" not in jit(f).lower(lines, x).as_text("c")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_searches_for_computed_numbers(size: int) -> None:
    def f(line: Tensor, x: Tensor) -> list[Tensor]:
        sums = line.cumsum(0)
        found = sums[-1] * x
        return [found, torch.searchsorted(sums, found)]

    line, x = rand(size).abs(), torch.tensor([0.1577, 0.8176, 0.7728, 0.8793])
    assert torch.equal(jit(f, backend="native")(line, x)[1], f(line, x)[1])
