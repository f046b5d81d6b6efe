"""Elementwise operations equal ATen's at unusual shapes, strides and values, over lanes, on every backend."""

import math

import pytest
import torch
from backends import BACKENDS, FLOATS, check, check_alone, rand, rows
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

nan, inf = math.nan, math.inf
EDGES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    3.5,
    1e-30,
    -1e-30,
    1e-42,
    88.0,
    90.0,
    -88.0,
    -105.0,
    1e30,
    -1e30,
    inf,
    -inf,
    nan,
]


NAMES = """abs neg exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sigmoid tanh sin cos tan asin acos
atan
sinh cosh asinh acosh atanh erf erfc floor ceil trunc round frac sign square relu isnan isinf isfinite logical_not
signbit lgamma"""
UNARY = {name: getattr(torch, name) for name in NAMES.split()}
PERIODIC = (
    "sin",
    "cos",
    "tan",
    "lgamma",
    "sinh",
    "cosh",
)  # the libraries differ at large arguments


# torch.compile computes these with an absolute error of the order of eps, so small results and the sign of -0 are
# wrong, and acosh is infinite where the square overflows. They are compared on [-1.5, 1.5].
ROUGH = {torch.float32: ("expm1", "atanh", "erf", "acosh"), torch.float64: ("expm1", "atanh")}
# torch.compile returns either of two zeros as the larger one, and +0 as a remainder that is zero.
UNSIGNED = ("fmax", "fmin", "remainder")


def without(table, *names: str):
    return {name: f for name, f in table.items() if name not in names}


def edges(dtype: torch.dtype, backend: str) -> Tensor:
    """Return edge cases, without denormals for native kernels, which flush them (see test_denormals)."""
    x = torch.tensor(EDGES, dtype=dtype)
    return x if backend != "native" else x[(x == 0) | ~(x.abs() < torch.finfo(dtype).tiny)]


def check_elements(table, *args: Tensor, backend: str, **bounds: float) -> None:
    """Check a table without lanes and, except on inductor, over lanes: inductor would compile the same loop again."""
    if backend == "inductor":
        check_alone(table, *args, backend=backend, unsigned=UNSIGNED, **bounds)
    else:
        check(table, *args, backend=backend, **bounds)


@pytest.mark.few(1)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_unary_at_edges(dtype: torch.dtype, backend: str) -> None:
    x = edges(dtype, backend)
    near = x[(x.abs() < 80) | ~x.isfinite()]
    unary = without(UNARY, *ROUGH[dtype]) if backend == "inductor" else UNARY
    table, small = without(unary, *PERIODIC), torch.linspace(-1.5, 1.5, 3001, dtype=dtype)
    wide = torch.linspace(-90, 90, 4001, dtype=dtype)
    if backend != "inductor":
        check(table, x, backend=backend, ulp=8)
    check_alone(table, torch.cat([x, wide]), backend=backend, ulp=8)
    check_elements({name: UNARY[name] for name in PERIODIC}, near, backend=backend, ulp=8)
    check_elements(without(unary, "lgamma"), small, backend=backend, ulp=8)
    if backend == "inductor":
        rough = {name: UNARY[name] for name in ROUGH[dtype]}
        check_alone(rough, small, backend=backend, atol=8 * torch.finfo(dtype).eps)


BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "alpha": lambda x, y: torch.add(x, y, alpha=0.3),
    "less": lambda x, y: torch.sub(x, y, alpha=0.3),
    "rsub": lambda x, y: torch.rsub(x, y),
    "floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "fmax": torch.fmax,
    "fmin": torch.fmin,
    "atan2": torch.atan2,
    "hypot": torch.hypot,
    "copysign": torch.copysign,
    "pow": lambda x, y: torch.pow(x.abs(), y),
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "eq": torch.eq,
    "ne": torch.ne,
    "where": lambda x, y: torch.where(x < y, x, y),
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "addcmul": lambda x, y: torch.addcmul(x, x, y, value=0.5),
    "addcdiv": lambda x, y: torch.addcdiv(x, x, y.abs() + 1, value=0.5),
}


QUOTIENTS = ("floor", "trunc", "remainder", "fmod")
SUMS = ("alpha", "less", "lerp", "addcmul", "addcdiv")  # sums of products, which may cancel
PAIRS = [((3, 5), (5,)), ((2, 1, 3), (4, 1)), ((), (7,)), ((1,), (1,)), ((0, 3), (3,)), ((33,), (33,))]


@pytest.mark.parametrize("dtype, backend", rows(FLOATS, inductor=[(torch.float32,)]))
def test_binary_at_edges(dtype: torch.dtype, backend: str) -> None:
    x = edges(dtype, backend)
    a, b = (side.clone() for side in torch.cartesian_prod(x, x).unbind(-1))
    check_elements(without(BINARY, *QUOTIENTS, *SUMS), a, b, backend=backend)
    exact = ((a / b).abs() < 1e6) & b.isfinite()  # beyond 2^24 a float32 quotient has no unit digit
    if backend == "inductor" and dtype == torch.float32:
        exact &= (a / b != 0) | (a == 0)  # it rounds the quotient first: the floor of -1e-60 is -0
    table, unsigned = {name: BINARY[name] for name in QUOTIENTS}, UNSIGNED if backend == "inductor" else ()
    check_alone(table, a[exact], b[exact], backend=backend, unsigned=unsigned)


@pytest.mark.few(4)
@pytest.mark.parametrize("shapes, dtype, backend", rows(PAIRS, FLOATS, inductor=[(PAIRS[0], FLOATS[0])]))
def test_binary_broadcasts(shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype, backend: str) -> None:
    a, b = (rand(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes))
    check_elements(BINARY, a, b, backend=backend, ulp=8, atol=8 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype, backend", rows(FLOATS, inductor=[(torch.float64,)], quick=[(torch.float32,)]))
def test_binary_strides(dtype: torch.dtype, backend: str) -> None:
    a, b, c = rand(5, 3, dtype=dtype), rand(3, 5, dtype=dtype), rand(9, dtype=dtype)
    for left, right in ((a.t(), b), (c[::2], rand(5, dtype=dtype).flip(0))):
        check_elements(BINARY, left, right, backend=backend, ulp=8, atol=8 * torch.finfo(dtype).eps)


INTEGERS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "sub": lambda a, b: a - b,
    "floor": lambda a, b: a // b,
    "trunc": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
    "remainder": lambda a, b: a % b,
    "fmod": torch.fmod,
    "div": lambda a, b: a / b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "not": lambda a, b: ~a,
    "shl": lambda a, b: a << (b & 15),
    "shr": lambda a, b: a >> (b & 15),
    "shr5": lambda a, b: a >> 5,
    "abs": lambda a, b: a.abs(),
    "neg": lambda a, b: -a,
    "sign": lambda a, b: a.sign(),
    "max": torch.maximum,
    "fmax": torch.fmax,
    "fmin": torch.fmin,
    "rounded": lambda a, b: [a.floor(), a.ceil(), a.trunc() + a.round(), torch.floor(b + 1)],
    "lt": lambda a, b: a < b,
    "special": lambda a, b: [a.isinf(), a.isnan(), a.isfinite()],
    "float": lambda a, b: a.float() * 0.5,
    "pow": lambda a, b: a ** (b & 3),
    "square": lambda a, b: a**2,
    "clamp": lambda a, b: a.clamp(-5, 5),
    "sum": lambda a, b: a.sum(),
    "truth": lambda a, b: [a.any(), b.all(0)],
    "mixed": lambda a, b: a.double() + b * 0.5,
    "narrow": lambda a, b: a.to(torch.int32) + b.to(torch.int32),
}


SIGNED = ("sign", "abs", "neg", "sum", "pow", "square", "shr5")


WIDTHS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]


@pytest.mark.few(4)
@pytest.mark.parametrize("dtype, backend", rows(WIDTHS, inductor=[(torch.int64,), (torch.uint8,)]))
def test_integers_wrap_and_round_as_in_aten(dtype: torch.dtype, backend: str) -> None:
    table = without(INTEGERS, *SIGNED) if dtype == torch.uint8 else INTEGERS
    if dtype == torch.uint8 and backend == "inductor":
        table = without(table, "truth")  # any and all of uint8 are bool in inductor, uint8 in ATen
    info = torch.iinfo(dtype)
    a = torch.tensor([info.max, info.min, 7, -7 % (info.max + 1), 5, 100, 0], dtype=dtype)
    b = torch.tensor([info.max, 3, 2, 2, info.max, 100, 1], dtype=dtype)
    check_elements(table, a, b, backend=backend)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_floats_beyond_short_integers_lose_their_high_bits(dtype: torch.dtype) -> None:
    """At every position: a C compiler may saturate in vectors and not in scalars."""
    x = torch.tensor([-1, 255, 256, 300, -129, 128, 32768, -40000, 1e6, -1e6, 65535, 70000, 5], dtype=dtype).repeat(3)

    def f(x: Tensor) -> list[Tensor]:
        return [x.to(kind) for kind in (torch.int8, torch.uint8, torch.int16)]

    for got, lanes, want in zip(jit(f, backend="native")(x), jit(fn.vmap(f), backend="native")(x), f(x), strict=True):
        assert torch.equal(got, want)
        assert torch.equal(lanes, want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_integer_division_by_zero_is_an_error(backend: str) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        jit(lambda a, b: a // b, backend=backend)(torch.tensor([1]), torch.tensor([0]))


BOOLEANS = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "not": lambda a, b: ~a,
    "logical": lambda a, b: torch.logical_and(a, b) | torch.logical_not(b),
    "eq": lambda a, b: a == b,
    "lt": lambda a, b: a < b,
    "ge": lambda a, b: a >= b,
    "mul": lambda a, b: a * b,
    "add": lambda a, b: a + b,
    "number": lambda a, b: a * 2.5 + b.to(torch.int32),
    "sum": lambda a, b: a.sum(),
    "where": lambda a, b: torch.where(a, b, ~b),
    "cat": lambda a, b: torch.cat([a, b]),
    "gather": lambda a, b: a[b.long()],
    "any": lambda a, b: (a & b).any(),
    "all": lambda a, b: a.all(),
    "max": lambda a, b: a.max(),
    "fmax": lambda a, b: torch.fmax(a, b) ^ torch.fmin(b, a[0]),
    "cumsum": lambda a, b: a.cumsum(0),
    "special": lambda a, b: [a.isinf(), a.isnan(), a.isfinite()],
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_booleans(backend: str) -> None:
    a, b = torch.tensor([True, True, False, False, True]), torch.tensor([True, False, True, False, True])
    check(BOOLEANS, a, b, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rounding_to_float32_and_back(backend: str) -> None:
    """gcc 12 dropped the rounding of some elements when it vectorised both conversions."""
    x = rand(2, 5, 6, dtype=torch.float64)
    check(lambda x: x.float().softmax(-1, dtype=torch.float64), x, backend=backend)
