"""Edges of control flow: code that does not run, bad input, empty loops, dtypes, keys, constants."""

import pytest
import torch
from tables import Affine, Point, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

BACKENDS = ["native", "eager"]
t = torch.tensor


def runs(f, *args):
    """Yield the results of f, eager and compiled."""
    yield f(*args)
    for backend in BACKENDS:
        yield fn.jit(f, backend=backend)(*args)


def test_only_the_branch_taken_runs():
    seen = []

    def noted(name):
        return lambda x: seen.append(name) or x

    fn.cond(t(True), noted("true"), noted("false"), t(1.0))
    fn.switch(t(1), [noted("first"), noted("second")], t(1.0))
    assert seen == ["true", "second"]


FAILING = {
    "index": lambda x, i: x[i],
    "gather": lambda x, i: x.gather(0, i.reshape(1))[0],
    "write": lambda x, i: x.index_put((i.reshape(1),), x[:1]).sum(),
    "division": lambda x, i: (4 // (3 - i)) + x[0],
    "assertion": lambda x, i: torch.ops.aten._functional_assert_async.msg(i < 3, "too large", x[0]),
    "cholesky": lambda x, i: torch.linalg.cholesky((3 - i).reshape(1, 1) * x[:1].abs()).sum(),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", FAILING)
def test_errors_of_a_branch_that_is_not_taken(name):
    x, fails = numbers(3), FAILING[name]
    f = lambda i: fn.cond(i < 3, lambda: fails(x, i), lambda: x[0] * 0 + 7)  # noqa: E731
    places = t([1, 3, 0, 5])
    want = torch.stack([fails(x, i) if i < 3 else t(7.0).double() for i in places])
    if name != "assertion":  # torch has no batching rule for it
        assert_close(fn.vmap(f)(places), want)
    for backend in BACKENDS:
        run = fn.jit(f, backend=backend)
        assert_close(torch.stack([run(i) for i in places]), want)
    assert_close(fn.jit(fn.vmap(f), backend="native")(places), want)
    if name != "cholesky":  # whose failed lanes are NaN
        with pytest.raises((IndexError, RuntimeError)):
            fn.jit(fn.vmap(lambda i: fn.cond(i > 2, lambda: fails(x, i), lambda: x[0])), backend="native")(places)


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_inside_a_vmap_that_is_not_outermost(backend):
    """No error of an example that takes the other branch is raised; those of the branch taken are not reported."""
    x, names = numbers(3), [name for name in FAILING if name not in ("cholesky", "assertion")]
    f = lambda i: [fn.cond(i < 3, lambda g=FAILING[name]: g(x, i), lambda: x[0]) for name in names]  # noqa: E731
    places = t([[1, 3, 0, 5], [2, 2, 7, 1]])
    want = tree.stack([tree.stack([f(i) for i in row]) for row in places])
    assert_close(fn.jit(fn.vmap(fn.vmap(f)), backend=backend)(places), want)
    assert_close(fn.jit(lambda p: fn.vmap(f)(p), backend=backend)(places[0]), [column[0] for column in want])


def test_errors_of_a_lane_that_has_stopped():
    x = t([1.0, 2.0, 3.0])
    total = lambda n: fn.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] + x[s[0]]), (0, 0.0))[1]  # noqa: E731
    for run in (fn.vmap(total), fn.jit(fn.vmap(total), backend="native"), fn.jit(fn.vmap(total), backend="eager")):
        assert_close(run(t([3, 0, 1])), t([6.0, 0.0, 1.0]))


def test_no_error_of_a_loop_that_takes_no_step():
    x, i = numbers(3), t(7)
    f = lambda n: fn.while_loop(lambda c: c < n, lambda c: c + x[i] * 0 + 1, 0.0 * x[0])  # noqa: E731
    for run in (f, *(fn.jit(f, backend=backend) for backend in BACKENDS)):
        assert run(t(0.0)) == 0
        with pytest.raises(IndexError):
            run(t(1.0))


def test_infinite_derivatives_of_the_other_branch_have_no_effect():
    f = lambda x: fn.cond(x > 0, torch.sqrt, lambda x: 3 * x, x)  # noqa: E731
    xs = t([4.0, 0.0, -1.0]).double()
    want = t([0.25, 3.0, 3.0]).double()
    total = lambda xs: fn.vmap(f)(xs).sum()  # noqa: E731
    for run in (fn.vmap(fn.grad(f)), fn.grad(total), fn.jit(fn.vmap(fn.grad(f))), fn.jit(fn.grad(total))):
        assert torch.equal(run(xs), want)
    scaled = lambda s: fn.vmap(lambda x: fn.cond(x > 0, lambda: (s * x).sqrt(), lambda: x))(xs).sum()  # noqa: E731
    for run in (fn.grad(scaled), fn.jit(fn.grad(scaled))):
        assert run(t(1.0).double()) == 1


def test_a_lane_that_has_stopped_keeps_its_bits():
    start = t([1.0, float("nan"), -0.0, float("inf")])
    f = lambda x, n: fn.while_loop(lambda s: s[1] < n, lambda s: (s[0] * 0 + 1 / s[0], s[1] + 1), (x, 0))[0]  # noqa: E731
    steps = t([5, 0, 0, 0])
    for run in (fn.vmap(f), fn.jit(fn.vmap(f), backend="native"), fn.jit(fn.vmap(f), backend="eager")):
        assert torch.equal(run(start, steps).view(torch.int32)[1:], start.view(torch.int32)[1:])


@pytest.mark.few(2)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.int32, torch.bool])
def test_dtypes_of_results(dtype):
    x = t([1, 0, 1]).to(dtype)
    f = lambda p, x: (fn.cond(p, lambda: x, lambda: x.flip(0)), fn.switch(p.long(), [lambda: x[0], lambda: x[1]]))  # noqa: E731
    for result in runs(f, t(False), x):
        assert tree.equal(result, (x.flip(0), x[0]))
    batch = fn.jit(fn.vmap(f, (0, None)), backend="native")(t([True, False]), x)
    assert tree.equal(batch, tree.stack([(x, x[1]), (x.flip(0), x[0])]))


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0), (1, 1)])
def test_shapes_of_carries(shape):
    x = numbers(*shape)
    f = lambda n, x: (fn.fori_loop(0, n, lambda _, c: c * 2, x), fn.fori_loop(0, 3, lambda i, c: c + i, x))  # noqa: E731
    for n in (0, 2):
        for result in runs(f, t(n), x):
            assert_close(result, (x * 2**n, x + 3), rtol=0.0, atol=0.0)
    batch = fn.jit(fn.vmap(f, (0, None)), backend="native")(t([0, 2]), x)
    assert_close(batch[0], torch.stack([x, x * 4]), rtol=0.0, atol=0.0)


@pytest.mark.few(4)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 8, 13])
def test_maps_and_prefixes_of_any_size(size):
    rows = numbers(size, 2, seed=size)
    assert_close(fn.map(lambda row: row.sum() + 1, rows), rows.sum(1) + 1)
    for batch_size in (1, 2, 5, 20):
        assert_close(fn.map(lambda row: row.sum() + 1, rows, batch_size=batch_size), rows.sum(1) + 1)
    assert_close(fn.associative_scan(torch.add, rows), rows.cumsum(0))
    assert_close(fn.associative_scan(torch.add, rows.T, axis=-1, reverse=True), rows.flip(0).cumsum(0).flip(0).T)


def test_prefixes_of_an_operation_that_does_not_commute():
    matrices = numbers(7, 2, 2)
    found = fn.associative_scan(fn.vmap(torch.mm), matrices)
    backwards = fn.associative_scan(fn.vmap(torch.mm), matrices, reverse=True)
    want, suffix = matrices[0], matrices[-1]
    for i in range(1, 7):
        want, suffix = want @ matrices[i], suffix @ matrices[-1 - i]
        assert_close(found[i], want)
        assert_close(backwards[-1 - i], suffix)


def test_trees_numbers_keys_and_constants():
    key = fn.random.key(3)

    def f(p, key, params):
        more = lambda: {"p": Affine(params.w * 2, params.b), "key": fn.random.split(key)[0], "n": 2, "none": None}  # noqa: E731
        less = lambda: {"p": Affine(params.w, params.b + 1), "key": key, "n": t(1), "none": None}  # noqa: E731
        return fn.cond(p, more, less)

    params = Affine(numbers(2), numbers())
    for p in (True, False):
        for result in runs(f, t(p), key, params):
            assert result["none"] is None and result["n"] == 1 + p and result["p"].name == "affine"
            assert torch.equal(result["key"], fn.random.split(key)[0] if p else key)
    state = Point(key, {"n": 0, "name": "walk", "x": numbers(2)})
    walk = lambda s: Point(fn.random.split(s.x)[0], {"n": s.y["n"] + 1, "name": "walk", "x": -s.y["x"]})  # noqa: E731
    for result in runs(lambda s: fn.while_loop(lambda s: s.y["n"] < 3, walk, s), state):
        assert result.y["n"] == 3 and result.y["name"] == "walk" and torch.equal(result.y["x"], -state.y["x"])


def test_results_do_not_share_memory_with_arguments():
    x = numbers(3)
    for f in (lambda p, x: fn.cond(p, lambda: x, lambda: -x), lambda p, x: fn.while_loop(lambda c: ~p, torch.neg, x)):
        for backend in BACKENDS:
            assert fn.jit(f, backend=backend)(t(True), x).data_ptr() != x.data_ptr()
    assert fn.while_loop(lambda c: False, torch.neg, x).data_ptr() != x.data_ptr()


def test_a_body_may_write_to_its_carry_but_not_outside():
    start, outside = numbers(3), numbers(3)
    before = start.clone()
    grow = lambda s: (s[0].add_(1), s[1] + 1)  # noqa: E731
    for result, _ in runs(lambda x: fn.while_loop(lambda s: s[1] < 3, grow, (x, 0)), start):
        assert_close(result, before + 3)
    assert torch.equal(start, before)
    with pytest.raises(RuntimeError, match="while_loop: the function writes in place to a closed-over tensor"):
        fn.while_loop(lambda n: n < 1, lambda n: n + outside.add_(1).sum().long() * 0 + 1, 0)
    with pytest.raises(RuntimeError, match="cond: the function writes in place to an argument"):
        fn.cond(t(True), lambda x: x.mul_(2), lambda x: x, start)
    with pytest.raises(RuntimeError, match="writes to .* in place"):
        fn.jit(lambda p, x: fn.cond(p, lambda: x.mul_(2), lambda: x))(t(True), before)


def test_autograd_differentiates_branches_and_refuses_loops():
    x = numbers(3).requires_grad_()
    (by_x,) = torch.autograd.grad(fn.vmap(lambda v: fn.cond(v > 0, lambda: v * v, lambda: -v))(x).sum(), x)
    assert_close(by_x, torch.where(x > 0, 2 * x, -1.0))
    with pytest.raises(ValueError, match="reverse-mode differentiation"):
        fn.while_loop(lambda v: v < 5, lambda v: v * 2 + x[0].abs() + 1, x.sum()).backward()


def test_captures_are_read_again_and_numbers_are_traced_once():
    held = {"w": t(2.0)}
    scaled = fn.jit(lambda x: fn.cond(x > 0, lambda: x * held["w"], lambda: x - held["w"]))
    assert (scaled(t(1.0)), scaled(t(-1.0))) == (2, -3)
    held["w"] = t(5.0)
    assert (scaled(t(1.0)), scaled(t(-1.0))) == (5, -6)
    traces = []
    doubled = fn.jit(lambda x, n: traces.append(n) or fn.while_loop(lambda c: c < n, lambda c: c * 2, x))
    assert [doubled(t(1.0), n) for n in (5.0, 9.0, 33.0)] == [8, 16, 64] and len(traces) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_number_of_lanes(backend):
    f = lambda x: fn.cond(x > 5, lambda: -x, lambda: fn.while_loop(lambda c: c < 10, lambda c: c * 2 + 1, x))  # noqa: E731
    for size in (0, 1, 2, 17, 40) if backend == "native" else (1, 2, 17):
        xs = torch.linspace(0, 9, size)
        want = torch.stack([f(x) for x in xs]) if size else xs
        assert torch.equal(fn.jit(fn.vmap(f), backend=backend)(xs), want)
        assert torch.equal(fn.jit(fn.vmap(f, chunk_size=3), backend=backend)(xs), want)
        assert torch.equal(fn.vmap(f)(xs), want)


def test_modules_that_a_branch_holds():
    module = torch.nn.Linear(3, 1).double()
    f = lambda x: fn.cond(x.sum() > 0, lambda: module(x).sum(), lambda: module(-x).sum() * 2)  # noqa: E731
    x = numbers(3).abs()
    xs, want = torch.stack([x, -x]), torch.stack([module.weight[0], module.weight[0] * -2]).detach()
    with torch.no_grad():
        assert_close(fn.vmap(fn.grad(f))(xs), want)
        assert_close(fn.jit(fn.vmap(fn.grad(f)))(xs), want)


def test_loops_and_branches_in_explain_and_progress():
    counts = []
    run = fn.jit(
        lambda x: fn.scan(lambda c, _: (fn.cond(c > 3, lambda: c / 2, lambda: c + 1), None), x, length=5)[0],
        progress=lambda done, total: counts.append((done, total)),
    )
    assert run(t(1.0)) == 3.0 and counts[-1] == (5, 5)
    assert run.explain(t(1.0)).operations["switch"] == 1
    loop = fn.jit(lambda x: fn.while_loop(lambda c: c < 9, lambda c: c * 2, x))
    assert loop.explain(t(1.0)).operations["while"] == 1
