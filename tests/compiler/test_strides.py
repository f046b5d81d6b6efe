"""Elements at equal distances in memory are read by vectors, whatever the distance; results equal those op by op."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from funcnet.compiler import jit


def columns(stride: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(stride)
    return torch.randn(53, stride, generator=generator, dtype=torch.float64).to(dtype)


def reads(x: Tensor) -> list[Tensor]:
    """Columns as rows, sums along them in two sizes of numbers, and columns next to each other."""
    wide = torch.logaddexp(x.T, x.T[:1])  # float64 inside
    pairs = x[:, 0] * x[:, -1] + x[:, 1]
    return [
        wide,
        wide.sum(1),
        x.T.exp().sum(1),
        x.T.amax(1),
        x.flip(0).T + x[0, 0],
        pairs,
        torch.stack([pairs, -pairs], 1),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stride", [2, 3, 16, pytest.param(64, marks=pytest.mark.slow)])
def test_strides(stride: int, dtype: torch.dtype) -> None:
    x = columns(stride, dtype)
    for got, want in zip(jit(reads, backend="native")(x), reads(x), strict=True):
        assert_close(got, want)


def test_a_write_at_indices_next_to_columns() -> None:
    def f(x: Tensor, i: Tensor) -> Tensor:
        return torch.zeros(4).index_put((i,), x[:, 1:3].exp(), accumulate=True)

    x, i = columns(16, torch.float32), torch.arange(106).reshape(53, 2) % 4
    assert_close(jit(f, backend="native")(x, i), f(x, i))


def hides(f: Callable[[Tensor], Tensor], stride: int) -> bool:
    return f"= hidden({stride});" in jit(f).lower(columns(stride, torch.float32)).as_text("c")


def test_gcc_sees_the_strides_of_neighbours_only() -> None:
    """It reads every 16th element by vectors if it does not see the stride, and pairs if it does."""
    assert hides(lambda x: x.T.exp().sum(1), 16)
    assert not hides(lambda x: (x[:, 0] * x[:, 1]).exp(), 2)
    assert not hides(lambda x: x.exp().sum(1), 16)


def reductions(x: Tensor) -> list[Tensor]:
    """Reductions of short rows, with and without other results, in two orders of the axes."""
    y = torch.tanh(x)
    return [
        y.sum(1),
        (x.exp() - 1).amax(1),
        torch.softmax(x, 1),
        torch.logsumexp(x, 1),
        y * 2,
        y.sum(1).sum(),
        y[:, 1:].prod(1),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "size", [3, 8, pytest.param(2, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
def test_short_rows(size: int, dtype: torch.dtype) -> None:
    x = columns(size, dtype)
    for got, want in zip(jit(reductions, backend="native")(x), reductions(x), strict=True):
        assert_close(got, want)


def test_a_row_has_the_bits_of_a_row_among_others() -> None:
    f = jit(lambda x: torch.logsumexp(x.double(), 1), backend="native")
    x = columns(5, torch.float32)
    assert torch.equal(f(x)[40:], f(x[40:])) and torch.equal(f(x)[:33], f(x[:33]))


def test_rows_of_a_reduction_are_in_the_inner_loop() -> None:
    text = jit(lambda x: torch.tanh(x).sum(1)).lower(torch.ones(64, 5)).as_text("c")
    assert "i0 < 5;" in text and "i1 < 64;" in text
