"""A while_loop outside of jit continues as a compiled one, with the results and errors of the Python loop."""

import pytest
import torch
from compiled_loops import compile_short_loops, compiled, in_python
from interrupts import interrupted
from torch.testing import assert_close

import funcnet as fn

W = torch.tensor([[0.5, -0.25], [0.125, 0.75]], dtype=torch.float64)
X = torch.arange(8, dtype=torch.float64).reshape(4, 2) / 8
RATE = 0.5


@pytest.fixture(autouse=True)
def short_loops(monkeypatch):
    compile_short_loops(monkeypatch)


def rotated(c):
    return {"x": torch.sin(c["x"] @ W) + RATE, "n": c["n"] + 1}


def to_end(limit=9, body=rotated):
    return fn.while_loop(lambda c: c["n"] < limit, body, {"x": X[0], "n": 0})


def test_a_long_loop_continues_compiled():
    first = to_end()
    assert compiled() == (1, 0)
    again, plain = to_end(), in_python(to_end)
    assert compiled() == (1, 0)
    assert torch.equal(first["x"], again["x"]) and first["n"] == 9
    assert_close(first, plain, rtol=1e-14, atol=1e-14)


def test_a_loop_that_ends_early_stays_in_python():
    to_end(2)
    assert compiled() == (0, 0)


def test_an_interrupt_ends_a_compiled_loop():
    def count(limit):
        return fn.while_loop(lambda c: c[0] < c[1], lambda c: (c[0] + 1, c[1]), (torch.tensor(0), torch.tensor(limit)))

    count(9)
    assert compiled() == (1, 0)  # built before the timer starts
    with interrupted(0.5) as since, pytest.raises(KeyboardInterrupt):
        count(20_000_000_000)
    assert since() < 1.0


def test_changes_of_closed_over_values_are_seen(monkeypatch):
    before = to_end()
    monkeypatch.setitem(globals(), "RATE", 0.25)
    after = to_end()
    assert compiled() == (2, 0)
    assert not torch.allclose(before["x"], after["x"])
    assert_close(after, in_python(to_end))


@pytest.mark.parametrize(
    "body",
    [
        lambda c: {"x": c["x"] * float(c["x"][0] > 0), "n": c["n"] + 1},
        lambda c: (print("step"), rotated(c))[1],
        lambda c: (SEEN.append(1), rotated(c))[1],
    ],
    ids=["value", "print", "append"],
)
def test_bodies_that_cannot_be_traced_stay_in_python(body):
    SEEN.clear()
    result = to_end(7, body)
    assert compiled()[0] == 0 and result["n"] == 7
    assert len(SEEN) in (0, 7)


SEEN = []


def test_errors_are_those_of_python():
    table = torch.arange(5.0)

    def body(n):
        return n + 1 + 0 * table[n].long()

    with pytest.raises(IndexError):
        fn.while_loop(lambda n: n < 10, body, torch.tensor(0))


@pytest.mark.parametrize("carry", [(X[0], None), (X[0], "constant"), (X[0].clone().requires_grad_(), torch.tensor(1))])
def test_carries_that_stay_in_python(carry):
    x, rest = fn.while_loop(lambda c: c[0].sum() < 9, lambda c: (c[0] + 1, c[1]), carry)
    assert compiled()[0] == (rest is None) and x.sum() >= 9


def test_transformations_see_the_loop():
    f = lambda x: fn.while_loop(lambda x: x.sum() < 9, lambda x: x * 1.5 + 1, x)  # noqa: E731
    assert_close(fn.vmap(f)(X), torch.stack([*map(f, X)]))
    assert_close(fn.jvp(f, (X[1],), (X[2],)), in_python(lambda: fn.jvp(f, (X[1],), (X[2],))))
    assert_close(fn.fori_loop(0, torch.tensor(9), lambda i, x: x * W[0] + i, X[0]), fori(9))


def fori(n):
    x = X[0]
    for i in range(n):
        x = x * W[0] + i
    return x
