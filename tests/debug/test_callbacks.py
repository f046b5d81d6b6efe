"""debug.print, debug.callback and pure_callback: eager, jitted, mapped and differentiated."""

import math

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet.debug import operations

X = torch.tensor([1.0, 2.0])


def noted():
    """Return a list, and a function that notes its argument in it and returns twice the argument."""
    seen = []

    def f(x):
        fn.debug.callback(lambda x: seen.append(x.tolist()), x)
        return 2 * x

    return seen, f


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "transform, expected",
    [
        (lambda f: f, [[1, 2]]),
        (lambda f: fn.vmap(f), [1, 2]),
        (lambda f: fn.grad(lambda x: f(x).sum()), [[1, 2]]),
        (lambda f: fn.vmap(fn.grad(f)), [1, 2]),
        (lambda f: fn.grad(lambda x: fn.vmap(f)(x).sum()), [1, 2]),
        (lambda f: lambda x: fn.jvp(f, (x,), (x,)), [[1, 2]]),
        (lambda f: lambda x: fn.scan(lambda c, _: (f(c), None), x[0], length=3), [1, 2, 4]),
    ],
)
def test_callbacks_see_values(wrap, transform, expected):
    seen, f = noted()
    run = wrap(transform(f))
    run(X), run(X)
    assert seen == 2 * expected


def test_nested_batches_and_loops():
    seen, f = noted()
    fn.vmap(fn.vmap(f))(torch.arange(4.0).reshape(2, 2))
    assert seen == [0, 1, 2, 3]
    seen, f = noted()
    fn.jit(fn.vmap(lambda x: fn.scan(lambda c, _: (f(c), None), x, length=2)))(X)
    assert seen == [1, 2, 2, 4]


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_examples_that_take_different_branches_or_numbers_of_steps(backend):
    """All branches and steps are computed for all examples, and call the function for all of them."""
    seen, f = noted()
    x = torch.tensor([1.0, -1.0, 3.0])
    run = fn.jit(fn.vmap(lambda x: fn.cond(x > 0, f, lambda x: x, x)), backend=backend)
    assert run(x).tolist() == [2, -1, 6] and seen == [1, -1, 3]
    seen, f = noted()
    run = fn.jit(fn.vmap(lambda x: fn.while_loop(lambda x: x < 4, f, x)), backend=backend)
    assert run(x[::2]).tolist() == [4, 6] and seen == [1, 3, 2, 6]


def test_callbacks_change_no_result_and_are_explained():
    _, f = noted()
    jitted = fn.jit(fn.vmap(fn.grad(lambda x: f(x).sin())))
    assert_close(jitted(X), 2 * torch.cos(2 * X))
    explanation = jitted.explain(X)
    assert explanation.calls == {"funcnet.callback.default": 1} and "funcnet.callback" in explanation.reason


@pytest.mark.parametrize("lanes", [None, 3])
def test_a_kernel_calls_python(lanes):
    """Inside a loop and a branch: every callback with its value, in order, and a pure one with its result."""
    seen = []

    def f(x):
        def step(c, i):
            fn.debug.callback(lambda i, c: seen.append((int(i), c)), i, c)
            double = fn.pure_callback(lambda c: 2 * c, c, c, vmap_method="broadcast_all")
            fn.cond(i == 2, lambda: fn.debug.callback(lambda c: seen.append((-1, c)), double), lambda: None)
            return (double.sin() + c.cos()).exp() / 3, double

        return fn.scan(step, x, torch.arange(4))

    x = torch.tensor(0.5) if lanes is None else torch.linspace(0, 1, lanes)
    f = f if lanes is None else fn.vmap(f)
    results, calls = [], []
    for run in (f, fn.jit(f, backend="eager"), fn.jit(f)):
        results.append(run(x))
        calls.append([*seen])
        seen.clear()
    assert_close(results[0], results[2])
    assert_close(results[1], results[2])
    assert len(calls[1]) == 5 * (lanes or 1)
    for calls_of_torch in calls[:2]:
        assert_close(calls_of_torch, calls[2])
    explanation = fn.jit(f).explain(x)
    assert explanation.backend == "native"
    assert explanation.calls == {"funcnet.callback.default": 2, "funcnet.pure_callback.default": 1}


def test_calls_outside_of_jit_are_forgotten():
    before = len(operations._calls)
    _, f = noted()
    f(X), fn.vmap(f)(X), fn.vmap(fn.vmap(f))(X[None])
    assert len(operations._calls) == before


def test_callbacks_take_trees_and_numbers():
    seen = []

    def f(x, n, rate):
        fn.debug.callback(lambda *args, **kwargs: seen.append((args, kwargs)), {"n": n}, "text", rate, x=x)
        return x

    for run in (f, fn.jit(f)):
        run(X[0], 3, 0.5)
    for args, kwargs in seen:
        assert args == ({"n": 3}, "text", 0.5) and kwargs == {"x": 1}


def test_prints(capsys):
    @fn.jit
    def f(x):
        fn.debug.print("x = {x:.2f}, {}", "text", x=x.sum())
        fn.debug.print("no values")
        return x

    f(X), f(X)
    assert capsys.readouterr().out == "x = 3.00, text\nno values\n" * 2


def test_errors_of_callbacks_reach_the_caller():
    def f(x):
        fn.debug.callback(lambda x: 1 / 0, x)
        return x

    for run in (f, fn.jit(f), fn.vmap(f)):
        with pytest.raises(ZeroDivisionError):
            run(X)


LIKE = {"sine": fn.ShapeDtypeStruct((2,), torch.float64), "sum": fn.ShapeDtypeStruct((), torch.float32)}


def sines(x, scale):
    """Compute by Python's math on lists, for any number of leading axes."""
    rows = torch.broadcast_to(x, torch.broadcast_shapes(x.shape, (*scale.shape, 1))).reshape(-1, 2).tolist()
    scales = scale.expand(max(len(rows), 1) if scale.ndim else ()).reshape(-1).tolist()
    scales = scales * (len(rows) // len(scales))
    found = torch.tensor([[s * math.sin(a) for a in row] for row, s in zip(rows, scales, strict=True)])
    batch = torch.broadcast_shapes(x.shape[:-1], scale.shape)
    return {"sine": found.reshape(*batch, 2), "sum": torch.tensor([sum(row) for row in rows]).reshape(batch)}


def called(method, x, scale):
    return fn.pure_callback(sines, LIKE, x, scale, vmap_method=method)


def exact(x, scale):
    return {"sine": (scale * x.sin()).double(), "sum": x.sum()}


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_pure_callbacks(wrap):
    scale = torch.tensor(3.0)
    found = wrap(lambda x, s: called(None, x, s))(X, scale)
    assert_close(found, exact(X, scale), rtol=1e-6, atol=1e-6)
    rows = torch.arange(6.0).reshape(3, 2)
    for method in ("sequential", "broadcast_all", "expand_dims"):
        found = wrap(fn.vmap(lambda x, s, method=method: called(method, x, s), in_dims=(0, None)))(rows, scale)
        assert_close(found, fn.vmap(exact, in_dims=(0, None))(rows, scale), rtol=1e-6, atol=1e-6)


def test_the_number_of_calls_by_vmap_method():
    counts = {}
    for method in ("sequential", "broadcast_all", "expand_dims"):
        shapes = counts[method] = []

        def f(x, y, shapes=shapes):
            shapes.append((tuple(x.shape), tuple(y.shape)))
            return x + y

        def g(x, f=f, method=method):
            return fn.pure_callback(f, X, x, X, vmap_method=method)

        fn.vmap(g)(torch.ones(3, 2))
    assert counts == {
        "sequential": [((2,), (2,))] * 3,
        "broadcast_all": [((3, 2), (3, 2))],
        "expand_dims": [((3, 2), (1, 2))],
    }


def test_pure_callbacks_with_a_derivative():
    @fn.custom_jvp
    def sine(x):
        return fn.pure_callback(lambda x: math.sin(x.item()), x, x, vmap_method="sequential")

    sine.defjvps(lambda tangent, result, x: tangent * x.cos())
    assert_close(fn.vmap(fn.grad(sine))(X), X.cos())
    assert_close(fn.jit(fn.vmap(fn.grad(sine)))(X), X.cos())
    assert_close(fn.vmap(sine)(X), X.sin())


def cubes(x):
    return fn.pure_callback(lambda x: x**3, x, x, vmap_method="broadcast_all")


ERRORS = {
    "grad": (lambda: fn.grad(cubes)(X[0]), NotImplementedError, "custom_vjp or fn.custom_jvp"),
    "jvp": (lambda: fn.jvp(cubes, (X,), (X,)), NotImplementedError, "Python function has no derivative"),
    "grad of vmap": (lambda: fn.grad(lambda x: fn.vmap(cubes)(x).sum())(X), NotImplementedError, "no derivative"),
    "vmap": (
        lambda: fn.vmap(lambda x: fn.pure_callback(abs, x, x))(X),
        NotImplementedError,
        "vmap_method='sequential'",
    ),
    "vmap in jit": (
        lambda: fn.jit(fn.vmap(lambda x: x + fn.pure_callback(abs, x, x)))(X),
        NotImplementedError,
        "vmap_method='sequential'",
    ),
    "method": (lambda: fn.pure_callback(abs, X, X, vmap_method="loop"), ValueError, "vmap_method to be one of"),
    "shape": (lambda: fn.pure_callback(lambda x: x[:1], X, X), ValueError, r"expected a result of shape \(2,\)"),
    "structure": (lambda: fn.pure_callback(lambda x: [x], X, X), ValueError, "result like result_shape_dtypes"),
    "not callable": (lambda: fn.pure_callback(3, X), TypeError, "pure_callback: expected f to be callable"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        call()
