"""Results at zeros of both signs, infinities and NaN equal ATen's in native kernels, without and with lanes."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from backends import check, check_alone, same
from torch import Tensor

import funcnet as fn

nan, inf = math.nan, math.inf
POINTS = [0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 3.0, 2.5, -2.5, 6.0, -6.0, 30.0, -30.0, inf, -inf, nan]


def pairs(dtype: torch.dtype) -> list[Tensor]:
    """Return 256 pairs, a multiple of the vectors of ATen's kernels, which compute remaining elements differently."""
    x = torch.tensor(POINTS, dtype=dtype)
    return [side.clone() for side in torch.cartesian_prod(x, x).unbind(-1)]


BOUNDS = [(-1.0, 1.0), (None, 0.5), (0.0, None), (-0.0, None), (None, -0.0), (0.0, 0.0), (-0.0, 0.0), (2.0, 1.0)]
BOUNDS += [(nan, 1.0), (0.0, nan), (nan, None), (-inf, inf), (inf, -inf)]
CLAMPS = {f"clamp {low} {high}": lambda x, y, low=low, high=high: x.clamp(low, high) for low, high in BOUNDS} | {
    "between": lambda x, y: x.clamp(y, -y),
    "least": lambda x, y: x.clamp(min=y),
    "most": lambda x, y: x.clamp(max=y),
    "shared": lambda x, y: torch.clamp(x, y[:1], torch.ones_like(x)),
}


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
def test_clamps(dtype: torch.dtype) -> None:
    check(CLAMPS, *pairs(dtype), ulp=0, unsigned=("clamp None -0.0",))  # clang returns either zero as the smaller one


def cotangent(f):
    """Return the cotangents of f, also for a cotangent that makes the sign of zeros visible."""
    return lambda x, y: torch.func.vjp(f, x)[1](y)[0]


def of_both(f):
    return lambda x, y: fn.grad(lambda x, y: (f(x, y)).sum(), (0, 1))(x, y)


ACTIVATIONS = {
    "elu": F.elu,
    "elu 0.7": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.5),
    "hardswish": F.hardswish,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "softsign": F.softsign,
    "abs": torch.abs,
    "sign": torch.sign,
    "nan_to_num": torch.nan_to_num,
    "round": torch.round,
    "trunc": torch.trunc,
    "frac": torch.frac,
}
LOSSES = {
    "smooth_l1": lambda x, y: F.smooth_l1_loss(x, y, reduction="none"),
    "smooth_l1 2.5": lambda x, y: F.smooth_l1_loss(x, y, reduction="none", beta=2.5),
    "huber": lambda x, y: F.huber_loss(x, y, reduction="none", delta=2.5),
    "copysign": torch.copysign,
    "maximum": torch.maximum,
    "fmin": torch.fmin,
    "least": lambda x, y: x.clamp(min=y),
}
GRADIENTS = {f"of {name}": cotangent(f) for name, f in ACTIVATIONS.items()}
GRADIENTS |= {f"of both of {name}": of_both(f) for name, f in LOSSES.items()}
VALUES = {name: lambda x, y, f=f: f(x) for name, f in ACTIVATIONS.items()} | LOSSES


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
def test_activations_losses_and_their_gradients(dtype: torch.dtype) -> None:
    check(VALUES | GRADIENTS, *pairs(dtype))


def test_the_gradient_of_a_mean_of_smooth_l1() -> None:
    x, y = torch.tensor([0.25, -3.0, 2.0, 0.0]), torch.zeros(4)
    check(fn.grad(lambda x, y: F.smooth_l1_loss(x, y, beta=0.5)), x, y)


def gaussian(*shape: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


FACTORS = [(0, -0.5), (1, 0), (-2.0, 1)]
INNER = {
    "numbers": lambda left: left,
    "infinities": lambda left: left.index_fill(0, torch.tensor(1), inf),
    "zeros": lambda left: left * 0.0,
    "nothing": lambda left: left[:, :0],
}


def products(name: str, take) -> dict:
    """Return sums of a product and another term, by the factors of both."""

    def call(held: Tensor, left: Tensor, right: Tensor, **factors: float) -> Tensor:
        right = right[: left.shape[1]]
        if name == "addmv":
            return torch.addmv(held[:, 0], left, right[:, 0], **factors)
        stacked = (torch.stack([x, x]) for x in (left, right))
        return getattr(torch, name)(held, *((left, right) if name == "addmm" else stacked), **factors)

    return {(b, a): lambda x, y, z, b=b, a=a: call(x, take(y), z, beta=b, alpha=a) for b, a in FACTORS}


def differs_in_aten(name: str, kind: str, alpha: float) -> bool:
    """Tell whether ATen differs: small batches multiply by an alpha of 0."""
    return name == "baddbmm" and not alpha and kind == "infinities"


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
def test_products_that_are_added(dtype: torch.dtype) -> None:
    """A factor of 0 drops its term, infinities included, and an empty sum adds nothing, not even a zero."""
    held = torch.tensor([[nan, inf, -0.0, 1.0], [-0.0] * 4, [nan, -inf, 0.0, -0.0]], dtype=dtype)
    args = held, gaussian(3, 5, dtype=dtype), gaussian(5, 4, dtype=dtype)
    table = {
        f"{name} of {kind} by {factors}": f
        for name in ("addmm", "addmv", "addbmm", "baddbmm")
        for kind, take in INNER.items()
        for factors, f in products(name, take).items()
        if not differs_in_aten(name, kind, factors[1])
    }
    margin = 64 * torch.finfo(dtype).eps
    unsigned = [name for name in table if "zeros" in name]  # their sign depends on the processor in BLAS
    check_alone(table, *args, backend="native", atol=margin, unsigned=unsigned)
    f = lambda *args: [f(*args) for f in table.values()]  # noqa: E731
    got = fn.jit(fn.vmap(f), backend="native")(*(torch.stack([x] * 3) for x in args))
    same([x[1] for x in got], f(*args), list(table), ulp=4, atol=margin, unsigned=unsigned)


def test_negative_zeros_add_up_to_zero() -> None:
    """A product of one term keeps its sign, as in ATen."""
    for inner in (1, 3, 40):
        check_alone(torch.mm, torch.full((2, inner), -1.0), torch.zeros(inner, 2), backend="native", ulp=0)


def test_neighbours_of_denormal_numbers() -> None:
    tiny = torch.finfo(torch.float32).tiny
    x = torch.tensor([0.0, -0.0, 1e-45, -1e-45, tiny, -tiny, 3e-39, 1.0, inf, nan])
    a, b = (side.clone() for side in torch.cartesian_prod(x, x).unbind(-1))
    got, want = fn.jit(torch.nextafter, backend="native")(a, b), torch.nextafter(a, b)
    ordinary = ~want.isnan()
    assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(got.view(torch.int32)[ordinary], want.view(torch.int32)[ordinary])


def test_quotients_of_tiny_numbers() -> None:
    """Their remainders may be denormal where the quotients are not."""
    a = torch.tensor([3.258949952254897e-38, -2.517963541581554e-34, 1e-30, -3e-37])
    b = torch.tensor([2.137718922645738e-38, 2.7668703198342258e-37, 1.3e-34, 1.2e-37])
    got, remainder = fn.jit(lambda a, b: [a // b, a % b], backend="native")(a, b)
    assert torch.equal(got, a // b)
    torch.testing.assert_close(remainder, a % b, rtol=0, atol=torch.finfo(torch.float32).tiny)


@pytest.mark.parametrize("add", [torch.logaddexp, torch.logaddexp2])
def test_sums_of_exponentials_in_float64_among_lanes_of_float32(add: Callable) -> None:
    ends = torch.tensor([math.inf, -math.inf, math.nan, 0.0, -1.0, 88.0, -200.0, 3e38])
    x, y = torch.cartesian_prod(ends, ends).T

    def f(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        total, before = fn.scan(lambda c, z: (add(c, z.double()), c.float()), x.double(), torch.stack([y, x]))
        return add(x.double(), y.double()).float(), total - before.sum()

    torch.testing.assert_close(fn.jit(fn.vmap(f), backend="native")(x, y), fn.vmap(f)(x, y), equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_functions_of_mathematical_physics(dtype: torch.dtype) -> None:
    names = ("erfinv", "erfcx", "ndtri", "i0", "i0e", "i1", "i1e")
    x = torch.tensor([*POINTS, 800.0, -800.0, 1e30], dtype=dtype)
    f = lambda x: [getattr(torch.special, name)(x) for name in names]  # noqa: E731
    for run in (fn.jit(f, backend="native"), fn.jit(fn.vmap(f), backend="native")):
        for name, got, want in zip(names, run(x), f(x), strict=True):
            torch.testing.assert_close(got, want, rtol=30 * torch.finfo(dtype).eps, atol=0, equal_nan=True, msg=name)
            assert torch.equal(got.signbit() & ~want.isnan(), want.signbit() & ~want.isnan()), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bessel_functions_of_the_largest_numbers(dtype: torch.dtype) -> None:
    """Their reciprocals are denormal, which kernels flush to zero."""
    most = torch.finfo(dtype).max
    x = torch.tensor([most, -most, most / 2, -most / 3], dtype=dtype)
    f = lambda x: [getattr(torch.special, name)(x) for name in ("i0", "i0e", "i1", "i1e")]  # noqa: E731
    torch.testing.assert_close(fn.jit(f, backend="native")(x), f(x))
    torch.testing.assert_close(fn.jit(fn.vmap(f), backend="native")(x), f(x))
