"""Pools in native kernels where a window holds nothing above -inf, little but margin, or only equals."""

import pytest
import torch
from lanes import check
from torch import Tensor
from torch.nn import functional

import funcnet as fn

inf = torch.inf
OPTIONS = [
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 2, "stride": 1, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 3)},
    {"kernel_size": (2, 3), "stride": 3, "padding": (1, 1), "dilation": (3, 1)},
    {"kernel_size": (1, 5), "stride": (4, 1), "padding": (0, 2)},
]
IMAGES = {
    "nothing": torch.full((2, 6, 7), -inf),
    "one": torch.full((2, 6, 7), -inf).index_put(
        (torch.tensor(1), torch.tensor(3), torch.tensor(4)), torch.tensor(-3.0)
    ),
    "corner": torch.full((2, 6, 7), -inf).index_put(
        (torch.tensor(0), torch.tensor(5), torch.tensor(6)), torch.tensor(inf)
    ),
    "equals": torch.full((2, 6, 7), -1.0),
    "rows": torch.tensor([-inf, -1.0, -inf, -inf, -2.0, -1.0])[:, None].expand(2, 6, 7).contiguous(),
}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", IMAGES)
def test_where_the_largest_is(name: str, options: dict) -> None:
    def f(x: Tensor) -> list[Tensor]:
        y, index = functional.max_pool2d(x, **options, return_indices=True)
        weight = torch.arange(1.0, y.numel() + 1).reshape(y.shape)
        finite = lambda x: (functional.max_pool2d(x, **options).clamp(-5, 5) * weight).sum()  # noqa: E731
        pulled = fn.vjp(lambda x: functional.max_pool2d(x, **options), x)[1](weight)
        return [y, index, *pulled, fn.grad(finite)(x)]

    check(f, IMAGES[name])


@pytest.mark.parametrize("length", [1, 2, 5])
def test_lines_shorter_than_their_windows(length: int) -> None:
    def f(x: Tensor) -> list[Tensor]:
        best = functional.max_pool1d(x, 5, 1, 2, return_indices=True)
        means = [functional.avg_pool1d(x, 5, 2, 2, count_include_pad=include) for include in (True, False)]
        return [*best, *means]

    check(f, torch.arange(3.0 * length).neg().reshape(1, 3, length), bound=1e-6)
    check(lambda x: f(x)[:2], torch.full((1, 1, length), -inf))
