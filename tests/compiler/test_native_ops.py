"""Every operation of the native backend equals ATen's: alone, over lanes, at odd shapes, strides and values."""

import math

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.graph import UnsupportedError

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


def rand(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def check(f, *args: Tensor, ulp: float = 4, atol: float = 0.0) -> None:
    """A call, 19 lanes (a ragged block) and lanes that share all but the first argument; floats to some ulp.

    f may be a table of functions, which then share one kernel.
    """
    if isinstance(f, dict):
        names, functions = list(f), list(f.values())
        f = lambda *args: [leaf for g in functions for leaf in listed(g(*args))]  # noqa: E731
        owners = [name for name, g in zip(names, functions, strict=True) for _ in listed(g(*args))]
    else:
        owners = ["result"] * len(listed(f(*args)))
    same(jit(f, backend="native")(*args), f(*args), owners, ulp, atol)
    stacked = [torch.stack([shift(arg, lane) for lane in range(19)], -1) for arg in args]
    want = stack([f(*(shift(arg, lane) for arg in args)) for lane in range(19)])
    same(jit(fn.vmap(f, in_dims=-1), backend="native")(*stacked), want, owners, ulp, atol)
    if len(args) > 1:
        first = torch.stack([shift(args[0], lane) for lane in range(3)])
        want = stack([f(one, *args[1:]) for one in first])
        dims = (0, *(None for _ in args[1:]))
        same(jit(fn.vmap(f, in_dims=dims), backend="native")(first, *args[1:]), want, owners, ulp, atol)


def listed(result) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def shift(x: Tensor, lane: int) -> Tensor:
    """Another value for each lane that keeps what kind of value it is: an index stays one, a special value too."""
    return x + lane / 16 if x.is_floating_point() else x


def stack(results) -> list[Tensor]:
    return [torch.stack(column) for column in zip(*map(listed, results), strict=True)]


def same(got, want, owners: list[str], ulp: float, atol: float) -> None:
    for a, b, name in zip(listed(got), listed(want), owners, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape, name
        if b.is_floating_point():
            rtol = max(ulp * torch.finfo(b.dtype).eps, 1e-13 if b.dtype == torch.float64 else 0)
            message = lambda text, name=name: f"{name}: {text}"  # noqa: E731
            tiny = torch.finfo(b.dtype).tiny
            torch.testing.assert_close(a, b, rtol=rtol, atol=atol or tiny, equal_nan=True, msg=message)
            zeros = (a == 0) & (b == 0)
            assert torch.equal(torch.signbit(a[zeros]), torch.signbit(b[zeros])), f"{name}: the sign of a zero"
        else:
            assert torch.equal(a, b), f"{name}: {a} is not {b}"


NAMES = """abs neg exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sigmoid tanh sin cos tan asin acos
atan
sinh cosh asinh acosh atanh erf erfc floor ceil trunc round frac sign square relu isnan isinf isfinite logical_not
signbit lgamma"""
UNARY = {name: getattr(torch, name) for name in NAMES.split()}
PERIODIC = ("sin", "cos", "tan", "lgamma", "sinh", "cosh")  # far out, both libraries reduce to other last digits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unary_at_edges(dtype: torch.dtype) -> None:
    x = torch.tensor(EDGES, dtype=dtype)
    near = x[(x.abs() < 80) | ~x.isfinite()]
    table = {name: f for name, f in UNARY.items() if name not in PERIODIC}
    check(table, x, ulp=8)
    check({name: UNARY[name] for name in PERIODIC}, near, ulp=8)
    check(table, torch.linspace(-90, 90, 4001, dtype=dtype), ulp=8)
    small = {name: f for name, f in UNARY.items() if name != "lgamma"}
    check(small, torch.linspace(-1.5, 1.5, 3001, dtype=dtype), ulp=8)


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
SUMS = ("alpha", "less", "lerp", "addcmul", "addcdiv")  # of products, which may cancel
PAIRS = [((3, 5), (5,)), ((2, 1, 3), (4, 1)), ((), (7,)), ((1,), (1,)), ((0, 3), (3,)), ((33,), (33,))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_at_edges(dtype: torch.dtype) -> None:
    x = torch.tensor(EDGES, dtype=dtype)
    a, b = (side.clone() for side in torch.cartesian_prod(x, x).unbind(-1))
    check({name: f for name, f in BINARY.items() if name not in (*QUOTIENTS, *SUMS)}, a, b)
    exact = ((a / b).abs() < 1e6) & b.isfinite()  # a quotient past 2^24 has no unit digit to agree on
    for name in QUOTIENTS:
        same(jit(BINARY[name], backend="native")(a[exact], b[exact]), BINARY[name](a[exact], b[exact]), [name], 4, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("left, right", PAIRS)
def test_binary_broadcasts(left: tuple[int, ...], right: tuple[int, ...], dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    check(BINARY, rand(*left, dtype=dtype), rand(*right, dtype=dtype, seed=1), ulp=8, atol=8 * eps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_strides(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    check(BINARY, rand(5, 3, dtype=dtype).t(), rand(3, 5, dtype=dtype), ulp=8, atol=8 * eps)
    check(BINARY, rand(9, dtype=dtype)[::2], rand(5, dtype=dtype).flip(0), ulp=8, atol=8 * eps)


SHAPES = {
    "permute": lambda x: x.permute(2, 0, 1) * 2,
    "transpose": lambda x: x.transpose(0, 2).contiguous(),
    "reshape": lambda x: x.permute(2, 0, 1).reshape(-1),
    "view": lambda x: (x + 1).reshape(6, 5),
    "unsqueeze": lambda x: x.unsqueeze(1) + 1,
    "squeeze": lambda x: x[:1].squeeze(0) + 1,
    "expand": lambda x: x[:, :1].expand(2, 4, 5) + 0,
    "slice": lambda x: x[:, 1:, ::2] + 0,
    "select": lambda x: x[1, :, -1] * 3,
    "flip": lambda x: x.flip(0, 2) + 0,
    "diagonal": lambda x: x[0, :, :].diagonal(1) + 0,
    "unfold": lambda x: x.unfold(2, 3, 2) + 0,
    "split": lambda x: torch.add(*x.split(1, 0)),
    "chunk": lambda x: x.chunk(3, 1)[1] + 0,
    "unbind": lambda x: sum(x.unbind(2)),
    "cat": lambda x: torch.cat([x, x * 2, x[:, :1]], 1),
    "stack": lambda x: torch.stack([x, -x], 1),
    "pad": lambda x: torch.nn.functional.pad(x, (1, 2, -1, 1), value=3.5),
    "repeat": lambda x: x.repeat(2, 1, 1, 3),
    "tile": lambda x: x.tile(2),
    "roll": lambda x: x.roll(2, 2),
    "tril": lambda x: x.tril(1),
    "triu": lambda x: x.triu(),
    "outer": lambda x: torch.outer(x[0, 0], x[1, 1]),
    "movedim": lambda x: x.movedim(0, -1) + 1,
    "zeros": lambda x: torch.zeros_like(x) + x.new_ones(5),
    "arange": lambda x: x + torch.arange(5, dtype=x.dtype) * torch.arange(2.0, 5.0, dtype=x.dtype)[:, None],
    "full": lambda x: torch.full((2, 3), 2.5, dtype=x.dtype),
    "eye": lambda x: torch.eye(3, dtype=x.dtype) @ x[0],
    "linspace": lambda x: torch.linspace(0, 1, 5, dtype=x.dtype) + x,
    "one_hot": lambda x: torch.nn.functional.one_hot((x > 0).long(), 3),
    "itself": lambda x: x,
    "twice": lambda x: [x, x, x.sum(0)],
}


FLOATING = ("zeros", "arange", "eye", "linspace")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_shapes(dtype: torch.dtype) -> None:
    table = {name: f for name, f in SHAPES.items() if dtype.is_floating_point or name not in FLOATING}
    x = rand(2, 3, 5, dtype=torch.float64).mul(10).to(dtype)
    check(table, x)
    check(table, x.permute(1, 0, 2).contiguous().permute(1, 0, 2))


REDUCTIONS = {
    "sum": lambda x: x.sum(),
    "sum0": lambda x: x.sum(0),
    "sum1": lambda x: x.sum(1, keepdim=True),
    "sum02": lambda x: x.sum((0, 2)),
    "mean": lambda x: x.mean(-1),
    "prod": lambda x: x.prod(1),
    "amax": lambda x: x.amax(2),
    "amin": lambda x: x.amin((0, 1)),
    "max": lambda x: x.max(),
    "max1": lambda x: list(x.max(1)),
    "min1": lambda x: list(x.min(2, keepdim=True)),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(),
    "any": lambda x: (x > 1).any(1),
    "all": lambda x: (x < 1).all(),
    "var": lambda x: x.var(1),
    "std": lambda x: x.std(),
    "norm": lambda x: torch.linalg.vector_norm(x),
    "norm1": lambda x: torch.linalg.vector_norm(x, 1, dim=1),
    "logsumexp": lambda x: x.logsumexp(1),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(2),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]),
    "count": lambda x: (x > 0).sum(1),
    "weighted": lambda x: (x * x.sum(0)).sum(-1),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 2, 1), (3, 50, 33), (4, 2, 100)])
def test_reductions(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    check(REDUCTIONS, rand(*shape, dtype=dtype), ulp=64, atol=400 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dim", [0, 1])
def test_reductions_of_nothing(dim: int) -> None:
    names = ("sum", "prod", "any", "all", "mean")
    check({name: lambda x, name=name: getattr(x, name)(dim) for name in names}, torch.zeros(0, 3))


def test_extrema_pass_nan_on() -> None:
    x = torch.tensor([[1.0, nan, 3.0], [4.0, 5.0, -inf]])
    for f in (lambda x: list(x.max(1)), lambda x: list(x.min(0)), torch.argmax, lambda x: x.amax(0)):
        check(f, x)


PRODUCTS = [
    ((4, 2), (2, 3)),
    ((4, 10), (10, 1)),
    ((1, 7), (7, 5)),
    ((33, 17), (17, 35)),
    ((64, 64), (64, 32)),
    ((5, 0), (0, 3)),
    ((2, 64), (64, 16)),
    ((130, 3), (3, 70)),
    ((150, 131), (131, 140)),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("left, right", PRODUCTS)
def test_products(left, right, dtype) -> None:
    a, b = rand(*left, dtype=dtype), rand(*right, dtype=dtype, seed=3)
    eps = torch.finfo(dtype).eps * max(left[1], 1)
    table = {
        "mm": torch.mm,
        "transposed": lambda a, b: (b.t() * 2) @ (a + 1).t(),
        "gram": lambda a, b: a.t() @ a,
        "outer": lambda a, b: b @ b.t(),
        "mv": lambda a, b: a @ b[:, 0],
        "vm": lambda a, b: a[0] @ b,
        "bmm": lambda a, b: torch.stack([a, a * 2]) @ b,
        "dot": lambda a, b: a[0] @ b[:, 0],
    }
    check(table, a, b, ulp=left[1] + 16, atol=32 * eps)


INDEXED = {
    "gather": lambda x, i: x.gather(1, i[:, None] % 5),
    "index": lambda x, i: x[i],
    "index1": lambda x, i: x[:, i],
    "negative": lambda x, i: x[-i],
    "pair": lambda x, i: x[i, i % 5],
    "split": lambda x, i: x[:, None, :].expand(4, 2, 5)[i, :, i % 5],
    "select": lambda x, i: x.index_select(1, i),
    "take": lambda x, i: torch.take_along_dim(x, i[:, None] % 5, 1),
    "embedding": lambda x, i: torch.nn.functional.embedding(i[None], x),
    "scatter": lambda x, i: torch.zeros(4, 5, dtype=x.dtype).scatter(1, i[:, None] % 5, x[:, :1]),
    "scatter_number": lambda x, i: x.scatter(0, i[None], 2),
    "scatter_add": lambda x, i: x.scatter_add(0, i[:, None].expand(4, 5), x * 2),
    "index_put": lambda x, i: torch.ops.aten.index_put(x, [i], x * 3, True),
    "index_put1": lambda x, i: torch.ops.aten.index_put(x, [None, i], x[:, :4], False),
    "index_add": lambda x, i: x.index_add(0, i, x),
    "masked_fill": lambda x, i: x.masked_fill(x > 0, 2),
    "slice_scatter": lambda x, i: torch.slice_scatter(x, x[:2] * 2, 0, 1, 3),
    "select_scatter": lambda x, i: torch.select_scatter(x, x[0] * 2, 0, 1),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_indexed(dtype: torch.dtype) -> None:
    x, index = rand(4, 5, dtype=torch.float64).mul(10).to(dtype), torch.tensor([3, 0, 3, 1])
    check(INDEXED, x, index, ulp=16)
    check({name: lambda i, x, f=f: f(x, i) for name, f in INDEXED.items()}, index, x, ulp=16)
    rows = torch.stack([(index + lane) % 4 for lane in range(18)])
    every = lambda x, i: [f(x, i) for f in INDEXED.values()]  # noqa: E731
    want = stack([every(x, row) for row in rows])
    same(jit(fn.vmap(every, in_dims=(None, 0)), backend="native")(x, rows), want, list(INDEXED), 16, 0)


def test_gradients_through_indices() -> None:
    def f(x, i):
        return fn.grad(lambda x: (x[i] ** 2).sum() + x.gather(1, i[:, None])[:, 0].exp().sum() + x[1, 2:].sum())(x)

    check(f, rand(4, 5), torch.tensor([3, 0, 3, 1]), ulp=16, atol=1e-6)


@pytest.mark.parametrize("lanes", [False, True])
def test_an_index_out_of_range_is_an_error(lanes: bool) -> None:
    f = lambda x, i: x[i]  # noqa: E731
    with pytest.raises(IndexError, match="out of the range"):
        jit(fn.vmap(f, in_dims=(None, 0)) if lanes else f, backend="native")(torch.zeros(3), torch.tensor([[0], [3]]))


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
    "float": lambda a, b: a.float() * 0.5,
    "pow": lambda a, b: a ** (b & 3),
    "square": lambda a, b: a**2,
    "clamp": lambda a, b: a.clamp(-5, 5),
    "sum": lambda a, b: a.sum(),
    "truth": lambda a, b: [a.any(), b.all(0)],
    "mixed": lambda a, b: a.double() + b * 0.5,
    "narrow": lambda a, b: a.to(torch.int32) + b.to(torch.int32),
}


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8])
def test_integers_wrap_and_round_as_in_aten(dtype: torch.dtype) -> None:
    signed = ("sign", "abs", "neg", "sum", "pow", "square", "shr5")
    table = {name: f for name, f in INTEGERS.items() if dtype != torch.uint8 or name not in signed}
    info = torch.iinfo(dtype)
    a = torch.tensor([info.max, info.min, 7, -7 % (info.max + 1), 5, 100, 0], dtype=dtype)
    b = torch.tensor([info.max, 3, 2, 2, info.max, 100, 1], dtype=dtype)
    check(table, a, b)


def test_integer_division_by_zero_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        jit(lambda a, b: a // b, backend="native")(torch.tensor([1]), torch.tensor([0]))


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
}


def test_booleans() -> None:
    check(BOOLEANS, torch.tensor([True, True, False, False, True]), torch.tensor([True, False, True, False, True]))


def test_constants_known_to_the_c_compiler() -> None:
    """gcc 12 folds this program, and the first row of its result came out as ones."""
    f = lambda: torch.nn.functional.one_hot(torch.arange(5) % 4, 4).repeat_interleave(2, 1)  # noqa: E731
    assert torch.equal(jit(f, backend="native")(), f())


def test_a_scaled_sum_is_rounded_once() -> None:
    a = torch.full((16,), 1 + 2**-12)
    check(lambda a: torch.add(-(a * a), a, alpha=1 + 2**-12), a)
    assert jit(lambda a: torch.add(-(a * a), a, alpha=1 + 2**-12), backend="native")(a)[0] == 2**-24


def test_rounding_to_float32_and_back() -> None:
    """gcc 12 dropped the rounding of some elements where it vectorised both conversions."""
    x = rand(2, 5, 6, dtype=torch.float64)
    check(lambda x: x.float().softmax(-1, dtype=torch.float64), x)


def test_what_is_lacking_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"aten.median"):
        jit(lambda x: x.median(), backend="native")(torch.zeros(3))


def test_a_function_that_lacks_for_integers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from funcnet.compiler import ops

    monkeypatch.setitem(ops.RULES, "sign", ops.elementwise(lambda e, x: e("lgamma", x)))
    with pytest.raises(UnsupportedError, match="lgamma of i64"):
        jit(torch.sign, backend="native")(torch.arange(3))
