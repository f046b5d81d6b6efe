"""Bad input of control flow gets a clear error, eager and while tracing."""

import pytest
import torch
from tables import numbers

import funcnet as fn

t = torch.tensor


BAD = {
    "a pred of floats": (lambda: fn.cond(t(1.0), abs, abs, 1), TypeError, "cond: expected pred to be a bool or a 0-d"),
    "a pred with axes": (lambda: fn.cond(t([True]), abs, abs, 1), TypeError, r"0-d .*got bool tensor of shape \(1,\)"),
    "no function": (lambda: fn.cond(True, 1, abs, 1), TypeError, "cond: true_fun"),
    "an index of floats": (lambda: fn.switch(1.5, [abs], 1), TypeError, "switch: expected index to be an int"),
    "no branches": (lambda: fn.switch(0, []), ValueError, "switch: expected at least one branch"),
    "a choice by floats": (lambda: fn.select(t(1.0), t(1), t(2)), TypeError, "select: expected pred to be of bools"),
    "a choice of dtypes": (lambda: fn.select(t(True), t(1), t(2.0)), TypeError, "select: expected equal dtypes"),
    "a choice of shapes": (lambda: fn.select(t(True), t(1), t([2])), ValueError, "select: expected equal shapes"),
    "a test of floats": (lambda: fn.while_loop(lambda c: c, abs, 1.0), TypeError, "while_loop: expected cond_fun to"),
    "another carry": (
        lambda: fn.while_loop(lambda c: c["n"] < 3, lambda c: {"n": c["n"] + 0.5}, {"n": 0}),
        ValueError,
        'while_loop: expected body_fun to return a carry .* at path "n".*int64.*float32.*An integer became floating',
    ),
    "no carry": (
        lambda: fn.while_loop(lambda c: True, lambda c: c, ()),
        ValueError,
        "while_loop: expected a carry with",
    ),
    "a bound of floats": (lambda: fn.fori_loop(0, 1.5, abs, 1), TypeError, "fori_loop: expected upper to be an int"),
    "no batch": (lambda: fn.map(abs, t([1]), batch_size=0), ValueError, "map: expected a batch_size of at least 1"),
    "batches of no axis": (lambda: fn.map(abs, t(1), batch_size=2), ValueError, "map: expected tensors with a common"),
    "prefixes of sizes": (
        lambda: fn.associative_scan(torch.add, {"a": numbers(2), "b": numbers(3)}),
        ValueError,
        "associative_scan: expected one size along axis 0 in all leaves, got {'a': 2, 'b': 3}",
    ),
    "prefixes of no axis": (lambda: fn.associative_scan(torch.add, t(1)), ValueError, "expected a tensor with axis 0"),
    "prefixes of another shape": (
        lambda: fn.associative_scan(lambda a, b: (a + b).sum(), numbers(4)),
        ValueError,
        "associative_scan: expected f to return a tree like its arguments",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    f, error, message = BAD[name]
    with pytest.raises(error, match=message):
        f()
    with pytest.raises(error, match=message):
        fn.jit(lambda _: f(), backend="eager")(t(1.0))


UNLIKE = {
    "structure": (lambda x: (x, x), lambda x: x, "differ at the root"),
    "shape": (lambda x: {"a": x}, lambda x: {"a": x[:1]}, r'at path "a": .*shape \(1,\).*shape \(2,\)'),
    "dtype": (lambda x: {"a": x}, lambda x: {"a": x.float()}, 'at path "a": float32.* and float64'),
    "a number": (lambda x: x.sum().long(), lambda x: 0.5, "a number and int64 tensor"),
    "a constant": (lambda x: (x, "a"), lambda x: (x, "b"), 'at path "1": b and a'),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_branches_with_different_results(name):
    true_fun, false_fun, message = UNLIKE[name]
    for run in (
        fn.jit(fn.cond, backend="eager"),
        lambda p, *args: fn.vmap(lambda p: fn.cond(p, *args))(t([True, False])),
    ):
        with pytest.raises(ValueError, match=f"cond: expected false_fun and true_fun to return the same .*{message}"):
            run(t(True), true_fun, false_fun, numbers(2))


class Slotted:
    """Holds a tensor where closures are not searched."""

    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


def test_a_tensor_that_is_held_where_it_is_not_found():
    def branch(x):
        held = Slotted(x)
        return fn.cond(x.sin() > 0, lambda: held.x * 2, lambda: held.x)

    def loop(x):
        held = Slotted(x)
        return fn.while_loop(lambda c: c < 9, lambda c: c * 2 + held.x, x)

    xs = t([1.0, -1.0])
    for f, name in ((branch, "cond"), (loop, "while_loop")):
        along = lambda x, f=f: fn.jvp(f, (x,), (x,))[1]  # noqa: E731
        for run in (fn.vmap(along), fn.jit(along, backend="eager"), fn.jit(fn.vmap(along), backend="eager")):
            with pytest.raises(
                ValueError, match=f"{name}: the function uses a tensor .* Pass that tensor as an argument"
            ):
                run(xs if not isinstance(run, fn.Jit) or isinstance(run.f, fn.Vmap) else xs[0])
