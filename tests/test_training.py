"""scan and sgd_step against loops in Python."""

import torch
from tables import Affine, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree


def test_scan_is_a_loop_over_any_tree():
    def f(carry, x):
        after = Affine(carry.w + x["a"], carry.b * 0.5)
        return after, {"w": after.w, "none": None, "pair": (x["n"], after.b.sum())}

    init, xs = Affine(numbers(2), numbers(3, seed=1)), {"a": numbers(4, 2, seed=2), "n": torch.arange(4)}
    carry, ys = fn.scan(f, init, xs)
    expected, rows = init, []
    for i in range(4):
        expected, y = f(expected, {"a": xs["a"][i], "n": xs["n"][i]})
        rows.append(y)
    assert tree.equal(carry, expected)
    assert tree.equal(ys, tree.stack(rows))


def test_scan_by_length_with_xs_and_without_outputs():
    assert tree.equal(fn.scan(lambda c, _: (c + 1, None), torch.tensor(0), length=7), (torch.tensor(7), None))
    total, _ = fn.scan(lambda c, x: (c + x, None), torch.tensor(0), torch.arange(5), length=5)
    assert total == 10


def test_scan_of_no_steps_still_knows_its_outputs():
    carry, ys = fn.scan(lambda c, x: (c + x, {"y": x * 2}), numbers(2), torch.zeros(0, 2).double())
    assert tree.equal(carry, numbers(2))
    assert tree.equal(ys, {"y": torch.zeros(0, 2).double()})


def test_nested_scans_record_every_tenth():
    def inner(c, _):
        return c * 1.01, None

    def outer(c, _):
        return fn.scan(inner, c, length=10)[0], c

    final, every_tenth = fn.scan(outer, torch.tensor(1.0, dtype=torch.float64), length=5)
    assert_close(final, torch.tensor(1.01, dtype=torch.float64) ** 50)
    assert_close(every_tenth, torch.tensor(1.01, dtype=torch.float64) ** torch.arange(0, 50, 10))


def test_scan_is_differentiable_and_maps():
    def final(w, x):
        return fn.scan(lambda c, x: (torch.tanh(w * c + x), None), torch.zeros(()).double(), x)[0]

    w, x = numbers(3), numbers(3, 6, seed=1)
    fn.checking.check_grads(lambda w: final(w[0], x[0]), (w,), order=2)
    mapped = fn.vmap(fn.grad(final))(w, x)
    assert_close(mapped, torch.stack([fn.grad(final)(a, b) for a, b in zip(w, x, strict=True)]))


def test_sgd_step_keeps_what_has_no_gradient_and_takes_tensors():
    params = {"w": numbers(2), "n": 3, "frozen": numbers(1)}
    grads = {"w": numbers(2, seed=1), "n": None, "frozen": None}
    for rate in (0.3, torch.tensor(0.3).double()):
        after = fn.sgd_step(params, grads, rate)
        assert_close(after["w"], params["w"] - 0.3 * grads["w"])
        assert after["n"] == 3 and after["frozen"] is params["frozen"]
    assert fn.sgd_step(numbers(2).float(), numbers(2).float(), torch.tensor(0.1).double()).dtype == torch.float32
