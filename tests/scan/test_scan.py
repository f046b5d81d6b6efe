"""scan and sgd_step against Python loops."""

import pytest
import torch
from tables import Affine, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree


def test_scan_equals_a_loop_over_any_tree():
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


def test_scan_of_no_steps_returns_empty_outputs():
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


def test_scan_composes_with_derivatives_and_vmap():
    def final(w, x):
        return fn.scan(lambda c, x: (torch.tanh(w * c + x), None), torch.zeros(()).double(), x)[0]

    w, x = numbers(3), numbers(3, 6, seed=1)
    fn.checking.check_grads(lambda w: final(w[0], x[0]), (w,), order=2)
    mapped = fn.vmap(fn.grad(final))(w, x)
    assert_close(mapped, torch.stack([fn.grad(final)(a, b) for a, b in zip(w, x, strict=True)]))


def test_a_carry_may_hold_numbers_and_names():
    def f(carry, _):
        return {"n": carry["n"] + 1, "name": "xor", "x": carry["x"] * carry["n"]}, None

    carry, _ = fn.scan(f, {"n": 1, "name": "xor", "x": torch.tensor(1.0)}, length=4)
    assert tree.equal(carry, {"n": torch.tensor(5), "name": "xor", "x": torch.tensor(24.0)})
    assert fn.jit(lambda x: fn.scan(f, {"n": 1, "name": "xor", "x": x}, length=4)[0]["x"])(torch.tensor(1.0)) == 24
    with pytest.raises(ValueError, match=r"a constant in the carry changes .*'a' and 'b'. Inside jit, carry tensors"):
        fn.jit(lambda: fn.scan(lambda c, _: ("b", None), "a", length=2))()


@pytest.mark.parametrize("change", [1, 2, 3])
def test_the_carry_is_checked_at_every_step(change):
    def f(carry, i):
        return carry.double() if i + 1 == change else carry, None

    with pytest.raises(ValueError, match=r"scan: expected f to return a carry like the one it got, .*float32.*float64"):
        fn.scan(f, torch.zeros(2), torch.arange(change))


@pytest.mark.parametrize("length", [0, 1, 3])
def test_only_tensors_are_stacked(length):
    with pytest.raises(
        ValueError, match=r'scan: in y, at path "loss": expected a tensor to stack, got 0.5. Return the'
    ):
        fn.scan(lambda c, _: (c + 1, {"loss": 0.5, "x": c}), torch.tensor(0.0), length=length)
    with pytest.raises(ValueError, match=r"scan: in y, at the tree itself.*: expected a tensor to stack, got 3"):
        fn.jit(lambda x: fn.scan(lambda c, _: (c + 1, 3), x, length=length))(torch.tensor(0.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "rate", [0.5, torch.tensor(0.5), torch.tensor(0.5).double(), torch.tensor([0.5, 0.25]).double()]
)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_sgd_step_keeps_the_dtype_of_the_parameters(dtype, rate, shape):
    params = torch.ones(2 if torch.as_tensor(rate).ndim else shape, dtype=dtype)
    after = fn.sgd_step(params, torch.full_like(params, 0.5, dtype=torch.float64), rate)
    assert_close(after, (1 - torch.as_tensor(rate) * 0.5).to(dtype).expand(params.shape))


def test_sgd_step_keeps_leaves_without_gradient_and_accepts_tensors():
    params = {"w": numbers(2), "n": 3, "frozen": numbers(1)}
    grads = {"w": numbers(2, seed=1), "n": None, "frozen": None}
    for rate in (0.3, torch.tensor(0.3).double()):
        after = fn.sgd_step(params, grads, rate)
        assert_close(after["w"], params["w"] - 0.3 * grads["w"])
        assert after["n"] == 3 and after["frozen"] is params["frozen"]
    assert fn.sgd_step(numbers(2).float(), numbers(2).float(), torch.tensor(0.1).double()).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace the builtin")
def test_torch_compile_runs_a_scan():
    torch._dynamo.reset()
    rows = numbers(4, 3)
    compiled = torch.compile(lambda xs: fn.scan(lambda c, x: (c + x, c * 2), xs[0], xs), backend="eager")
    assert_close(compiled(rows), fn.scan(lambda c, x: (c + x, c * 2), rows[0], rows))
