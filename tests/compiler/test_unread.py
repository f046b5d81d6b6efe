"""Statements whose results nothing reads are not in a kernel, unless they may report an error."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from funcnet.compiler import jit

nan, inf = math.nan, math.inf
LINES = [[nan, 1, 2], [1, nan, 5], [-inf, -inf, -3], [2, 2, 1], [inf, nan, inf], [-0.0, 0.0, -1]]


def loops(f, *args: Tensor) -> str:
    return jit(f, backend="native").lower(*args).as_text("loops")


def test_indices_that_nothing_reads() -> None:
    x = torch.ones(3, 4)
    assert "int64" in loops(lambda x: [*x.cummax(1)], x)
    assert "int64" not in loops(lambda x: x.cummax(1).values, x)


def test_an_unread_index_out_of_range_is_an_error() -> None:
    def f(x: Tensor, i: Tensor) -> Tensor:
        return torch.cummax(x[i], 0).values.sum() * 0 + x.sum()

    with pytest.raises(IndexError):
        jit(f, backend="native")(torch.ones(3), torch.tensor([5]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_running_extrema_of_special_values(dtype: torch.dtype) -> None:
    x = torch.tensor(LINES, dtype=dtype)
    f = lambda x: [x.cummax(1).values, x.cummin(1).values, x.cummax(0).values]  # noqa: E731
    for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
        assert_close(got, want, rtol=0, atol=0, equal_nan=True)
