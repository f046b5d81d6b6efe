"""Reads and writes under vmap at indices that differ between the examples."""

import pytest
import torch

import funcnet as fn

X = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0], [2.0, 2.0, 0.0], [-3.0, 1.0, 5.0]])


def written_behind_a_slice(x, i):
    out = torch.zeros(4, 3)
    out[:, i] = torch.arange(12.0).reshape(4, 3) * x
    return out


def added_behind_a_slice(x, i):
    out = torch.ones(2, 4, 3) * x
    out[..., i] += torch.arange(24.0).reshape(2, 4, 3)
    out[0, 1:, i[:2]] = 5 * x[:2]
    return out


def by_two_numbers(x, i):
    out = torch.ones(2, 3, 3) * x
    out[:, i[0], i[1]] = x[:2] ** 2
    return out[1, i[0]] * out[..., None, i[2]].sum() + x.expand(4, 3)[:, i[0]].sum()


@pytest.mark.parametrize("f", [written_behind_a_slice, added_behind_a_slice, by_two_numbers])
def test_indices_that_differ_between_examples(f):
    orders = torch.stack([torch.randperm(3, generator=torch.Generator().manual_seed(n)) for n in range(4)])

    def loss(x, i):
        y = f(x, i)
        return (y * torch.arange(y.numel()).reshape(y.shape)).sin().sum()

    for each in (f, loss, fn.grad(loss)):
        loop = torch.stack([each(x, i) for x, i in zip(X, orders, strict=True)])
        for batched in (fn.vmap(each), fn.jit(fn.vmap(each), backend="eager")):
            torch.testing.assert_close(batched(X, orders), loop)
        inner = fn.jit(lambda x, i, each=each: fn.vmap(each)(x, i) * 1, backend="eager")
        torch.testing.assert_close(inner(X, orders), loop)


def test_a_0d_index_select_keeps_its_axis():
    rows, index = torch.arange(24.0).reshape(4, 2, 3), torch.tensor([0, 2, 1, 2])
    expected = torch.stack([row.index_select(1, i) for row, i in zip(rows, index, strict=True)])
    assert torch.equal(fn.vmap(lambda row, i: row.index_select(1, i))(rows, index), expected)


V, S = torch.randn(3, 5, 4, dtype=torch.float64), torch.randn(3, 1, 4, dtype=torch.float64)
ONE = {  # name: a function of x (5, 4), source (1, 4) and a 0-d index
    "index_add": lambda x, source, i: x.index_add(0, i, source, alpha=2),
    "index_copy": lambda x, source, i: x.index_copy(0, i, source),
    "index_copy, a row": lambda x, source, i: x[:, 0].index_copy(0, i, source[0, 0]),
    "index_copy, an axis of one": lambda x, source, i: x[:, 0].index_copy(0, i.reshape(1), source[0, 0]),
    "index_copy of a number": lambda x, source, i: x.sum().index_copy(0, 0 * i, source[0, 0]),
    "index_copy_": lambda x, source, i: torch.zeros_like(V[0]).index_copy_(index=i, dim=0, source=source),
    "index_fill": lambda x, source, i: x.index_fill(1, i, 0.5),
    "index_fill_": lambda x, source, i: torch.zeros_like(V[0]).index_fill_(0, i, source.sum()),
    "index_reduce": lambda x, source, i: x.index_reduce(0, i, source, "mean"),
    "index_select": lambda x, source, i: x.index_select(1, i) * source[0, 0],
    "torch.index_add": lambda x, source, i: torch.index_add(x, 0, i, source),
}


@pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:index_reduce")
@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("dim", [None, 0])
def test_a_0d_index_is_one_element(name, dim):
    index = torch.tensor(2) if dim is None else torch.tensor([2, 0, 3])

    def loss(x, source, i):
        y = ONE[name](x, source, i)
        return (y * torch.arange(y.numel()).reshape(y.shape)).sin().sum()

    def by_autograd(x, source, i):
        leaves = [x.clone().requires_grad_(), source.clone().requires_grad_()]
        return torch.autograd.grad(loss(*leaves, i), leaves, allow_unused=True, materialize_grads=True)

    rows = [by_autograd(*row) for row in zip(V, S, index.expand(3), strict=True)]
    wanted = tuple(map(torch.stack, zip(*rows, strict=True)))
    each = fn.vmap(fn.grad(loss, (0, 1)), in_dims=(0, 0, dim))
    for transformed in (each, fn.jit(each, backend="eager")):
        torch.testing.assert_close(transformed(V, S, index), wanted)


@pytest.mark.parametrize("dim, index", [(0, 1), (1, -1), (-1, 0), (-2, -2)])
def test_gradients_of_select_scatter(dim, index):
    def loss(x):
        y = x.select_scatter(2 * x.select(dim, 0), dim, index) + torch.select_scatter(X, x.sum(dim), dim, index=index)
        return (y * torch.arange(12.0).reshape(4, 3)).sin().sum()

    rows = torch.stack([X, 2 * X, X.cos()])
    wanted = torch.stack([fn.grad(loss)(row) for row in rows])
    of_sum = fn.grad(lambda x: fn.vmap(loss)(x).sum())
    for f in (of_sum, fn.vmap(fn.grad(loss)), fn.jit(of_sum, backend="eager")):
        torch.testing.assert_close(f(rows), wanted)


READS = {
    "first": lambda x, i: x[i],
    "second": lambda x, i: x[:, i],
    "last": lambda x, i: x[..., i],
    "two": lambda x, i: x[i, -i - 1],
    "behind a number": lambda x, i: x[1, i],
    "a new axis": lambda x, i: x[i, None],
}


@pytest.mark.parametrize("name", READS)
def test_reads_by_a_mapped_index_equal_a_loop(name):
    rows, index = torch.randn(7, 3, 3, dtype=torch.float64), torch.tensor([-3, -2, -1, 0, 1, 2, -1])
    read = READS[name]
    gradient = fn.grad(lambda x, i: read(x, i).sin().sum())
    for f in (read, gradient):
        expected = torch.stack([f(x, int(i)) for x, i in zip(rows, index, strict=True)])
        assert torch.equal(fn.vmap(f)(rows, index), expected)
        shared = fn.vmap(fn.vmap(f, in_dims=(None, 0)), in_dims=(0, None))(rows, index)
        assert torch.equal(shared[torch.arange(7), torch.arange(7)], expected)


def rows_in_turn(x, i):
    y = x.clone()
    for _ in range(2):
        row = y[i]
        row += 1
        i = (i + 1) % 4
    return y


def views_of_a_row(x, i):
    y = x * 1
    row = y[i]
    part = row[1:]
    part.mul_(5)
    row.div_(2)
    return torch.cat([y.flatten(), row, part])


def new_axes(x, i):
    y = x.clone()
    y[:, i % 3, None].mul_(2)
    y[i][None].mul_(3)
    return y


def a_buffer(x, i):
    y = torch.zeros(4, 3)
    y[i] += x[0]
    y[i][0] = x[1, 1]
    y[i, i % 3].add_(x[1, 2]).mul_(2)
    torch.nn.functional.relu(y[i], inplace=True)
    return y


def the_old_row(x, i):
    y = x.clone()
    old = y[i].clone()
    y[i] = old * 2
    return torch.cat([y.flatten(), old])


def rows_after_writes(x, i):
    """Use rows, and views of them, after writes to x: to all of it, to other rows and through other rows."""
    y = x.clone()
    row, part, other = y[i], y[i][1:], y[(i + 1) % 4]
    y *= 2
    other.sub_(1)
    entry = part[i % 2]
    y[(i + 1) % 4] = row + other
    entry.mul_(3)
    return torch.cat([y.flatten(), row, part, other, entry[None]])


def a_table(x, i):
    y = torch.zeros(4, 3)
    for t in range(1, 4):
        best = y[t - 1, i % 3]
        y[t, i % 2] = best + x[t, 0]
        y[t] = y[t] + best
    return y


def an_index_that_moves(x, i):
    y, k = x.clone(), i.clone()
    row = y[k]
    k += 1
    row.add_(1)
    y[0] = 2
    return torch.cat([y.flatten(), row])


def a_row_and_a_later_write(x, i):
    y = x.clone()
    square = y[i].clone() ** 2 * y[i, i % 3].clone()
    y[0] = x[1].sin()
    return y * square


PROGRAMS = [
    a_row_and_a_later_write,
    rows_in_turn,
    views_of_a_row,
    new_axes,
    a_buffer,
    the_old_row,
    rows_after_writes,
    a_table,
    an_index_that_moves,
]


@pytest.mark.parametrize("f", PROGRAMS)
def test_a_row_that_is_read_is_a_view(f):
    def loss(x, i):
        y = f(x, i)
        return (y * torch.arange(y.numel()).reshape(y.shape)).sin().sum()

    def gradient(x, i):
        return torch.autograd.grad(loss(leaf := x.clone().requires_grad_(), i), leaf)[0]

    rows, indices = torch.stack([X, 2 * X, X.cos()]), torch.tensor([1, 3, 0])
    pairs = [*zip(rows, indices, strict=True)]
    wanted = torch.stack([f(*pair) for pair in pairs])
    torch.testing.assert_close(fn.vmap(f)(rows, indices), wanted)
    with torch.inference_mode():  # which counts no versions
        torch.testing.assert_close(fn.vmap(f)(rows.clone(), indices), wanted)
    gradients = torch.stack([gradient(*pair) for pair in pairs])
    torch.testing.assert_close(fn.vmap(fn.grad(loss))(rows, indices), gradients)
    of_sum = fn.grad(lambda x: fn.vmap(loss)(x, indices).sum())
    torch.testing.assert_close(of_sum(rows), gradients)
    of_shared = fn.grad(lambda x: fn.vmap(loss, in_dims=(None, 0))(x, indices).sum())
    torch.testing.assert_close(of_shared(X), sum(gradient(X, i) for i in indices))


def test_a_write_to_a_row_of_an_argument_is_refused():
    def f(x, i):
        row = x[i]
        row += 1
        return row

    with pytest.raises(RuntimeError, match="writes in place to an argument"):
        fn.vmap(f)(X, torch.tensor([0, 1, 2, 0]))


def test_writes_at_an_index_of_an_outer_vmap():
    def f(x, i):
        y = x * 1
        y[i] = 2.0 * i
        y[None][:, i + 1] += x.sum()
        return y

    each = fn.vmap(fn.vmap(f, in_dims=(0, None)), in_dims=(None, 0))
    expected = torch.stack([torch.stack([f(row, i) for row in X]) for i in (0, 1)])
    torch.testing.assert_close(each(X, torch.tensor([0, 1])), expected)
    torch.testing.assert_close(fn.jit(each, backend="eager")(X, torch.tensor([0, 1])), expected)
