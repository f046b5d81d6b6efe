"""Native functions of float32 are within 4 ulp of their float64 values, over all bit patterns, without and with lanes.

Kernels flush denormals to zeros of the same sign. So the value at zero is also correct for a denormal argument, and if
the exact value is denormal, any number below the least normal one is correct.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

TINY = torch.finfo(torch.float32).tiny
nan, inf = math.nan, math.inf

CLOSE = """exp2 sin cos tan asin acos atan sinh cosh asinh acosh atanh log2 log10 erf erfc lgamma"""
SPECIAL = """erfinv erfcx ndtri i0 i0e i1 i1e"""
NAMES = """exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sigmoid tanh sin cos tan asin acos atan sinh cosh
asinh acosh atanh erf erfc lgamma sinc square logit"""
POWERS = (0.5, -0.5, 1 / 3, 0.75, 1.5, 2.5, 2, 3, 7, -1, -2, -3, 0.1, 0, 1)
ITSELF = {
    **{name: getattr(torch, name) for name in NAMES.split()},
    **{f"power {p}": lambda x, p=p: x**p for p in POWERS},
    **{f"power of {b}": lambda x, b=b: b**x for b in (0.9, 0.999, 1.5, 10.0)},
    "logit between": lambda x: torch.logit(x, 1e-3),
    "selu": F.selu,
    "softsign": F.softsign,
    "xlogy": lambda x: torch.xlogy(x, x),
    "logaddexp": lambda x: torch.logaddexp(x, -x / 2),
    "logaddexp2": lambda x: torch.logaddexp2(x, -x / 2),
}


def tail(x: Tensor) -> Tensor:
    return torch.erfc(-x / math.sqrt(2)) / 2


def gate(x: Tensor) -> Tensor:
    return torch.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))


def odds(x: Tensor) -> Tensor:
    n = x.clamp(max=30).exp()
    return n * (n + 2)


# functions whose formula loses digits in float64, too, with accurate ones
OTHERWISE = {
    "silu": (F.silu, lambda x: x * torch.sigmoid(x)),
    "gelu": (F.gelu, lambda x: x * tail(x)),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), lambda x: x * gate(x)),
    "mish": (F.mish, lambda x: x * (odds(x) / (odds(x) + 2))),
    "softplus": (F.softplus, lambda x: torch.where(x > 20, x, x.exp().log1p())),
    "softplus 3": (lambda x: F.softplus(x, 3, 15), lambda x: torch.where(3 * x > 15, x, (3 * x).exp().log1p() / 3)),
    "logsigmoid": (F.logsigmoid, lambda x: x.clamp(max=0) - (-x.abs()).exp().log1p()),
    "elu": (F.elu, lambda x: torch.where(x > 0, x, x.expm1())),
    "celu": (lambda x: F.celu(x, 1.5), lambda x: torch.where(x > 0, x, 1.5 * (x / 1.5).expm1())),
    "hardswish": (F.hardswish, lambda x: x * ((x + 3).clamp(0, 6) / 6)),
    "hardsigmoid": (F.hardsigmoid, lambda x: (x + 3).clamp(0, 6) / 6),
}
UNARY = {**{name: (f, f) for name, f in ITSELF.items()}, **OTHERWISE}
NAMES_OF_TWO = ("atan2", "hypot", "fmod", "logaddexp", "logaddexp2", "pow", "xlogy")
BINARY = {name: getattr(torch, name) for name in NAMES_OF_TWO}
CANCELLING = {"logaddexp": 1e-7, "logaddexp2": 1e-7}  # near a zero, only the last digits of float64 are left


def bits(count: int, seed: int) -> Tensor:
    """Return random bit patterns of float32, numbers of the order of 1, 10 and 100, and edge cases."""
    generator = torch.Generator().manual_seed(seed)
    every = torch.randint(-(2**31), 2**31, (count,), generator=generator).to(torch.int32).view(torch.float32)
    near = torch.randn(count, generator=generator) * torch.tensor([1.0, 10.0, 100.0]).repeat(-(-count // 3))[:count]
    edges = torch.tensor([0.0, inf, nan, 1.0, 0.5, 3.0, 20.0, 87.4, 88.8, 91.0, 104.0, TINY, TINY / 2, 3.4e38, 1e20])
    return torch.cat([every.nan_to_num(nan, inf, -inf), near, edges, -edges])


def ulps(got: Tensor, want: Tensor, term: float = 0.0) -> Tensor:
    """Return the distance in units of the last place of a float64 value, or of the term that limits its accuracy."""
    most = torch.finfo(torch.float32).max
    _, exponent = torch.frexp(want.abs().clamp(max(TINY, term), most))
    same = (got == want.float()) | (got.isnan() & want.isnan()) | ((want.abs() < TINY) & (got.abs() < TINY))
    distance = (got.double().clamp(-2 * most, 2 * most) - want.clamp(-2 * most, 2 * most)).abs()
    return torch.where(same, 0.0, (distance / torch.exp2(exponent.double() - 24)).nan_to_num(inf))


def error(got: Tensor, reference, args: tuple[Tensor, ...], term: float = 0.0) -> Tensor:
    """Return the smaller of the errors at the arguments and at those with denormals replaced by zeros."""
    flushed = [torch.where(x.abs() < TINY, torch.copysign(torch.zeros(()), x), x) for x in args]
    return torch.minimum(*(ulps(got, reference(*(x.double() for x in given)), term) for given in (args, flushed)))


def hold(table, args: tuple[Tensor, ...], most: float = 4.0) -> None:
    """Check a table in one program, without and with lanes."""
    f = lambda *args: [f(*args) for f, _ in table.values()]  # noqa: E731
    for run in (jit(f, backend="native"), jit(fn.vmap(f), backend="native")):
        for (name, (_, reference)), got in zip(table.items(), run(*args), strict=True):
            wrong = error(got, reference, args, CANCELLING.get(name, 0.0))
            place = wrong.argmax()
            assert wrong[place] <= most, (name, wrong[place], [x[place] for x in args], got[place])


COUNTS = [2_000, pytest.param(1_000_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", COUNTS)
def test_functions_of_one_argument(count: int) -> None:
    hold(UNARY, (bits(count, 0),))


@pytest.mark.parametrize("count", COUNTS)
def test_functions_of_two_arguments(count: int) -> None:
    hold({name: (f, f) for name, f in BINARY.items()}, (bits(count, 1), bits(count, 2)))


@pytest.mark.parametrize("count", COUNTS)
def test_functions_that_round_nearly_as_the_exact_ones(count: int) -> None:
    """A result within 1.49 ulp of the exact value is at most one float away from its rounded value."""
    table = {name: getattr(torch, name) for name in CLOSE.split()}
    table |= {name: getattr(torch.special, name) for name in SPECIAL.split()}
    x = torch.cat([bits(count, 3), torch.rand(count, generator=torch.Generator().manual_seed(4))])
    hold({name: (f, f) for name, f in table.items()}, (x,), 1.49)


def test_large_angles() -> None:
    """Multiples of pi / 2 and their neighbours, up to the largest float; math.sin reduces them exactly."""
    nearest = torch.arange(1, 2000, dtype=torch.float64) ** 4 * (math.pi / 2)
    x = torch.cat([nearest.float(), 1.1 ** torch.arange(900).clamp(max=920), torch.tensor([16367173 * 2.0**72])])
    x = x[x.isfinite()]
    for got, f in zip(
        jit(lambda x: (x.sin(), x.cos(), x.tan()), backend="native")(x), (math.sin, math.cos, math.tan), strict=True
    ):
        want = torch.tensor([f(v) for v in x.tolist()], dtype=torch.float64)
        assert ulps(got, want).max() <= 1, (f, x[ulps(got, want).argmax()])


def test_a_far_angle_does_not_change_the_others() -> None:
    """A nest that meets one runs again; the sum and the values of the other elements stay as they were."""
    x = torch.linspace(-12_799, 12_799, 3001)
    far = x.clone()
    far[7] = 1e30

    def f(x: Tensor) -> tuple[Tensor, ...]:
        return x.sin(), x.cos(), x.tan(), x.double().sin(), x[8:].sin().sum()

    run, lanes = jit(f, backend="native"), jit(fn.vmap(lambda x: (x.sin(), x.cos(), x.tan())), backend="native")
    for a, b, c in zip(run(x), run(far), lanes(far), strict=False):
        assert torch.equal(torch.cat([a[:7], a[8:]]), torch.cat([b[:7], b[8:]]))
        assert torch.equal(b, c)
    assert torch.equal(run(x)[-1], run(far)[-1])
    assert abs(run(far)[0][7] - math.sin(far[7].item())) < 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_many_functions_of_one_element(dtype: torch.dtype) -> None:
    """Such a nest calls C functions that are not inlined; the bits are those of a loop."""
    x = torch.cat([torch.tensor([1.0, -1.0, 2.5, -2.5, 300.7, 1e30]), torch.linspace(-3, 3, 50)]).to(dtype)

    def f(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        others = (x.asin() + x.acos() + x.atan() + x.sinh() + x.cosh() + x.lgamma(), x.exp() + x.erf() + x.digamma())
        logarithms = x.expm1(), x.log1p(), x.log(), x.log2(), x.log10()
        return x.hypot(y), x.sin(), x.cos(), x.tan(), x.asin(), *others, *logarithms

    run, y = jit(f, backend="native"), 0.7 * (2 - x)
    for of_all, *each in zip(run(x.repeat(4), y.repeat(4)), *map(run, x.split(1), y.split(1)), strict=True):
        assert torch.equal(of_all[: len(x)].nan_to_num(0.5), torch.cat(each).nan_to_num(0.5))


def test_angles_in_a_nest_that_overwrites_its_argument() -> None:
    x = torch.tensor([0.5, 1e30, -3.0]).repeat(40)
    got = jit(lambda x: fn.scan(lambda x, _: (x.sin() + x, None), x, length=2)[0], backend="native")(x)
    want = x.double()
    for _ in range(2):
        want = torch.tensor([math.sin(v) for v in want.float().tolist()], dtype=torch.float64) + want
    torch.testing.assert_close(got, want.float(), rtol=1e-6, atol=1e-6)


def gradient(f):
    return fn.grad(lambda x: f(x).sum())


GRADIENTS = {
    "gelu": (F.gelu, lambda x: tail(x) + x * (-x * x / 2).exp() / math.sqrt(2 * math.pi)),
    "softplus": (F.softplus, lambda x: torch.where(x > 20, 1.0, torch.sigmoid(x))),
    "softplus 3": (lambda x: F.softplus(x, 3, 15), lambda x: torch.where(3 * x > 15, 1.0, torch.sigmoid(3 * x))),
    "logsigmoid": (F.logsigmoid, lambda x: torch.sigmoid(-x)),
    "elu": (F.elu, lambda x: torch.where(x > 0, 1.0, x.exp())),
    "power": (lambda x: x.abs() ** (1 / 3), lambda x: x.sign() * x.abs() ** (-2 / 3) / 3),
    "power of": (lambda x: 0.9**x, lambda x: 0.9**x * math.log(0.9)),
    "hardsigmoid": (F.hardsigmoid, lambda x: (x.abs() < 3).double() / 6),
}


def test_gradients() -> None:
    """The derivative of gelu has a zero, near which its terms cancel."""
    x = torch.cat([torch.linspace(-80, 80, 3001), torch.linspace(-5, 5, 3001)])
    got = jit(lambda x: [gradient(f)(x) for f, _ in GRADIENTS.values()], backend="native")(x)
    for (name, (_, reference)), value in zip(GRADIENTS.items(), got, strict=True):
        want = reference(x.double())
        wrong = ulps(value, want, 0.3 if name == "gelu" else 0.0)
        assert wrong.max() <= 4, (name, wrong.max(), x[wrong.argmax()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_remainders_are_exact(dtype: torch.dtype) -> None:
    """Of quotients with few and with many digits, and where the rounded quotient is the next integer."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(3_000, dtype=dtype, generator=generator)
    x = y * torch.cat([torch.arange(-1000, 1000), 10.0 ** torch.linspace(-3, 30, 1000)]).to(dtype)
    x, y = torch.cat([x, x.nextafter(y), x.nextafter(-y)]), y.repeat(3)
    x = torch.where(x.abs() < 1e-30, 0.0, x)  # kernels flush denormals
    want = torch.tensor([math.fmod(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)], dtype=dtype)
    few = x.abs() < y.abs() * 1e6
    for given in (torch.ones_like(few), few):
        for run in (jit(torch.fmod, backend="native"), jit(fn.vmap(torch.fmod), backend="native")):
            assert torch.equal(run(x[given], y[given]), want[given])
        floored = jit(torch.remainder, backend="native")(x[given], y[given])
        away = (want < 0) != (y < 0)
        assert torch.equal(floored, torch.where(away & (want != 0), want + y, want)[given])


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
def test_a_negative_argument_of_lgamma_does_not_change_the_others(dtype: torch.dtype) -> None:
    x = torch.linspace(0.01, 300, 3001, dtype=dtype)
    other = x.clone()
    other[7] = -2.5
    run, lanes = jit(torch.lgamma, backend="native"), jit(fn.vmap(torch.lgamma), backend="native")
    for a, b, c in zip(run(x), run(other), lanes(other), strict=True):
        assert b == c and (a == b or b == run(other)[7])
    torch.testing.assert_close(run(other)[7], torch.lgamma(other[7]))
