"""jit raises for a dtype if and only if torch's kernel does."""

import operator

import pytest
import torch
from torch.nn import functional

import funcnet as fn
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

DTYPES = [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float64, torch.complex64]
UNARY = [
    *(operator.neg, operator.invert, torch.abs, torch.sign, torch.sqrt, torch.exp, torch.floor, torch.round),
    *(torch.frac, torch.square, torch.relu, torch.sigmoid, torch.erf, torch.signbit, torch.isnan, torch.logical_not),
    *(torch.mean, torch.sum, torch.prod, torch.amax, torch.argmax, torch.max, torch.var, torch.median, torch.trace),
    *(functional.gelu, functional.silu, functional.softplus, functional.elu, functional.mish, functional.hardshrink),
    *(lambda x: x.cumsum(0), lambda x: x.cumprod(0), lambda x: x.logsumexp(0), lambda x: x.logcumsumexp(0)),
    *(lambda x: x.softmax(0), lambda x: x.log_softmax(0), lambda x: x.sort()[0], lambda x: x.clamp(0, 1)),
    *(lambda x: x @ x, lambda x: x[0] @ x[0], lambda x: torch.addcdiv(x, x, x), lambda x: torch.lerp(x, x, 0.5)),
    *(lambda x: x.mean(dtype=torch.float32), lambda x: x.clone().neg_(), lambda x: x.clone().sub_(True)),
]
BINARY = [
    *(operator.sub, operator.add, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow),
    *(operator.and_, operator.or_, operator.xor, torch.rsub, torch.maximum, torch.fmod, torch.atan2, torch.eq),
    *(torch.copysign, torch.logaddexp, torch.gcd, torch.heaviside, torch.lt, torch.logical_and, torch.ldexp),
]
CALLS = [(f, (torch.ones(2, 2, dtype=d),)) for f in UNARY for d in DTYPES]
CALLS += [(f, (torch.ones(2, 2, dtype=d), torch.ones(2, 2, dtype=e))) for f in BINARY for d in DTYPES for e in DTYPES]
NUMBERS = [(f, n, torch.ones(2, 2, dtype=d)) for f in BINARY for n in (True, 2, 2.5) for d in DTYPES]


def outcome(run):
    try:
        (result,) = run()
        return result.dtype
    except (RuntimeError, TypeError, NotImplementedError):
        return "refused"


def compare(calls):
    differing = []
    for f, args in calls:
        eager = outcome(lambda f=f, args=args: [f(*args)])
        traced = outcome(
            lambda f=f, args=args: trace(lambda given: [f(*given)], [spec_of(x) for x in args]).block.results
        )
        if eager != traced:
            differing.append((f, [x.dtype for x in args], eager, traced))
    return differing


@pytest.mark.filterwarnings("ignore")
def test_tensors_are_accepted_or_refused_as_in_eager_mode():
    differing = compare(CALLS)
    known = [entry for entry in differing if entry[0] is torch.var]  # torch's rule returns a complex variance
    assert differing == known


@pytest.mark.parametrize("side", ["left", "right"])
def test_numbers_are_accepted_or_refused_as_in_eager_mode(side):
    turned = (lambda f, n: lambda x: f(n, x)) if side == "left" else (lambda f, n: lambda x: f(x, n))
    differing = compare([(turned(f, n), (x,)) for f, n, x in NUMBERS])
    # bool ** True is a bool in eager mode only
    assert all((dtypes, traced) == ([torch.bool], torch.int64) for _, dtypes, _, traced in differing)
    assert len(differing) <= 1


def test_dtypes_of_convolutions_are_taken_and_refused_as_in_eager_mode():
    convolve = lambda x, w: functional.conv1d(x, w, dilation=3, groups=2)  # noqa: E731
    x, w = torch.ones(1, 4, 9), torch.ones(6, 2, 3)
    kinds = [torch.int64, torch.float32, torch.float64]
    assert compare([(convolve, (x.to(d), w.to(e))) for d in kinds for e in kinds]) == []


def by_mask(x, number):
    x = x.clone()
    x[x > 0] = number
    return x


FILLS = {
    "full": lambda x, n: torch.full((2,), n, dtype=x.dtype),
    "full_like": torch.full_like,
    "new_full": lambda x, n: x.new_full((2,), n),
    "fill": torch.fill,
    "fill_": lambda x, n: x.clone().fill_(n),
    "scalar_tensor": lambda x, n: torch.scalar_tensor(n, dtype=x.dtype),
    "masked_fill": lambda x, n: x.masked_fill(x > 0, n),
    "masked_fill_": lambda x, n: x.clone().masked_fill_(x > 0, n),
    "a mask": by_mask,
    "index_fill": lambda x, n: x.index_fill(0, torch.tensor([0]), n),
    "scatter": lambda x, n: x.scatter(0, torch.tensor([0]), n),
    "where": lambda x, n: torch.where(x > 0, n, x),
    "pad": lambda x, n: functional.pad(x, (1, 1), value=n),
    "fill_diagonal_": lambda x, n: torch.stack([x, x]).fill_diagonal_(n),
    "linspace": lambda x, n: torch.linspace(0, n, 3, dtype=x.dtype),
}
NARROW = [torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16, torch.float32]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILLS)
def test_a_number_beyond_its_dtype_is_refused_as_in_eager_mode(name):
    calls = [
        (lambda x, n=n: FILLS[name](x, n), (torch.ones(2, dtype=dtype),))
        for dtype in NARROW
        if (name, dtype) != ("linspace", torch.float16)  # here the infinity is made by another rule
        for n in (200, 255.0, -1, 300, -300, 2**31, 2**40, 1e40, -0.5, float("nan"), float("inf"), True)
    ]
    assert compare(calls) == []
    with pytest.raises(RuntimeError, match="value cannot be converted to type uint8_t without overflow"):
        fn.jit(lambda x: FILLS[name](x, 300))(torch.ones(2, dtype=torch.uint8))


@pytest.mark.parametrize("f", [lambda m: 1.0 - m, lambda m: m - m, lambda m: -m, lambda m: m - 1])
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: f,
        fn.jit,
        lambda f: fn.vmap(f),
        lambda f: fn.jit(fn.vmap(f)),
        lambda f: fn.jit(lambda m: fn.vmap(f)(m)),
    ],
)
def test_arithmetic_of_masks_raises_torchs_error_in_every_mode(f, transform):
    with pytest.raises(RuntimeError, match="with (a bool|two bool|a bool) tensors? is not supported|on a bool tensor"):
        transform(f)(torch.tensor([[True, False]]))


def test_decompositions_may_compute_with_masks():
    f = lambda x, m: functional.binary_cross_entropy_with_logits(x, m.float()) + x.masked_fill(m, 0.0).var()  # noqa: E731
    x, m = torch.randn(5), torch.tensor([True, False, True, True, False])
    assert torch.allclose(fn.jit(f)(x, m), f(x, m))


def test_a_refused_number_does_not_refuse_its_dtype():
    x = torch.tensor([1, 2])
    with pytest.raises(RuntimeError, match="Integers to negative integer powers"):
        fn.jit(lambda x: x**-1)(x)
    assert torch.equal(fn.jit(lambda x: x**2)(x), x**2)


@pytest.mark.parametrize("f", [torch.remainder, torch.minimum, torch.div], ids=lambda f: f.__name__)
def test_a_bool_operand_in_forward_mode(f):
    """torch's derivative formulas subtract the tangent of a bool, a bool tensor of zeros, which its kernels refuse."""
    mask, x = torch.tensor(True), torch.tensor([0.5, 1.5, 2.5])
    for derivative in (lambda x: fn.jvp(lambda y: f(mask, y), (x,), (x,)), fn.jacfwd(lambda y: f(mask, y))):
        assert fn.tree.difference(fn.jit(derivative)(x), derivative(x), atol=1e-6) is None
