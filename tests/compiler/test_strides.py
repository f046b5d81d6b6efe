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
    """Columns as rows, sums along them in two sizes of numbers, and columns beside each other."""
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


def hides(f: Callable[[Tensor], Tensor], stride: int) -> bool:
    return f"= hidden({stride});" in jit(f).lower(columns(stride, torch.float32)).as_text("c")


def test_gcc_sees_the_strides_of_neighbours_only() -> None:
    """It reads every 16th element alone by a vector of them if it does not see the stride, and pairs if it does."""
    assert hides(lambda x: x.T.exp().sum(1), 16)
    assert not hides(lambda x: (x[:, 0] * x[:, 1]).exp(), 16)
    assert not hides(lambda x: x.exp().sum(1), 16)
