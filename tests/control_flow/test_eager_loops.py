"""Long loops outside of jit run as compiled loops where that gives the results, effects and errors of Python loops."""

import gc
import itertools
import random
import time
import weakref
from typing import NamedTuple

import pytest
import torch
from compiled_loops import compile_short_loops, compiled, in_python
from torch.testing import assert_close

import funcnet as fn
from funcnet.control_flow import eager_loops

W = torch.tensor([[0.5, -0.25], [0.125, 0.75]], dtype=torch.float64)
X = torch.arange(8, dtype=torch.float64).reshape(4, 2) / 8
RATE = 0.5


@pytest.fixture(autouse=True)
def short_loops(monkeypatch):
    compile_short_loops(monkeypatch)


class Pair(NamedTuple):
    mean: torch.Tensor
    count: torch.Tensor


class Config:
    scale = 2.0

    def __init__(self, rate):
        self.rate = rate

    def step(self, c, x):
        return c * self.rate + x * self.scale, None


def with_random_numbers(key, x):
    key, use = fn.random.split(key)
    return key, fn.random.normal(use, (2,), torch.float64) + x


def with_inner_loops(c, x):
    c = fn.fori_loop(0, 3, lambda i, c: c + i * W[0], c)
    return fn.cond(c.sum() > 5, lambda c: c / 2, lambda c: c + x, c), fn.grad(lambda x: (x**3).sum())(x)


def with_writes(c, x):
    c["mean"] += x
    c["n"].mul_(2)
    return c, c["mean"].sum()


SCANS = {
    "a matrix": lambda: fn.scan(lambda c, x: ((c @ W).tanh() + RATE * x, c.sum()), X[0], X),
    "reverse": lambda: fn.scan(lambda c, x: (c * 0.5 + x, {"y": c}), X[0], X, reverse=True),
    "a named tuple": lambda: fn.scan(lambda c, x: (Pair(c.mean + x / c.count, c.count + 1), None), Pair(X[0], 1), X),
    "random numbers": lambda: fn.scan(with_random_numbers, fn.random.key(0), X),
    "loops inside": lambda: fn.scan(with_inner_loops, X[1], X),
    "writes": lambda: fn.scan(with_writes, {"mean": X[0], "n": torch.tensor(1)}, X),
    "fori_loop": lambda: fn.fori_loop(0, 5, lambda i, c: c * W[0] + i, X[0]),
    "map": lambda: fn.map(lambda x: (x @ W).exp(), X),
    "a method": lambda: fn.scan(Config(0.5).step, X[0], X),
    "complex numbers": lambda: fn.scan(lambda c, x: (c * (0.5 + 1j) + x, c.abs()), X[0] + 0j, X),
    "a jitted function": lambda: fn.scan(fn.jit(lambda c, x: (c - x * RATE, c[0])), X[0], X),
}


@pytest.mark.parametrize("run", SCANS.values(), ids=SCANS)
def test_results_are_those_of_python(run):
    expected = in_python(run)
    assert compiled() == (0, 0)
    assert fn.tree.difference(run(), expected, rtol=1e-14, atol=1e-14) is None
    count = compiled()
    assert count[0] >= 1 and count[1] == 0
    assert fn.tree.difference(run(), expected, rtol=1e-14, atol=1e-14) is None
    assert compiled() == count  # the functions of the second call are new, and equal


def test_changes_of_closed_over_values_are_seen(monkeypatch):
    config, table, first = Config(0.5), {"b": [1.0, W]}, X[0]

    def run():
        offset = table["b"][0]

        def step(c, x):
            return config.step(c, x)[0] + RATE * (table["b"][1] @ x) + offset, None

        return fn.scan(step, first, X)[0]

    def check(builds):
        assert_close(run(), in_python(run), rtol=1e-14, atol=1e-14)
        assert compiled() == (builds, 0)

    check(1)
    table["b"][1] = 2 * W  # another tensor of the same shape
    check(1)
    table["b"][0] = 3.0
    check(2)
    config.rate = 0.25
    check(3)
    monkeypatch.setitem(globals(), "RATE", -1.0)
    check(4)
    monkeypatch.setattr(Config, "scale", 5.0)
    check(5)


COUNT = 0


def effects(kind):
    """Return a step with an effect, and a function that returns the traces of it."""
    seen, state = [], Config(0)
    numbers = itertools.count()

    def appends(c, x):
        seen.append(c)
        return c + x, None

    def writes_an_attribute(c, x):
        state.rate = state.rate + 1
        return c + x, None

    def writes_a_global(c, x):
        global COUNT
        COUNT += 1
        return c + x, None

    def writes_a_cell(c, x):
        nonlocal state
        state = state.rate if isinstance(state, Config) else state + 1
        return c + x, None

    def reads_an_iterator(c, x):
        return c + x * next(numbers), None

    def reads_values(c, x):
        return (c + x if c.sum().item() < 3 else c - x), None

    def calls_back(c, x):
        fn.debug.callback(seen.append, c)
        return c + x, None

    def reads_the_time(c, x):
        seen.append(time.perf_counter())
        return c + x, None

    def draws(c, x):
        return c + random.random() * x, None

    def prints(c, x):
        print(COUNT)
        return c + x, None

    def reads_the_type(c, x):
        return (c + x if type(c) is torch.Tensor else c - x), None

    step = locals()[kind]
    return step, lambda: (len(seen), seen, COUNT, getattr(state, "rate", state))


KINDS = [
    "appends", "writes_an_attribute", "writes_a_global", "writes_a_cell", "reads_an_iterator", "reads_values",
    "calls_back", "reads_the_time", "draws", "prints", "reads_the_type",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_steps_with_effects_have_them_at_each_step(kind, capsys, monkeypatch):
    outcomes = []
    for disable in (True, False):
        monkeypatch.setitem(globals(), "COUNT", 0)
        random.seed(0)
        step, found = effects(kind)
        with fn.disable_jit(disable):
            last = fn.scan(step, X[0], X)
        outcomes.append((last, *found()[:: 2 if kind == "reads_the_time" else 1], capsys.readouterr().out))
    assert compiled()[0] == 0 and fn.tree.difference(*outcomes) is None


def test_a_kernel_calls_back_the_function_of_its_own_loop():
    for _ in range(2):
        step, found = effects("calls_back")
        fn.scan(step, X[0], X)
        assert compiled() == (0, 0) and found()[0] == len(X)  # it is compiled, and not kept for other functions


ERRORS = {
    "shapes": lambda: fn.scan(lambda c, x: (c[:1], None), X[0], X),
    "a number": lambda: fn.scan(lambda c, x: (c, 1.5), X[0], X),
    "an index": lambda: fn.scan(lambda i, x: (i + 2, x[i]), torch.tensor(0), X),
    "a matrix": lambda: fn.scan(lambda c, x: (torch.linalg.cholesky(c - 1), x), torch.eye(2), X),
    "the user's": lambda: fn.scan(lambda c, x: (c, {}["absent"]), X[0], X),
    "a write": lambda: fn.scan(lambda c, x: (c + W.clone().add_(1).sum(), X.add_(0)), X[0], X),
}


@pytest.mark.parametrize("run", ERRORS.values(), ids=ERRORS)
def test_errors_are_those_of_python(run):
    with pytest.raises(Exception) as expected:
        in_python(run)
    with pytest.raises(type(expected.value)) as error:
        run()
    assert str(error.value) == str(expected.value)


def test_derivatives_and_batches_see_the_loop():
    def last(w, x):
        return fn.scan(lambda c, x: (torch.sin(c @ w) + x, None), x[0], x)[0].sum()

    w = W.clone().requires_grad_()
    last(w, X).backward()
    assert_close(w.grad, fn.grad(last)(W, X))
    assert_close(fn.vmap(last, in_dims=(None, 0))(W, X[:, None].expand(4, 3, 2))[1], last(W, X[1].expand(3, 2)))
    assert_close(fn.grad(last)(W, X), in_python(lambda: fn.grad(last)(W, X)))


def test_short_and_cheap_loops_run_in_python(monkeypatch):
    monkeypatch.setattr(eager_loops, "_LEAST_WORK", 1000)
    fn.scan(lambda c, x: (c + x, None), X[0], X)
    assert compiled() == (0, 1)
    monkeypatch.setattr(eager_loops, "LEAST_STEPS", 5)
    fn.scan(lambda c, x: (c - x, None), X[0], X)
    assert compiled() == (0, 1)


def test_loops_do_not_keep_closed_over_tensors():
    def run():
        data = torch.ones(1000, dtype=torch.float64)
        fn.scan(lambda c, x: (c + data.mean() * x, None), X[0], X)
        return weakref.ref(data)

    found = run()
    gc.collect()
    assert compiled() == (1, 0) and found() is None


def test_without_a_compiler_loops_run_in_python(monkeypatch, recwarn, tmp_path):
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    total, _ = fn.scan(lambda c, x: (c * 0.75 + x.square(), None), X[0], X)
    assert_close(total, in_python(lambda: fn.scan(lambda c, x: (c * 0.75 + x.square(), None), X[0], X)[0]))
    assert compiled() == (0, 1) and not recwarn.list


class Rates:
    """Values in a class, of kinds that a step may read."""

    inner, steps = Config(0.5), iter(range(10**6))


def test_values_of_classes_are_seen(monkeypatch):
    def run(scale):
        def step(c, x):
            return torch.sin(scale(c)) + W @ x, None

        return fn.scan(step, X[0], X)[0]

    scale = lambda c: c * Rates.inner.rate  # noqa: E731
    before = run(scale)
    assert_close(before, in_python(lambda: run(scale)), rtol=1e-14, atol=1e-14)
    monkeypatch.setattr(Rates, "inner", Config(0.25))
    after = run(scale)
    assert_close(after, in_python(lambda: run(scale)), rtol=1e-14, atol=1e-14)
    assert not torch.equal(before, after)
    first = next(Rates.steps)
    run(lambda c: c * (next(Rates.steps) % 3))
    assert next(Rates.steps) == first + len(X) + 1  # each step took a value, so that the loop ran in Python
