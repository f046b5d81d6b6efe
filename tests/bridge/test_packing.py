"""Recurrent modules over packed sequences of different lengths."""

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn
from torch_modules import assert_close, assert_gradients_are_the_modules, filled, numbers, scalar

import funcnet as fn

X = numbers(2, 3, 5, 3)  # two examples of three sequences


class Packed(nn.Module):
    """A recurrent module over sequences that are packed, and a function of (packed outputs, last state)."""

    def __init__(self, module, lengths, after):
        super().__init__()
        self.module, self.lengths, self.after = module, lengths, after

    def forward(self, x):
        time_first = not self.module.batch_first
        packed = rnn.pack_padded_sequence(
            x.transpose(0, 1) if time_first else x, self.lengths, not time_first, enforce_sorted=False
        )
        return self.after(*self.module(packed))


class Listed(nn.Module):
    """Sequences in a list, padded before them."""

    def __init__(self):
        super().__init__()
        self.module = nn.GRU(3, 2)

    def forward(self, x):
        packed, last = self.module(rnn.pack_sequence([x[0], x[1, :3], x[2, :1]]))
        left = rnn.pad_sequence([x[0, :2], x[1]], padding_value=2.0, padding_side="left")
        return rnn.unpack_sequence(packed), last, self.module(left)


class Buffered(nn.Module):
    """Lengths in a buffer, the mean of each sequence, and a first state."""

    def __init__(self):
        super().__init__()
        self.module = nn.LSTM(3, 2, batch_first=True)
        self.register_buffer("lengths", torch.tensor([2, 5, 3]))

    def forward(self, x):
        packed = rnn.pack_padded_sequence(x, self.lengths, batch_first=True, enforce_sorted=False)
        start = x[None, :, 0, :2], x[None, :, 1, :2]
        rows, lengths = rnn.pad_packed_sequence(self.module(packed, start)[0], batch_first=True)
        return rows.sum(1) / lengths[:, None]


def last_state(packed, last):
    return last


def padded(packed, last):
    rows, lengths = rnn.pad_packed_sequence(packed, padding_value=-1.0, total_length=7)
    return rows * lengths[:, None]


def last_rows(packed, last):
    return rnn.pad_packed_sequence(packed, batch_first=True)[0], last


MODULES = {
    "lstm": Packed(nn.LSTM(3, 2, batch_first=True), [5, 3, 2], last_state),
    "lstm, projected": Packed(nn.LSTM(3, 4, proj_size=2), [3, 1, 4], padded),
    "gru, both ways": Packed(nn.GRU(3, 2, 2, bidirectional=True), torch.tensor([2, 4, 3]), padded),
    "gru without bias": Packed(nn.GRU(3, 2, bias=False), (1, 5, 1), lambda packed, last: packed.data),
    "rnn": Packed(nn.RNN(3, 2, nonlinearity="relu", batch_first=True), [4, 4, 1], lambda packed, last: packed),
    "listed": Listed(),
    "buffered": Buffered(),
}


@pytest.mark.parametrize("name", MODULES)
def test_gradients_of_each_example_equal_backward(name):
    assert_gradients_are_the_modules(MODULES[name], X)


@pytest.mark.parametrize("name", MODULES)
def test_outputs_equal_the_modules(name):
    module = filled(MODULES[name])
    apply, params, state = fn.from_module(module)
    want = [leaf.detach() for leaf in fn.tree.leaves(module(X[0])) if leaf is not None]
    assert_close(fn.tree.leaves(apply(params, state, X[0])[0]), want)


def test_jitted_gradients_equal_backward():
    """gcc 12 dropped the calls of a C function of this kernel, which it took for one without effects."""
    module = filled(Packed(nn.GRU(3, 2, batch_first=True, bidirectional=True), [3, 5, 2], last_rows)).float()
    x = X[0].float()
    apply, params, state = fn.from_module(module)
    got = fn.jit(fn.grad(lambda params: scalar(apply(params, state, x)[0])))(params)
    scalar(module(x)).backward()
    assert_close(got["module"], {name: weight.grad for name, weight in module.module.named_parameters()}, 1e-5)


class Argument(nn.Module):
    def __init__(self, is_sorted=False):
        super().__init__()
        self.is_sorted, self.module = is_sorted, nn.GRU(3, 2, batch_first=True)

    def forward(self, x, lengths):
        return self.module(rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=self.is_sorted))[1]


def test_lengths_that_are_not_known_are_refused():
    apply, params, state = fn.from_module(Argument().double())
    lengths = torch.tensor([2, 5, 3])

    def loss(params, x, lengths):
        return scalar(apply(params, state, x, lengths)[0])

    gradient = fn.grad(loss)
    want = gradient(params, X[0], lengths)
    assert_close(fn.jit(lambda params, x: gradient(params, x, lengths), backend="eager")(params, X[0]), want, 1e-12)
    assert_close(fn.jit(gradient, backend="eager")(params, X[0], (2, 5, 3)), want, 1e-12)
    with pytest.raises(ValueError, match="lengths that are known only when the program runs.*tuple"):
        fn.jit(gradient)(params, X[0], lengths)
    with pytest.raises(ValueError, match="lengths that are known only when the program runs.*mapped by vmap"):
        fn.vmap(gradient, in_dims=(None, 0, 0))(params, X, torch.stack([lengths, lengths]))


@pytest.mark.parametrize(
    "lengths, message",
    [([5, 3], "one length per"), ([6, 3, 2], "from 1 to 5"), ([5, 3, 0], "from 1 to 5"), ([2, 5, 3], "decreasing")],
)
def test_wrong_lengths_are_refused(lengths, message):
    apply, params, state = fn.from_module(Argument(is_sorted=True).double())
    with pytest.raises(RuntimeError, match=message):
        apply(params, state, X[0], lengths)


def test_dropout_between_layers_draws_from_the_key():
    module = Packed(nn.GRU(3, 2, 2, dropout=0.5), [5, 2, 1], last_state).double()
    apply, params, state = fn.from_module(module)
    with pytest.raises(ValueError, match="expected a key"):
        apply(params, state, X[0])
    keys = fn.random.split(fn.random.key(0), 2)
    first, again, other = (apply(params, state, X[0], key=key)[0] for key in (keys[0], keys[0], keys[1]))
    assert torch.equal(first, again) and not torch.equal(first[1], other[1]) and torch.equal(first[0], other[0])
