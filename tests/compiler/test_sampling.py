"""Samples of images at places in native kernels: values and derivatives are those of torch's kernels."""

from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

import funcnet as fn
from funcnet.compiler import jit

MODES = [*product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True))]
FEW = [("bilinear", "zeros", False), ("bicubic", "reflection", True)]
SHAPES = [((2, 3, 5, 4), (3, 2)), ((1, 2, 1, 1), (2, 3)), ((2, 1, 3, 4, 5), (2, 1, 3))]


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


def check(modes: list[tuple[str, str, bool]], x: Tensor, grid: Tensor) -> None:
    def results(x: Tensor, grid: Tensor) -> list[Tensor]:
        return [grid_sample(x, grid, *mode) for mode in modes]

    def loss(x: Tensor, grid: Tensor) -> Tensor:
        return sum(y.sin().sum() for y in results(x, grid))

    leaves = x.clone().requires_grad_(), grid.clone().requires_grad_()
    want = results(x, grid), torch.autograd.grad(loss(*leaves), leaves)
    compiled = jit(lambda *args: (results(*args), fn.grad(loss, argnums=(0, 1))(*args)), backend="native")
    assert not compiled.explain(x, grid).calls
    bound = 256 * torch.finfo(x.dtype).eps
    torch.testing.assert_close(compiled(x, grid), want, rtol=bound, atol=bound)


def test_values_and_gradients() -> None:
    check(FEW, numbers(2, 3, 5, 4), 1.5 * numbers(2, 3, 2, 2))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape, counts", SHAPES)
def test_all_modes(shape: tuple[int, ...], counts: tuple[int, ...], dtype: torch.dtype) -> None:
    modes = [mode for mode in MODES if len(shape) == 4 or mode[0] != "bicubic"]
    grid = 1.5 * numbers(shape[0], *counts, len(counts), dtype=dtype)
    for mode in modes:
        check([mode], numbers(*shape, dtype=dtype), grid)


@pytest.mark.slow
def test_places_far_outside_and_at_edges() -> None:
    inf, nan = torch.inf, torch.nan
    grid = torch.tensor([[nan, 0], [inf, 0], [-inf, 0.3], [1e4, 0], [1, -1], [-1, 1], [3, 0.2]])[None, None]
    results = [partial(grid_sample, mode=mode, padding_mode=pad, align_corners=align) for mode, pad, align in MODES]
    x = numbers(1, 2, 3, 4, dtype=torch.float32)
    got = jit(lambda x, grid: [f(x, grid) for f in results], backend="native")(x, grid)
    torch.testing.assert_close(got, [f(x, grid) for f in results], equal_nan=True)


@pytest.mark.parametrize("mode", FEW)
def test_forward_and_second_derivatives(mode: tuple[str, str, bool]) -> None:
    x, grid, tangent = numbers(1, 2, 3, 4), 1.2 * numbers(1, 2, 2, 2), numbers(1, 2, 2, 2).flip(1)
    f = lambda grid: grid_sample(x, grid, *mode).sin().sum()  # noqa: E731
    slope = lambda grid: fn.jvp(f, (grid,), (tangent,))[1]  # noqa: E731
    torch.testing.assert_close(slope(grid), (fn.grad(f)(grid) * tangent).sum())
    near = [fn.grad(f)(grid + step * tangent) for step in (1e-6, -1e-6)]
    torch.testing.assert_close(fn.grad(slope)(grid), (near[0] - near[1]) / 2e-6, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_lanes() -> None:
    x, grid = numbers(5, 1, 2, 4, 4), numbers(5, 1, 3, 3, 2)
    f = partial(grid_sample, align_corners=False)
    want = torch.stack([*map(f, x, grid)])
    torch.testing.assert_close(jit(fn.vmap(f), backend="native")(x, grid), want)


def test_volumes_have_no_cubic_samples() -> None:
    x, grid = numbers(1, 1, 2, 2, 2), numbers(1, 1, 1, 1, 3)
    f = partial(grid_sample, mode="bicubic", align_corners=False)
    for run in (jit(f, backend="eager"), lambda x, grid: fn.jvp(f, (x, grid), (x, grid))):
        with pytest.raises(RuntimeError, match="bicubic interpolation only supports 4D input"):
            run(x, grid)
