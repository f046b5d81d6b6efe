"""Python numbers as arguments are traced; where Python needs their values they are constants."""

import math
import warnings

import pytest
import torch
from torch.nn import functional as F

import funcnet as fn
from funcnet.compiler import jit, reuse
from funcnet.compiler.tracing import numbers

X = torch.linspace(-1.0, 2.0, 4)
TABLE = torch.linspace(-2.0, 3.0, 20).reshape(5, 4)
RATES = [0.1, 0.25, 1.5]
STEPS = [0, 1, 3, 4]


def traces(f, calls, **options):
    """Compare a jitted function with the function itself on each call, dtypes and types too; count the traces."""
    count = []
    reuse._numbers.clear()
    jitted = jit(lambda *args: (count.append(None), f(*args))[1], **options)
    for args in calls:
        got, want = fn.tree.leaves(jitted(*args)), fn.tree.leaves(f(*args))
        for a, b in zip(got, want, strict=True):
            assert type(a) is type(b)
            if isinstance(b, torch.Tensor):
                torch.testing.assert_close(a, b, equal_nan=True)
            else:
                assert a == pytest.approx(b, rel=1e-15)
    return len(count)


FLOATS = {
    "mul": lambda x, a: x * a,
    "divide by a tensor": lambda x, a: a / x,
    "subtract a tensor": lambda x, a: a - x,
    "power": lambda x, a: x.abs() ** a,
    "power of a number": lambda x, a: a**x,
    "alpha": lambda x, a: torch.add(x, x, alpha=a),
    "operands by name": lambda x, a: torch.add(input=x.abs(), other=x, alpha=a) + x.abs().pow(exponent=a),
    "alpha in place": lambda x, a: x.clone().mul_(a).add_(x, alpha=a),
    "full": lambda x, a: torch.full((3,), a),
    "full_like": lambda x, a: torch.full_like(x, a, dtype=torch.float64),
    "new_full": lambda x, a: x.new_full((2,), a),
    "fill_": lambda x, a: x.clone().fill_(a),
    "tensor": lambda x, a: x * torch.tensor(a),
    "where": lambda x, a: torch.where(x > a, x, a),
    "clamp": lambda x, a: x.clamp(-a, a),
    "clamp below": lambda x, a: x.clamp(min=a),
    "masked_fill": lambda x, a: x.masked_fill(x > 0, a),
    "addcmul": lambda x, a: torch.addcmul(x, x, x, value=a),
    "lerp": lambda x, a: torch.lerp(x, -x, a),
    "linspace": lambda x, a: torch.linspace(0, a, 5),
    "arithmetic": lambda x, a: x * (1.0 - (2 * a + 1) ** 0.5 / 3 - abs(-a) % 0.7 + a // 0.2),
    "integers": lambda x, a: torch.arange(4) * a,
    "float64": lambda x, a: x.double() * a,
    "bfloat16": lambda x, a: x.bfloat16() * a,
    "comparison": lambda x, a: x <= a,
    "scalars in vmap": lambda x, a: fn.vmap(lambda y: y * a + a)(x),
    "gradient of a power": lambda x, a: fn.grad(lambda y: (y.abs() ** a).sum())(x),
    "gradient of alpha": lambda x, a: fn.grad(lambda y: torch.sub(y, y * y, alpha=a).sum())(x),
    "second derivative": lambda x, a: fn.grad(lambda y: fn.grad(lambda z: (z**3 * a / (a + z)).sum())(y).sum())(x + 2),
    "scan": lambda x, a: fn.scan(lambda c, _: (c - a * c, c.sum() * a), x, length=5),
    "nested jit": lambda x, a: fn.jit(lambda y, b: y * b)(x, a),
    "sgd": lambda x, a: fn.sgd_step({"w": x}, {"w": x}, learning_rate=a),
    "adam": lambda x, a: fn.optim.adam(a).update({"w": x}, fn.optim.adam(a).init({"w": x}))[0],
    "clip": lambda x, a: fn.optim.clip_by_global_norm(a).update({"w": x}, ())[0],
    "result": lambda x, a: (a, a * 2, x),
}
INTS = {
    "mul": lambda x, i: x * i,
    "divide": lambda x, i: torch.arange(4) / (i + 1),
    "index": lambda x, i: TABLE[i] + x,
    "index of two axes": lambda x, i: TABLE[i, 1] + TABLE[..., i % 4].sum(),
    "write": lambda x, i: _written(x, i),
    "decay": lambda x, i: x * 0.9**i,
    "bias correction": lambda x, i: x / (1 - 0.999 ** (i + 1)),
    "schedule": lambda x, i: x * fn.optim.cosine_decay_schedule(0.1, 100)(i),
    "fold_in": lambda x, i: fn.random.normal(fn.random.fold_in(fn.random.key(0), i), (3,)),
    "result": lambda x, i: (i + 1, i * 0.5, x * i),
    "integer arithmetic": lambda x, i: torch.arange(4) * (i // 2 + i % 3 - i**2),
}


def _written(x, i):
    y = x.clone()
    y[i % 4] = 7.0
    y[i % 2] += i
    return y


@pytest.mark.parametrize("f", FLOATS.values(), ids=FLOATS)
def test_a_float_is_traced_once(f):
    assert traces(f, [(X, rate) for rate in RATES], backend="eager") == 1


@pytest.mark.parametrize("f", INTS.values(), ids=INTS)
def test_an_int_is_traced_from_its_second_value_on(f):
    assert traces(f, [(X, step) for step in STEPS], backend="eager") == 2


def test_an_int_is_traced_after_one_inside_a_derivative():
    numbers._meta.cache_clear()
    scaled = jit(lambda x, i: fn.grad(lambda y: (y * (i + 1)).sum())(x), backend="eager")
    assert [torch.equal(scaled(X, i), torch.full((4,), i + 1.0)) for i in (1, 2)] == [True, True]
    assert traces(INTS["index"], [(X, step) for step in STEPS], backend="eager") == 2


NEEDED = {
    "shape": lambda x, n: torch.zeros(n + 1) + x.sum(),
    "branch": lambda x, n: x if n > 2 else -x,
    "range": lambda x, n: sum((x for _ in range(n)), x),
    "list": lambda x, n: [x, x * 2, x * 3, x, -x][n],
    "slice": lambda x, n: x[:n],
    "math": lambda x, n: x * math.sqrt(n),
    "isinstance": lambda x, n: x * (2 if isinstance(n, int) else 3),
    "dict": lambda x, n: {0: x, 1: -x}.get(n, 2 * x),
    "format": lambda x, n: {f"{n:02d}": x},
    "text": lambda x, n: x * len(str(10**n)),
    "a key": lambda x, n: {f"layer{n}": x},
    "repr": lambda x, n: x if repr(n) == "3" else -x,
}


@pytest.mark.parametrize("f", NEEDED.values(), ids=NEEDED)
def test_a_number_whose_value_python_needs_is_a_constant(f):
    for args in [(X, step) for step in STEPS]:
        assert fn.tree.equal(jit(f, backend="eager")(*args), f(*args))
    assert traces(f, [(X, step) for step in STEPS], backend="eager") <= 2 + len(STEPS)


def test_one_number_that_python_needs_leaves_the_others_traced():
    calls = [(X, n, rate) for n in (1, 2, 3) for rate in RATES]
    assert traces(lambda x, n, a: x.repeat(n) * a, calls, backend="eager") <= 1 + 1 + 3


def test_two_thousand_steps_with_changing_rates():
    """The learning rate and the step count change with every step."""
    count = []

    def update(i, params, rate):
        count.append(None)
        return fn.sgd_step(params, fn.grad(lambda p: (p - i * 1e-3).square().sum())(params), rate / (1 + i) ** 0.5)

    step, got, want = jit(update), torch.zeros(3), torch.zeros(3)
    for i in range(2000):
        got = step(i, got, 0.3 - 1e-4 * i)
        want = want - (0.3 - 1e-4 * i) / (1 + i) ** 0.5 * 2 * (want - i * 1e-3)
    assert len(count) <= 3
    torch.testing.assert_close(got, want)


def test_lanes_share_a_number():
    f = fn.vmap(lambda x, rate: fn.scan(lambda c, _: (c - rate * c, None), x, length=3)[0])
    g = jit(f)
    for rate in RATES:
        torch.testing.assert_close(g(X, rate), f(X, rate))
    assert len(g._programs) == 1


def test_numbers_of_static_arguments_are_constants():
    for options in ({"static_argnums": 1}, {"static_argnums": [-1]}):
        assert traces(lambda x, a: x * a, [(X, rate) for rate in RATES], backend="eager", **options) == 3
    count = []
    f = jit(lambda x, *, a: (count.append(None), x * a)[1], backend="eager", static_argnames="a")
    assert [torch.equal(f(X, a=rate), X * rate) for rate in RATES] == [True] * 3
    assert len(count) == 3


def test_special_floats_and_large_ints():
    assert traces(lambda x, a: x * a, [(X, a) for a in (0.5, -0.0, math.inf, math.nan, 1e-320)], backend="eager") == 1
    assert traces(lambda x, i: x * (i % 7), [(X, i) for i in (2, -(2**63), 2**63 - 1)], backend="eager") == 2


def test_an_error_of_the_function_propagates():
    def f(x, a):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        jit(f)(X, 0.5)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_the_tenth_trace_warns_once():
    f = jit(lambda x: x + 1, backend="eager")
    for n in range(1, 10):
        f(torch.zeros(n))
    with pytest.warns(UserWarning, match=r"traced for the 10th time.*path '0\.0' .*changed"):
        f(torch.zeros(10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(torch.zeros(11))


def test_a_rate_of_dropout_is_checked_as_a_constant():
    f = jit(lambda x, p: F.dropout(x, p, training=False))
    assert torch.equal(f(X, 0.5), X)
    with pytest.raises(ValueError, match="dropout probability"):
        f(X, 2.0)


INTEGERS = {
    "add": lambda x, n: x + (n + 1),
    "subtract": lambda x, n: x * (-2 - n),
    "multiply": lambda x, n: x + n * n % 2**31,
    "power": lambda x, n: x * n**3,
    "negative": lambda x, n: x + (-n),
    "absolute value": lambda x, n: x + abs(n),
    "a result": lambda x, n: n * 3,
    "in a branch": lambda x, n: fn.cond(x[0] == 0, lambda: x * (n * n * 2), lambda: x),
}
LARGE = (2**63 - 1, 2**40 + 3, -(2**40), 2**32, 7, 0, -1, -(2**63))


@pytest.mark.parametrize("backend", ["native", "eager"])
@pytest.mark.parametrize("name", INTEGERS)
def test_ints_that_exceed_64_bits_are_an_error(name, backend):
    f, x = INTEGERS[name], torch.arange(3)
    jitted = jit(f, backend=backend)
    assert [jitted(x, n) is not None for n in (1, 2)]  # traced from its second value on
    for n in LARGE:
        steps = {"add": n + 1, "subtract": -2 - n, "multiply": n * n, "power": n**3, "a result": 3 * n}
        steps |= {"negative": -n, "absolute value": abs(n)}
        if -(2**63) <= steps.get(name, 2 * n * n) < 2**63:
            got, want = jitted(x, n), f(x, n)
            assert torch.equal(got, want) if isinstance(want, torch.Tensor) else got == want
        else:
            with pytest.raises(RuntimeError, match=r"does not fit into 64 bits.*static_argnums"):
                jitted(x, n)


def test_ints_of_the_function_that_exceed_64_bits_make_constants():
    for backend in ("native", "eager"):
        f = jit(lambda x, n: (x, n + 2**63), backend=backend)
        assert [f(X, n)[1] - 2**63 for n in (1, 2, 0)] == [1, 2, 0]
