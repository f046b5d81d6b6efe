"""The remainders of rows are computed in a vector that overlaps the last full one; results equal those op by op."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from funcnet.compiler import jit
from funcnet.compiler.native.target import Target

SIZES = [[5, 17, 31], pytest.param([4, 7, 9, 13, 15, 33, 47, 65, 511], marks=pytest.mark.slow)]


def rows(count: int, size: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.randn(count, size, generator=generator, dtype=torch.float64).to(dtype)


def activations(x: Tensor, b: Tensor) -> list[Tensor]:
    """Elements of one row, with the sums of rows and of columns of the same terms."""
    y = torch.tanh(x + b)
    return [y, y.sum(0), y.sum(1), y.amax(1), torch.softmax(x * b, -1), torch.where(x > 0, y, x.exp() + 1)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_of_every_remainder(dtype: torch.dtype, sizes: list[int]) -> None:
    def all_sizes(args: list[tuple[Tensor, Tensor]]) -> list[list[Tensor]]:
        return [activations(x, b) for x, b in args]

    args = [(rows(3, size, dtype), rows(1, size, dtype)[0]) for size in sizes]
    assert_close(jit(all_sizes, backend="native")(args), all_sizes(args))


def test_rows_that_are_overwritten() -> None:
    """The elements in both vectors are computed from what is in memory before the first of them is stored."""

    def f(x: Tensor) -> Tensor:
        x = x * 1
        for _ in range(3):
            x[:, 1:] = torch.tanh(x[:, 1:]) + 1
        return x

    x = rows(3, 32, torch.float32)
    assert_close(jit(f, backend="native")(x), f(x))


def test_the_remainder_is_a_vector() -> None:
    """A row of one element less than two vectors has a remainder, a row of two vectors has none."""
    width = Target.host().vector // 4
    text = {
        size: jit(lambda x: torch.tanh(x + x[0])).lower(rows(3, size, torch.float32)).as_text("c")
        for size in (2 * width - 1, 2 * width)
    }
    assert f"w < {width};" in text[2 * width - 1] and f"i1 < {width};" in text[2 * width - 1]
    assert f"w < {width};" not in text[2 * width] and f"i1 < {2 * width};" in text[2 * width]
