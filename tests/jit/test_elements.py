"""jit of reads and writes at computed indices: an element, a row, a view."""

import pytest
import torch

import funcnet as fn
from funcnet.compiler import StagingError, jit

X = torch.linspace(-1.0, 2.0, 24, dtype=torch.float64).reshape(2, 3, 4)
BACKENDS = ["eager", "native"]


def set_row(x, i):
    y = x * 1
    y[i] = x[0] + 5
    return y


def set_under_mask(x, i):
    y = x * 1
    y[torch.tensor([[True, False, True], [False, False, True]]), i + 1] = -9
    return y


def set_element(x, i):
    y = x * 1
    y[:, i, 1:3] = 7
    y[i, -1, i] += 1
    return y, y.sum()


TAKEN = {
    "first": lambda x, i: x[i],
    "second": lambda x, i: x[:, i],
    "last": lambda x, i: x[..., i],
    "before the last": lambda x, i: x[..., i, 1:],
    "twice": lambda x, i: x[i, i],
    "twice apart": lambda x, i: x[i, :, i],
    "new axes": lambda x, i: x[None, True, i, None],
    "next to a list": lambda x, i: x[i, :, [3, 0, 1]],
    "next to a number": lambda x, i: x[True, ..., 1, i],
    "negative": lambda x, i: x[i - 2],
    "of one lane": lambda x, i: torch.arange(5)[i] + x[0, 0],
    "gradient": fn.grad(lambda x, i: x[i, 1:].sin().sum() * x[1, i].cos().prod()),
    "in a scan": lambda x, i: fn.scan(lambda c, j: (c + x[j, i], x[i, j]), x[0, 0], torch.tensor([1, 0, 1])),
    "gradient of a scan": fn.grad(
        lambda x, i: fn.scan(lambda c, j: (c * x[0, j, i].sin() + x[i, i, j], None), x[0, 0, 0], torch.arange(3))[0]
    ),
    "gradient of a scan of scans": fn.grad(
        lambda x, i: fn.scan(
            lambda c, j: fn.scan(lambda c, k: (c * x[j, k].sin(), x[k, i].sum()), c, torch.tensor([1, 0])),
            x[0, 0],
            torch.tensor([0, 1, 1]),
        )[1].sum()
    ),
    "in a vmap": lambda x, i: fn.vmap(lambda row: row[i])(x),
    "row set": set_row,
    "elements set": set_element,
    "elements under a mask set": set_under_mask,
}


@pytest.mark.few(15)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_a_number_in_a_tensor_is_an_index(name, backend, dtype):
    f, places = TAKEN[name], torch.tensor([1, 0, 1], dtype=dtype)
    one = jit(f, backend=backend)
    want = [f(X, place) for place in places]
    for place, expected in zip(places, want, strict=True):
        assert fn.tree.difference(one(X, place), expected, atol=1e-12) is None
    lanes = jit(fn.vmap(f, in_dims=(None, 0)), backend=backend)(X, places)
    assert fn.tree.difference(lanes, fn.tree.stack(want), atol=1e-12) is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_over_index_is_read_at_each_call(backend):
    place = torch.tensor(0)
    f = jit(lambda x: x[place], backend=backend)
    assert torch.equal(f(X), X[0])
    place.add_(1)
    assert torch.equal(f(X), X[1])
    place.add_(1)
    with pytest.raises(IndexError):
        f(X)


def add_to_row(y, i):
    y[i] += 1
    y[i, 1:] *= 2


def add_to_view(y, i):
    y[0].t()[i] -= 3
    y[i] -= y[i - 1]


def bring_back(y, i):
    row = y[i]
    row.mul_(2)
    row += 1
    y[i] = row


def swap(y, i):
    row = y[i].clone()
    row[0] = 7
    y[i] = y[i - 1]
    y[i - 1] = row


def count(y, i):
    def step(c, j):
        c = c * 1
        c[j] += 1
        c[j, i] += 2 * c[i, j]
        return c, c[j].sum()

    y += fn.scan(step, y * 1, torch.tensor([0, 1, 1, 0]))[0]


def multiply_views(y, i):
    y[1:].mul_(y[:1, 1:2] + i)
    y.view(6, 4).T[1:, ::2].sub_(y[1, 1, 1] * 2)
    y.as_strided((2, 3), (12, 4), 2).mul_(3)


def multiply_in_a_loop(y, i):
    def step(c, _):
        c = c.sin()
        c[1:, :2].mul_(c[:1, 1:] + i)
        return c, None

    y += fn.scan(step, y * 1, length=3)[0]


@pytest.mark.few(4)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "write", [add_to_row, add_to_view, bring_back, swap, count, multiply_views, multiply_in_a_loop]
)
def test_elements_are_written_in_place(write, backend):
    def f(x, i):
        y = x * 1
        write(y, i)
        return y

    places = torch.tensor([1, 0])
    want = [f(X, place) for place in places]
    assert fn.tree.difference(jit(f, backend=backend)(X, places[0]), want[0], atol=1e-12) is None
    lanes = jit(fn.vmap(f, in_dims=(None, 0)), backend=backend)(X, places)
    assert fn.tree.difference(lanes, torch.stack(want), atol=1e-12) is None
    gradient = fn.grad(lambda x, i: f(x, i).sin().sum())
    want = [gradient(X, place) for place in places]
    assert fn.tree.difference(jit(gradient, backend=backend)(X, places[0]), want[0], atol=1e-12) is None
    lanes = jit(fn.vmap(gradient, in_dims=(None, 0)), backend=backend)(X, places)
    assert fn.tree.difference(lanes, torch.stack(want), atol=1e-12) is None


def chained(y, i):
    y[i][0] = 3


def through_a_name(y, i):
    row = y[i]
    row += 1


def brought_elsewhere(y, i):
    row = y[i]
    row.mul_(2)
    y[i - 1] = row


def by_a_function(y, i):
    y[i, 1:].zero_()


@pytest.mark.parametrize("write", [chained, through_a_name, brought_elsewhere, by_a_function])
def test_writes_that_would_be_lost_are_refused_with_their_line(write):
    """torch returns a view where a trace has a copy."""

    def f(x, i):
        y = x * 1
        write(y, i)
        return y.sum()

    line = write.__code__.co_firstlineno + (2 if "row" in write.__code__.co_varnames else 1)
    message = rf"x\[i\], for a tensor i, is written to in place in {write.__name__}, .*test_elements\.py:{line};"
    for g in (f, fn.grad(f)):
        with pytest.raises(StagingError, match=message):
            jit(g)(X, torch.tensor(1))


def test_a_copy_that_torch_would_have_changed_is_refused():
    def swap(x, i):
        y = x * 1
        row = y[i]
        y[i] = y[i - 1]
        y[i - 1] = row
        return y

    line = swap.__code__.co_firstlineno + 4
    with pytest.raises(StagingError, match=rf"is used in swap, .*test_elements\.py:{line} after a write to x"):
        jit(swap)(X, torch.tensor(1))


def loops_that_all_share(row):
    total, totals = fn.scan(lambda c, x: (c * 2 + x.sum(), c), torch.ones((), dtype=X.dtype), X[0])
    return total, totals, fn.scan(lambda c, _: (c + row.sum(), c), total, length=2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_that_all_examples_share_runs_once(backend):
    batched = fn.vmap(loops_that_all_share, out_dims=(None, None, 0))
    for f in (batched, lambda x: batched(x)):
        assert fn.tree.difference(jit(f, backend=backend)(X[1]), batched(X[1]), atol=1e-12) is None


MISFITS = [
    lambda x, i: x.__setitem__(([0, 1], i), 1.0),
    lambda x, i: x.__setitem__((0, [0, 1], i), 1.0),
    lambda x, i: x.__setitem__((slice(None), i), x[:, :2]),
    lambda x, i: x.index_put_((i[:2],), x[:1, :2] * 1, accumulate=True),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("write", MISFITS)
def test_writes_that_do_not_fit_are_refused(write, backend):
    i = torch.tensor([0, 2, 1])
    for f in (write, jit(lambda x, i: write(x * 1, i), backend=backend)):
        with pytest.raises((RuntimeError, IndexError), match="(?i)mismatch|expand"):
            f(X.clone(), i)
