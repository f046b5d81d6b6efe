"""Loops in traced programs: hoisted, pruned and nested."""

import pytest
import torch
from traced import W, X, assert_traced_equals, operations, program

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.program import Scan
from funcnet.compiler.tracing.trace import loop
from funcnet.control_flow.scan import scan


def test_loop_invariant_operations_are_computed_before_the_loop():
    def f(x, w):
        return scan(lambda c, _: (c + (x @ w).sin().sum(), c * 2), x.sum(), length=5)

    block = program(lambda *args: fn.tree.leaves(f(*args)), X, W).block
    (loop_,) = (op for op in block.ops if isinstance(op, Scan))
    assert [str(op.target) for op in loop_.body.ops] == ["aten.add.Tensor", "aten.mul.Tensor"]


def test_unused_outputs_and_slices_are_removed():
    def f(x):
        carry, (_, doubled) = scan(lambda c, row: (c + 1, (row.exp(), c * 2)), x[0], x)
        return [carry, doubled]

    (loop_,) = (op for op in program(f, X).block.ops if isinstance(op, Scan))
    assert (len(loop_.xs), len(loop_.outputs)) == (0, 2)


def test_carries_that_no_result_depends_on_are_removed():
    def inner(c, _):
        return (c[0].sin(), c[1] * c[0], c[2] + c[1]), c[2]

    def f(x):
        """Scan with carries where b reads a and c reads b; d, which only c reads, is passed to an inner scan."""

        def outer(carry, row):
            a, b, c, d = carry
            (a, b, d), _ = scan(inner, (a, b, d), length=2)
            return (a + row, b, c + d, d), (c, a)

        (_, b, _, _), (_, every_a) = scan(outer, (x[0], x[1], x[2], x[0]), x)
        return [b, every_a]

    (outer,) = (op for op in program(f, X).block.ops if isinstance(op, Scan))
    (inside,) = (op for op in outer.body.ops if isinstance(op, Scan))
    assert (len(outer.init), len(outer.outputs), len(inside.init), len(inside.outputs)) == (2, 3, 2, 2)
    assert_traced_equals(f, X)


def test_nested_scans_of_100_steps_are_two_small_blocks():
    def inner(c, _):
        value, gradient = fn.value_and_grad(lambda c: (c * X).sin().sum())(c)
        return c - 0.01 * gradient, value

    def outer(c, _):
        c, values = scan(inner, c, length=100)
        return c, values[0]

    def run(x):
        return scan(outer, x, length=100)

    assert operations(lambda x: fn.tree.leaves(run(x)), X).count("scan") == 2
    assert len(operations(lambda x: fn.tree.leaves(run(x)), X)) < 20
    carry, expected = X, []
    for i in range(10_000):
        expected += [(carry * X).sin().sum()] if i % 100 == 0 else []
        carry = carry - 0.01 * X * (carry * X).cos()
    final, values = jit(run, backend="eager")(X)
    torch.testing.assert_close(final, carry, rtol=0, atol=1e-12)
    torch.testing.assert_close(values, torch.stack(expected), rtol=0, atol=1e-12)


SCANS = [
    lambda x: scan(lambda c, row: (c + row.sum() * c.cos(), c[0]), x, x),
    lambda x: scan(lambda c, row: ({"a": c["b"], "b": c["a"] + row}, (c["a"], None)), {"a": x[0], "b": x[1]}, x),
    lambda x: scan(lambda c, row: (c, row * 2), x, x[:0]),
    lambda x: scan(lambda c, _: (c, None), x, length=4),
    lambda x: scan(lambda c, _: scan(lambda c, row: (c + row.sum(), c[0]), c, x), x, length=4),
    lambda x: scan(lambda c, row: (c - 0.1 * fn.grad(lambda c: (c * row).square().sum())(c), None), x, x),
    lambda x: scan(lambda c, row: (c + fn.vmap(lambda r: r * row)(x).sum(), c), x[0, 0], x),
    fn.grad(lambda x: scan(lambda c, row: (c * row.sum(), c.sum()), x, x)[1].sum()),
    fn.vmap(lambda row: scan(lambda c, z: (c + row.sum() * z, c * 2), row, torch.arange(5.0, dtype=row.dtype))),
    fn.vmap(lambda row: scan(lambda c, z: (c + z, c * 2), torch.zeros((), dtype=row.dtype), row)),
    lambda x: fn.vmap(fn.vmap(lambda a, b: scan(lambda c, z: (c + a * z, c), b, x[0]), (None, 0)), (0, None))(x, x),
    lambda x: fn.vmap(lambda r: scan(lambda c, z: (scan(lambda c, _: (c + z, r), c, length=3)[0], c), r, x))(x[:, :4]),
    lambda x: fn.vmap(fn.grad(lambda r: scan(lambda c, z: (c * z, c), r.sum(), r)[0]))(x),
]


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("f", SCANS)
def test_a_traced_scan_equals_eager(f, backend):
    assert_traced_equals(f, X, backend=backend)


def test_scan_inside_vmap_stays_one_loop():
    def f(x):
        return [fn.vmap(lambda row: scan(lambda c, _: (c + row, None), row, length=50)[0])(x)]

    assert operations(f, X).count("scan") == 1


def test_the_shared_stack_of_a_scan_is_a_result_of_every_lane():
    shared = torch.ones(1)

    def f(x):
        _, stack = scan(lambda c, _: (c, shared), x, length=2)
        carry, _ = scan(lambda c, _: (c + 1, None), stack, length=0)
        return carry, stack

    x = torch.zeros(5)
    assert fn.tree.difference(jit(fn.vmap(f), backend="native")(x), fn.vmap(f)(x)) is None


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_a_step_in_a_derivative_writes_to_out(backend):
    def loss(c):
        def step(c, x):
            product = torch.empty(4, dtype=x.dtype)
            torch.mul(x, x, out=product)
            return c * product, product

        c, products = scan(step, c, X)
        return (c * products.sum(0)).sum()

    f = fn.grad(fn.remat(loss))
    assert fn.tree.difference(jit(f, backend=backend)(X[0]), f(X[0]), atol=1e-12) is None


def rows(x):
    """Return a stack that does not depend on x, (4, 4)."""
    return scan(lambda c, _: (c, torch.full((4,), 0.7)), x.sum(), length=4)[1]


def own_rows(x):
    return scan(lambda c, _: (c, x), x.sum(), length=4)[1]


def filled(x):
    stack = rows(x)
    stack.view(2, 8)[:, 3:5].copy_(x[:2])
    return stack


def scattered(x):
    stack = rows(x)
    stack.view(16).scatter_(0, x[:1].long(), 0.5)
    return stack


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("f", [lambda x: rows(x).view(16), lambda x: own_rows(x).view(16), filled, scattered])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_the_stack_of_a_scan_in_a_vmap_is_viewed_and_written_as_in_eager_mode(f, backend):
    x = torch.arange(12.0).reshape(3, 4)
    assert fn.tree.difference(jit(lambda x: fn.vmap(f)(x), backend=backend)(x), torch.stack([*map(f, x)])) is None


def test_loop_is_none_if_a_scan_is_a_python_loop():
    seen = []

    def f(x):
        seen.append(loop() is None)
        return fn.grad(lambda x: (seen.append(loop() is None), x.sum())[1])(x)

    assert loop() is None
    jit(f, backend="eager")(X)
    assert seen == [False, True]
