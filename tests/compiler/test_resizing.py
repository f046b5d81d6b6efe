"""Resizing and padding by the edge in native kernels: values and gradients are those of torch's kernels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import funcnet as fn
from funcnet.compiler import jit

AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3, "nearest": 2, "nearest-exact": 3}
SIZES = {
    "larger": {"size": 7},
    "smaller": {"size": 3},
    "one": {"size": 1},
    "twice": {"scale_factor": 2.0},
    "by a fraction": {"scale_factor": 1.7},
    "by a small fraction": {"scale_factor": 0.6},
    "by a rounded fraction": {"scale_factor": 1.3, "recompute_scale_factor": True},
}
PADDINGS = {3: [(2, 3), (-1, 2)], 4: [(1, 2, 3, 0), (1, -2, -1, 2)], 5: [(1, 1, 0, 2, 3, 1)]}


def numbers(ndim: int, dtype: torch.dtype) -> Tensor:
    draw = torch.Generator().manual_seed(ndim)
    return torch.randn((2, 3, 5, 4, 2)[:ndim], generator=draw, dtype=torch.float64).to(dtype)


def check(resizes: dict[Any, Callable[[Tensor], Tensor]], x: Tensor) -> None:
    """Compare the values and gradients of resizes in one kernel."""

    def gradient(resize: Callable[[Tensor], Tensor]) -> Tensor | None:
        leaf = x.clone().requires_grad_()
        resize(leaf).sin().sum().backward()
        return leaf.grad

    @partial(jit, backend="native")
    def compiled(x: Tensor) -> Any:
        return {
            name: (resize(x), fn.grad(lambda x, resize=resize: resize(x).sin().sum())(x))
            for name, resize in resizes.items()
        }

    bound = 32 * torch.finfo(x.dtype).eps
    assert not compiled.explain(x).calls
    for name, got in compiled(x).items():
        want = resizes[name](x), gradient(resizes[name])
        torch.testing.assert_close(got, want, rtol=bound, atol=bound, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_empty_results_are_torchs_error(mode: str) -> None:
    resize = partial(functional.interpolate, scale_factor=0.5, mode=mode)
    with pytest.raises(RuntimeError, match="sizes should be greater than 0"):
        jit(resize, backend="eager")(numbers(4, torch.float32)[:, :, :1])


def test_bytes_are_rounded_as_by_torch() -> None:
    x = torch.randint(0, 256, (1, 1, 5, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    resize = partial(functional.interpolate, size=(3, 9), mode="bilinear")
    assert torch.equal(jit(resize, backend="eager")(x), resize(x))


def test_images_twice_as_large() -> None:
    x = numbers(4, torch.float32)
    check({"twice": partial(functional.interpolate, scale_factor=2.0, mode="bilinear")}, x)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", AXES)
def test_all_modes_and_sizes(mode: str, dtype: torch.dtype) -> None:
    aligned = (None,) if "nearest" in mode else (False, True)
    resizes = {
        (size, align): partial(functional.interpolate, mode=mode, align_corners=align, **options)
        for size, options in SIZES.items()
        for align in aligned
    }
    check(resizes, numbers(AXES[mode] + 2, dtype))


@pytest.mark.slow
def test_lanes() -> None:
    def f(x: Tensor) -> Tensor:
        return functional.interpolate(x, 7, mode="bicubic").sin().sum()

    x = torch.stack([numbers(4, torch.float64) + i for i in range(3)])
    want = torch.stack([fn.grad(f)(each) for each in x])
    torch.testing.assert_close(jit(fn.vmap(fn.grad(f)), backend="native")(x), want)


@pytest.mark.slow
@pytest.mark.parametrize("ndim", PADDINGS)
def test_padding_by_the_edge(ndim: int) -> None:
    pads = {widths: partial(functional.pad, pad=widths, mode="replicate") for widths in PADDINGS[ndim]}
    check(pads, numbers(ndim, torch.float64))


@pytest.mark.parametrize("mode", ["nearest", "linear", "bilinear", "bicubic"])
def test_empty_results_are_refused_as_in_torch(mode: str) -> None:
    x = torch.ones(1, 1, *[4] * AXES[mode])
    for f in (functional.interpolate, jit(functional.interpolate, static_argnames=("size", "mode"))):
        with pytest.raises(RuntimeError, match="sizes (should be )?greater than 0"):
            f(x, size=(0,) * AXES[mode], mode=mode)


def test_an_empty_mean_is_that_of_torch() -> None:
    pool = functional.adaptive_avg_pool2d
    assert jit(lambda x: pool(x, (0, 2)))(torch.ones(1, 4, 4)).shape == (1, 0, 2)
