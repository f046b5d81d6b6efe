"""A step of scan may write to its own carry and slice; init, xs and ys never change."""

import pytest
import torch

import funcnet as fn
from funcnet.transforms.refusals import ImpureError

XS = torch.arange(1.0, 5.0)


def add(c, x):
    c += x
    return c, c


def add_through_a_view(c, x):
    c.view(-1)[0:1].add_(x)
    return c, c.clone()


def write_to_the_slice(c, x):
    x *= 2
    return c + x / 2, x / 2 + c


def write_by_index(c, x):
    part = c["sums"]
    part[0] += x
    c["steps"] += 1
    return c, part[0]


MODES = {
    "eager": lambda f: f,
    "jit": fn.jit,
    "jit, op by op": lambda f: fn.jit(f, backend="eager"),
    "vmap": lambda f: lambda i, x: first(fn.vmap(f)(*both(i, x))),
    "jit of vmap": lambda f: lambda i, x: first(fn.jit(fn.vmap(f))(*both(i, x))),
    "in a vmap in jit": lambda f: (
        lambda i, x: first(fn.jit(lambda *args: fn.vmap(f)(*args), backend="eager")(*both(i, x)))
    ),
}
STEPS = [
    (add, torch.zeros(()), [1.0, 3.0, 6.0, 10.0]),
    (add_through_a_view, torch.zeros(()), [1.0, 3.0, 6.0, 10.0]),
    (write_to_the_slice, torch.zeros(()), [1.0, 3.0, 6.0, 10.0]),
    (write_by_index, {"sums": torch.zeros(2), "steps": torch.tensor(0)}, [1.0, 3.0, 6.0, 10.0]),
]


def both(*trees):
    return fn.tree.map(lambda leaf: torch.stack([leaf, leaf]), trees)


def first(tree):
    return fn.tree.map(lambda leaf: leaf[0], tree)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step, init, expected", STEPS)
def test_writes_affect_only_the_step_s_carry_and_slice(mode, step, init, expected):
    start, xs = fn.tree.map(torch.clone, init), XS.clone()
    last, ys = MODES[mode](lambda i, x: fn.scan(step, i, x))(start, xs)
    assert torch.equal(ys, torch.tensor(expected))
    assert torch.equal(fn.tree.leaves(last)[-1].reshape(-1)[0], torch.tensor(10.0))
    assert torch.equal(xs, XS) and fn.tree.difference(start, init) is None


@pytest.mark.parametrize("transform", [lambda f: f, fn.jit, lambda f: fn.jit(f, backend="eager")])
def test_gradients_through_writes_equal_those_of_sums(transform):
    def loss(xs):
        return fn.scan(add, torch.zeros(()), xs)[1].sum()

    expected = torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert torch.equal(transform(fn.grad(loss))(XS), expected)
    assert torch.equal(transform(fn.vmap(fn.grad(loss)))(torch.stack([XS, XS]))[1], expected)
    assert torch.equal(transform(fn.grad(lambda x: fn.vmap(loss)(torch.stack([x, x])).sum()))(XS), 2 * expected)
    assert torch.equal(transform(lambda x: fn.jvp(loss, (x,), (torch.ones(4),))[1])(XS), torch.tensor(10.0))


@pytest.mark.parametrize("transform", [lambda f: f, fn.jit])
def test_nested_scans_write_to_their_own_carries(transform):
    def outer(c, x):
        c *= 2
        inner, ys = fn.scan(add, c, torch.stack([x, x]))
        c += 1
        return inner, (c, ys)

    init = torch.tensor(1.0)
    last, (cs, ys) = transform(lambda i, x: fn.scan(outer, i, x))(init, XS[:2])
    assert torch.equal(last, torch.tensor(12.0)) and torch.equal(init, torch.tensor(1.0))
    assert torch.equal(cs, torch.tensor([3.0, 9.0]))
    assert torch.equal(ys, torch.tensor([[3.0, 4.0], [10.0, 12.0]]))


def test_init_is_unchanged_by_one_step_and_by_none():
    for length in (0, 1):
        init = torch.zeros(2)
        for transform in (lambda f: f, fn.jit):
            last, ys = transform(lambda i, n=length: fn.scan(add, i, torch.ones(n, 2)))(init)
            assert torch.equal(init, torch.zeros(2)) and ys.shape == (length, 2)
            assert torch.equal(last, torch.full((2,), float(length)))


@pytest.mark.parametrize("mode", ["eager", "jit", "grad", "vmap", "jit of grad"])
@pytest.mark.parametrize("write", [lambda t: t.add_(1.0), lambda t: t[0].zero_(), lambda t: torch.neg(t, out=t)])
def test_a_write_to_a_closed_over_tensor_is_refused(mode, write):
    buffer = torch.ones(2)

    def step(c, x):
        write(buffer)
        return c + x * buffer.sum(), None

    def f(x):
        return fn.scan(step, x.sum(), x)[0]

    run = {
        "eager": f,
        "jit": fn.jit(f),
        "grad": fn.grad(f),
        "vmap": lambda x: fn.vmap(f)(x[None]),
        "jit of grad": fn.jit(fn.grad(f)),
    }[mode]
    with pytest.raises(RuntimeError, match=r"writes (in place )?to .*closed-over.*x\.clone\(\)"):
        run(XS)


def test_a_step_must_write_always_or_never():
    steps = iter(range(4))

    def step(c, x):
        if next(steps) == 2:
            c += x
        return c, None

    with pytest.raises(ImpureError, match="in step 2 that it did not write to in step 0"):
        fn.scan(step, torch.zeros(()), XS)


def test_a_step_that_writes_nothing_gets_no_copies_after_the_first():
    seen = []

    def step(c, x):
        seen.append(c)
        return c, None

    fn.scan(step, torch.zeros(3), length=4)
    assert seen[1] is seen[2] is seen[3]
