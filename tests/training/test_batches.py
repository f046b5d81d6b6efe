"""Minibatches: every example occurs once per epoch, in an order that depends only on the key."""

import pytest
import torch
from tables import numbers

import funcnet as fn

DATA = {"x": torch.zeros(10, 2), "y": [torch.zeros(10)]}


def test_every_example_occurs_once_per_epoch():
    blocks = fn.batches(fn.random.key(1), DATA, 5, epochs=3)
    assert blocks.shape == (6, 5) and blocks.dtype == torch.int64
    orders = blocks.reshape(3, 10)
    assert (orders.sort(1).values == torch.arange(10)).all()
    assert len({tuple(order.tolist()) for order in orders}) == 3
    assert torch.equal(fn.batches(fn.random.key(1), DATA, 5, epochs=3), blocks)
    assert not torch.equal(fn.batches(fn.random.key(2), DATA, 5, epochs=3), blocks)


def test_one_epoch_equals_the_permutation_of_its_key():
    key = fn.random.key(5)
    assert torch.equal(fn.batches(key, DATA, 10)[0], fn.random.permutation(key, 10))


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_ragged_blocks(epochs):
    key = fn.random.key(1)
    dropped, wrapped, joined = (fn.batches(key, DATA, 4, epochs=epochs, ragged=r) for r in ("drop", "wrap", "join"))
    assert (len(dropped), len(wrapped), len(joined)) == (2 * epochs, 3 * epochs, 10 * epochs // 4)
    for epoch in range(epochs):
        order = wrapped[3 * epoch : 3 * epoch + 3].reshape(-1)
        assert (order[:10].sort().values == torch.arange(10)).all()
        assert torch.equal(order[10:], order[:2])
        assert torch.equal(dropped[2 * epoch : 2 * epoch + 2].reshape(-1), order[:8])
    whole = torch.cat([wrapped[3 * e : 3 * e + 3].reshape(-1)[:10] for e in range(epochs)])
    assert torch.equal(joined.reshape(-1), whole[: joined.numel()])


def test_a_block_longer_than_the_data_wraps():
    block = fn.batches(fn.random.key(0), torch.zeros(3), 7, ragged="wrap")
    assert block.shape == (1, 7) and (block[0].bincount() >= 2).all()


def test_blocks_are_the_xs_of_scan_and_map_over_keys():
    x, keys = numbers(10, 2), fn.random.split(fn.random.key(3), 4)

    def means(key):
        return fn.scan(lambda total, block: (total + x[block].sum(0), None), x[0] * 0, fn.batches(key, x, 2))[0]

    torch.testing.assert_close(fn.vmap(means)(keys), x.sum(0).expand(4, 2))
    torch.testing.assert_close(fn.jit(means, backend="eager")(keys[0]), x.sum(0))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: fn.batches(fn.random.key(0), DATA, 11), "at least the 11 examples of one block, got 10"),
        (lambda: fn.batches(fn.random.key(0), torch.zeros(0), 2, ragged="wrap"), "got 0"),
        (lambda: fn.batches(fn.random.key(0), DATA, 0), "batch_size to be an integer of at least 1, got 0"),
        (lambda: fn.batches(fn.random.key(0), DATA, -2), "batch_size to be an integer of at least 1, got -2"),
        (lambda: fn.batches(fn.random.key(0), DATA, 2.5), "batch_size to be an integer of at least 1, got 2.5"),
        (lambda: fn.batches(fn.random.key(0), DATA, 2, epochs=0), "epochs to be an integer of at least 1, got 0"),
        (lambda: fn.batches(fn.random.key(0), DATA, 2, ragged="pad"), '"drop", "wrap" or "join", got \'pad\''),
        (lambda: fn.batches(fn.random.key(0), {"a": torch.zeros(2), "b": torch.zeros(3)}, 1), "a common leading axis"),
        (lambda: fn.batches(fn.random.key(0), torch.tensor(0.0), 1), "a common leading axis"),
    ],
)
def test_bad_input_gets_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
