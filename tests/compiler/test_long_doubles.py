"""Native functions of float64 are within 2 ulp of long doubles, over all bit patterns, without and with lanes."""

import math

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

np = pytest.importorskip("numpy")  # its long doubles

nan, inf = math.nan, math.inf

TO_THE_EDGE = {  # functions of float64, with those of long doubles, whose error is 2^-11 ulp
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "log10": np.log10,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
HARD = (
    6381956970095103 * 2.0**797,
    5.706674932067741e15,
    1e22,
)  # the first is the float closest to a multiple of pi / 2


def doubles(count: int, seed: int) -> Tensor:
    """Return random bits of float64, numbers of several sizes and near 1, multiples of pi / 2, and edge cases."""
    generator = torch.Generator().manual_seed(seed)
    every = torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator).view(torch.float64)
    near = torch.randn(count, generator=generator, dtype=torch.float64)
    scaled = near * torch.exp2(torch.randint(-60, 60, (count,), generator=generator).double())
    turns = torch.arange(count) ** 2 * (math.pi / 2)
    edges = torch.tensor(
        [0.0, inf, nan, 1.0, 0.5, 2.0, 710.0, 1e300, 2.0**-1022, 1.7976931348623157e308, *HARD]
    ).double()
    found = torch.cat([every.nan_to_num(nan, inf, -inf), near, scaled, 1 + near / 1000, turns, edges, -edges])
    return flushed(found)


def flushed(x: Tensor) -> Tensor:
    """Replace denormals by zero, as kernels do."""
    return torch.where(x.abs() < torch.finfo(x.dtype).tiny, 0.0, x)


def long_ulps(got: Tensor, want: "np.ndarray") -> Tensor:
    """Return the distance from a long double in units of its last place as a float64; denormals may be zero."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float64)
        unit = np.spacing(np.minimum(np.abs(rounded), np.finfo(np.float64).max).clip(np.finfo(np.float64).tiny))
        distance = np.abs((got.numpy().astype(np.longdouble) - want) / unit).astype(np.float64)
    same = (got.numpy() == rounded) & ~np.isfinite(rounded) | (np.isnan(rounded) & got.isnan().numpy())
    same |= (np.abs(rounded) < np.finfo(np.float64).tiny) & (np.abs(got.numpy()) <= np.finfo(np.float64).tiny)
    return torch.from_numpy(np.where(same, 0.0, distance)).nan_to_num(inf)


COUNTS = [2_000, pytest.param(1_000_000, marks=pytest.mark.slow)]
WIDER = pytest.mark.skipif(np.finfo(np.longdouble).eps > 2.0**-60, reason="long doubles have no more digits here")


@WIDER
@pytest.mark.parametrize("count", COUNTS)
def test_float64_functions_of_one_argument(count: int) -> None:
    x = doubles(count, 4)
    f = lambda x: [getattr(torch, name)(x) for name in TO_THE_EDGE]  # noqa: E731
    for run in (jit(f, backend="native"), jit(fn.vmap(f), backend="native")):
        for (name, reference), got in zip(TO_THE_EDGE.items(), run(x), strict=True):
            with np.errstate(all="ignore"):
                wrong = long_ulps(got, reference(x.numpy().astype(np.longdouble)))
            assert wrong.max() <= 2, (name, wrong.max(), x[wrong.argmax()], got[wrong.argmax()])


@WIDER
@pytest.mark.parametrize("count", COUNTS)
def test_float64_powers(count: int) -> None:
    """Bases of all sizes and signs; exponents of all sizes, whole ones, and those of results that are just finite."""
    x = torch.cat([doubles(count, 5), doubles(count, 6).abs(), doubles(count, 7)])
    y = torch.cat([doubles(count, 8), flushed(doubles(count, 9) / 100), doubles(count, 10).clamp(-300, 300).round()])
    for run in (jit(torch.pow, backend="native"), jit(fn.vmap(torch.pow), backend="native")):
        got = run(x, y)
        with np.errstate(all="ignore"):
            wrong = long_ulps(got, np.power(x.numpy().astype(np.longdouble), y.numpy().astype(np.longdouble)))
        place = wrong.argmax()
        assert wrong[place] <= 2, (wrong[place], x[place], y[place], got[place])
