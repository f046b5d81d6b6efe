"""Derivatives of a scan inside jit are loops, whatever the step captures, and equal those of a Python loop."""

from functools import partial

import pytest
import torch
from tables import Affine, numbers

import funcnet as fn
from funcnet import tree

W, X = {"w": numbers(3, 3), "b": numbers(3, seed=1), "name": "cell"}, numbers(3, seed=2)


def rows(length):
    return numbers(length, 3, seed=3)


def recurrent(w, x, length):
    """Run a net that closes over its parameters; each step outputs two values."""

    def step(h, row):
        h = torch.tanh(h @ w["w"] + row + w["b"])
        return h, {"h": h, "none": None, "sum": (h * row).sum()}

    h, ys = fn.scan(step, x, rows(length))
    return (h * ys["h"]).sum() + ys["sum"].cos().sum()


class Cell:
    def __init__(self, w):
        self.w = w

    def step(self, h, row):
        return torch.tanh(h @ self.w["w"] + row), h.sum()


def method(w, x, length):
    h, ys = fn.scan(Cell(w).step, x, rows(length))
    return h.sum() + ys.square().sum()


def bound_early(w, x, length):
    step = partial(lambda w, c, row, b=w["b"]: (torch.sin(c * b + row @ w), c[0]), w["w"])
    return sum(part.sum() for part in fn.scan(step, x, rows(length)))


def counting(w, x, length):
    """Carry whole numbers, a constant, a dataclass and a key, which gives every step its noise."""

    def step(carry, _):
        state, count, key, scale = carry
        key, now = fn.random.split(key)
        noise = fn.random.normal(now, (3,), torch.float64)
        state = Affine(state.w * w["b"] + noise / (count + 1), state.b + state.w.sum() * scale)
        return (state, count + 1, key, scale), count

    start = Affine(x, w["b"].sum()), torch.tensor(1), fn.random.key(0), 0.5
    (state, *_), counts = fn.scan(step, start, length=length)
    return (state.w * state.b).sum() + counts.sum()


def learned(w, x, length):
    """Run gradient descent whose step size, start and loss are differentiated."""

    def loss(p, row):
        return ((p @ w["w"] - row).square() * x).sum()

    def step(p, row):
        value, grad = fn.value_and_grad(loss)(p, row)
        return p - torch.sigmoid(w["b"]) * 0.1 * grad, value

    p, values = fn.scan(step, x.cos(), rows(length))
    return p.sum() + values.mean()


def mapped(w, x, length):
    """Map over captured tensors and over the carry in each step."""

    def step(c, row):
        each = fn.vmap(lambda column, c: torch.sin(column * c + row).sum(), in_dims=(1, 0))(w["w"], c)
        return each, fn.vmap(fn.grad(lambda c: (c * w["b"]).sin().sum()))(c)

    c, ys = fn.scan(step, x, rows(length))
    return c.sum() + ys.square().sum()


def nested(w, x, length):
    """Run a scan in a scan, both of which capture parameters; the inner one reads the outer carry."""

    def outer(c, row):
        inner = lambda d, r: (torch.tanh(d * w["b"] + c), d.sum())  # noqa: E731
        d, sums = fn.scan(inner, c, row[:, None])
        return d @ w["w"], sums.sum()

    c, ys = fn.scan(outer, x, rows(length))
    return c.sum() + ys.square().sum()


def in_front(w, x, length):
    """Capture tensors that are computed from the parameters, and use the same function twice."""
    layer = fn.serial(fn.as_layer(lambda h: h @ (w["w"] @ w["w"].T)), torch.tanh)

    def twice(h):
        return layer.apply(((), ()), layer.apply(((), ()), h))

    h, ys = fn.scan(lambda h, row: (twice(h) + row, h), x, rows(length))
    return h.sum() + ys.exp().sum()


def remembered(w, x, length):
    step = fn.remat(lambda h, row: (torch.tanh(h @ w["w"] + row), h[0]))
    return sum(part.square().sum() for part in fn.scan(step, x, rows(length)))


def unused(w, x, length):
    """Scan with a carry that is passed on unchanged, one that nobody reads, and rows that nobody reads."""
    (a, b, _), _ = fn.scan(lambda c, row: ((c[0], c[1] * w["b"], row), None), (x, x, x), rows(length))
    return (a * b).sum()


def layered(w, x, length):
    """Run a Python loop of scans, whose variables the steps share."""
    for scale, weight in ((0.5, w["w"]), (1.5, w["w"].cos()), (-1.0, w["w"] @ w["w"])):
        step = lambda h, row: (torch.tanh(scale * h @ weight + row), h)  # noqa: B023, E731
        x, ys = fn.scan(step, x, rows(length))
    return x.sum() + ys.square().sum()


def sharing(w, x, length):
    """Share one variable between two functions; the step sets it for the other."""
    scale = 0.0

    def weight():
        return w["w"] * scale

    def step(h, row):
        nonlocal scale
        scale = 2.0
        return torch.tanh(h @ weight() + row), None

    return fn.scan(step, x, rows(length))[0].square().sum()


def called(w, x, length):
    """Call a module that holds the parameters only during the call."""
    params = {"linear.weight": w["w"], "linear.bias": w["b"]}
    return torch.func.functional_call(LOOPING, params, (x, rows(length)))


class Looping(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3).double()

    def forward(self, x, rows):
        return fn.scan(lambda h, row: (torch.tanh(self.linear(h) + row), None), x, rows)[0].square().sum()


LOOPING = Looping().requires_grad_(False)
SCANS = [recurrent, method, bound_early, counting, learned, mapped, nested, in_front, remembered, unused]
SCANS += [layered, sharing, called]
TRANSFORMS = {
    "grad": lambda f: fn.value_and_grad(f, (0, 1)),
    "grad of grad": lambda f: fn.grad(lambda w, x: tree.norm(fn.grad(f, (0, 1))(w, x)), (0, 1)),
    "jvp": lambda f: lambda w, x: fn.jvp(f, (w, x), (numbers_like(w), x.cos())),
    "jvp of jvp": lambda f: (
        lambda w, x: fn.jvp(lambda x: fn.jvp(lambda x: f(w, x), (x,), (x.cos(),))[1], (x,), (x.sin(),))
    ),
    "jvp of grad": lambda f: lambda w, x: fn.jvp(lambda x: fn.grad(f)(w, x), (x,), (x.cos(),)),
    "grad of jvp": lambda f: fn.grad(lambda w, x: fn.jvp(lambda x: f(w, x), (x,), (x.cos(),))[1], (0, 1)),
    "vmap of grad": lambda f: fn.vmap(fn.grad(f, (0, 1)), in_dims=(None, 0)),
    "grad of vmap": lambda f: fn.grad(lambda w, x: fn.vmap(f, in_dims=(None, 0))(w, x).sum(), (0, 1)),
    "jacrev of jacfwd": lambda f: fn.jacrev(fn.jacfwd(f, 1), 1),
    "grad of vmap of jacfwd": lambda f: fn.grad(
        lambda w, x: fn.vmap(lambda a: fn.jacfwd(f, 1)(w, a * X))(x).square().sum(), (0, 1)
    ),
    "jacrev of vmap of jacfwd": lambda f: (
        lambda w, x: fn.jacrev(lambda x: fn.vmap(lambda a: fn.jacfwd(f, 1)(w, a * x) * f(w, x))(x))(x[0])
    ),
    "linearize": lambda f: lambda w, x: fn.linearize(lambda x: f(w, x), x)[1](x.cos()),
}


def numbers_like(w):
    return tree.map(lambda leaf: leaf.cos() if isinstance(leaf, torch.Tensor) else leaf, w)


def transformed(scan, name, length):
    """Return the transformed loop as a function of its parameters and start, and the point to evaluate it at."""
    f = TRANSFORMS[name](partial(scan, length=length))
    return f, (W, torch.stack([X, X.cos()]) if "vmap" in name else X)


# every second pair: each loop meets half of the transformations, and each transformation half of the loops
PAIRS = [(scan, name) for i, scan in enumerate(SCANS) for j, name in enumerate(TRANSFORMS) if (i + j) % 2 == 0]


@pytest.mark.few(6)
@pytest.mark.parametrize("scan, name", PAIRS)
def test_derivatives_of_a_loop_are_loops(scan, name):
    """Check that the number of operations is the same for any number of steps, and the values are those of a loop."""
    (f, at), (longer, _) = transformed(scan, name, 4), transformed(scan, name, 40)
    run = fn.jit(f, backend="eager")
    operations = run.explain(*at).operations
    assert operations == fn.jit(longer, backend="eager").explain(*at).operations
    assert operations["scan"] >= 1
    assert tree.difference(run(*at), f(*at), rtol=1e-11, atol=1e-12) is None


@pytest.mark.few(7)
@pytest.mark.parametrize("scan", SCANS)
def test_compiled_gradients_of_single_runs_and_of_lanes(scan):
    f, at = transformed(scan, "grad", 5)
    assert tree.difference(fn.jit(f, backend="native")(*at), f(*at), rtol=1e-11, atol=1e-12) is None
    lanes = torch.stack([X, X.sin(), 2 * X])
    got = fn.jit(fn.vmap(f, in_dims=(None, 0)), backend="native")(W, lanes)
    want = tree.stack([tree.partition(f(W, x), tree.is_tensor)[0] for x in lanes])
    assert tree.difference(tree.partition(got, tree.is_tensor)[0], want, rtol=1e-11, atol=1e-12) is None


@pytest.mark.parametrize("length", [0, 1, 2])
@pytest.mark.parametrize("scan", [recurrent, counting, nested])
def test_gradients_of_short_loops(scan, length):
    f, at = transformed(scan, "grad", length)
    assert tree.difference(fn.jit(f, backend="eager")(*at), f(*at), rtol=1e-11, atol=1e-12) is None


def mapped_and_held(w):
    """Capture one example of w and also the whole of w, which is the same tensor below the vmap."""

    def each(a):
        c, ys = fn.scan(lambda c, _: ((c * w.sum() + a).sin(), c * a), w.sum() * a, length=3)
        return c * ys.sum()

    return fn.vmap(each)(w).square().sum()


@pytest.mark.parametrize("transform", [fn.grad, fn.jacfwd, fn.hessian])
def test_a_step_may_capture_a_tensor_and_one_example_of_it(transform):
    f = transform(mapped_and_held)
    assert tree.difference(fn.jit(f, backend="eager")(X), f(X), rtol=1e-11, atol=1e-12) is None


def of_hidden(w):
    hidden = {w}
    return fn.scan(lambda c, _: (torch.sin(c * next(iter(hidden))), None), X, length=3)[0].sum()


def of_hidden_in_a_gradient(w):
    hidden = {w}
    step = fn.grad(lambda c: (torch.sin(c * next(iter(hidden))) * w).sum())
    return fn.scan(lambda c, _: (step(c), None), X, length=3)[0].sum()


def of_what_is_its_own_copy(w):
    held = Same()
    held.w = w
    return fn.scan(lambda c, _: (torch.sin(c * held.w), None), X, length=3)[0].sum() + held.w.square().sum()


class Same:
    def __copy__(self):
        return self


def of_complex(w):
    c, _ = fn.scan(lambda c, _: (c * torch.complex(w, w).sin(), None), torch.complex(X, X), length=3)
    return c.abs().sum()


def of_complex_outputs(w):
    _, ys = fn.scan(lambda c, _: (c * w.sin(), torch.complex(c, c * c)), X, length=3)
    return ys.abs().sum()


@pytest.mark.parametrize("f", [of_complex, of_complex_outputs])
@pytest.mark.parametrize("transform", [fn.grad, fn.jacfwd, fn.hessian])
def test_complex_carries_are_loops(f, transform):
    run = fn.jit(transform(f), backend="eager")
    assert "scan" in run.explain(W["b"]).operations
    assert tree.difference(run(W["b"]), transform(f)(W["b"]), rtol=1e-10) is None


@pytest.mark.parametrize("f", [of_hidden, of_hidden_in_a_gradient, of_what_is_its_own_copy])
def test_a_scan_that_cannot_be_a_loop_is_unrolled(f):
    run = fn.jit(fn.grad(f), backend="eager")
    assert "scan" not in run.explain(W["b"]).operations
    assert tree.difference(run(W["b"]), fn.grad(f)(W["b"]), rtol=1e-12) is None
