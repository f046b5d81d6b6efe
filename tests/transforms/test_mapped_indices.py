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
