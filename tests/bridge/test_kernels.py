"""Modules whose kernels torch.func cannot transform: embeddings with sparse gradients, bags, recurrent cells."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch_modules import assert_close, assert_gradients_are_the_modules, filled, numbers, scalar

import funcnet as fn

ROWS = torch.tensor([[[0, 5, 5], [2, 1, 0]], [[3, 3, 3], [4, 0, 2]], [[1, 2, 3], [5, 4, 2]]])
FLAT = ROWS.flatten(1)
STARTS = torch.tensor([[0, 2, 2, 5], [0, 0, 1, 6], [0, 3, 4, 4]])


class Weighted(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.bag = nn.EmbeddingBag(6, 3, mode="sum", **options)
        self.importance = nn.Parameter(torch.ones(6))

    def forward(self, rows):
        return self.bag(rows, per_sample_weights=self.importance[rows])


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.ones(6, 3))

    def forward(self, rows):
        alone = functional.embedding(rows, self.table, sparse=True)
        return alone.sum(-2) * functional.embedding_bag(rows, self.table, mode="mean", sparse=True)


class Recurrent(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        state = None
        for row in x:
            state = self.cell(row, state)
        return state


class Loss(nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.layer, self.loss = nn.Linear(3, 4), loss

    def forward(self, x):
        return self.loss(self.layer(x))


def _ctc(y):
    sizes = (len(y),), (2,)
    return functional.ctc_loss(y[:, None].log_softmax(-1), torch.tensor([[1, 2]]), *sizes)


class Adaptive(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(3, 10, [3, 6], div_value=1.5)

    def forward(self, x):
        return self.softmax(x, torch.tensor([0, 4, 7, 2, 9])).output  # the second cluster has one label


LABELS = torch.tensor([1, 0, 3, 2])
# losses that torch.func cannot transform, as functions of (4, 4)
LOSSES = {
    "ctc_loss": _ctc,
    "gaussian_nll_loss": lambda y: functional.gaussian_nll_loss(y, torch.ones(4, 4), y.exp()),
    "multi_margin_loss": lambda y: functional.multi_margin_loss(y, LABELS, p=2),
    "multilabel_margin_loss": lambda y: functional.multilabel_margin_loss(y, LABELS.expand(4, 4)),
    "one_hot": lambda y: y * functional.one_hot(y.argmax(-1), 4),
    "Normal": lambda y: torch.distributions.Normal(y, y.exp()).log_prob(torch.ones(4, 4)),
}


# name: (module, inputs of 3 examples)
MODULES = {
    "sparse": (nn.Embedding(6, 3, sparse=True), ROWS),
    "sparse, padded": (nn.Embedding(6, 3, sparse=True, padding_idx=2), ROWS),
    "by frequency": (nn.Embedding(6, 3, scale_grad_by_freq=True), ROWS),
    "functional": (Functional(), ROWS),
    "weights": (Weighted(), ROWS),
    "weights, padded": (Weighted(padding_idx=0), ROWS),
    "int32": (nn.EmbeddingBag(6, 3), ROWS.int()),
    "sparse bag": (nn.EmbeddingBag(6, 3, mode="sum", sparse=True), ROWS),
    **{f"bag, {mode}": (nn.EmbeddingBag(6, 3, mode=mode), ROWS) for mode in ("sum", "mean", "max")},
    **{f"starts, {mode}": (nn.EmbeddingBag(6, 3, mode=mode), FLAT, STARTS) for mode in ("sum", "mean", "max")},
    **{f"padded, {mode}": (nn.EmbeddingBag(6, 3, mode=mode, padding_idx=-1), ROWS) for mode in ("sum", "mean", "max")},
    "starts and end": (
        nn.EmbeddingBag(6, 3, include_last_offset=True),
        FLAT,
        torch.cat([STARTS, torch.full((3, 1), 6)], 1),
    ),
    "gru cell": (Recurrent(nn.GRUCell(3, 2)), numbers(3, 4, 3)),
    "gru cell, batches": (Recurrent(nn.GRUCell(3, 2, bias=False)), numbers(3, 4, 5, 3)),
    "lstm cell": (Recurrent(nn.LSTMCell(3, 2)), numbers(3, 4, 3)),
    "lstm cell, batches": (Recurrent(nn.LSTMCell(3, 2, bias=False)), numbers(3, 4, 5, 3)),
    "rnn cell": (Recurrent(nn.RNNCell(3, 2)), numbers(3, 4, 3)),
    "rnn cell, relu": (Recurrent(nn.RNNCell(3, 2, nonlinearity="relu")), numbers(3, 4, 5, 3)),
    **{name: (Loss(loss), numbers(3, 4, 3)) for name, loss in LOSSES.items()},
    "adaptive softmax": (Adaptive(), numbers(3, 5, 3)),
}


@pytest.mark.parametrize("name", MODULES)
def test_gradients_of_each_example_equal_backward(name):
    assert_gradients_are_the_modules(*MODULES[name])


@pytest.mark.parametrize("name", ["bag, mean", "sparse", "gru cell"])
def test_gradients_in_a_native_kernel(name):
    assert_gradients_are_the_modules(*MODULES[name], backend="native")


@pytest.mark.parametrize("name", MODULES)
def test_outputs_equal_the_modules(name):
    module, *inputs = MODULES[name]
    module = filled(module)
    apply, params, state = fn.from_module(module)
    row = [column[1] for column in inputs]
    want = fn.tree.map(torch.Tensor.detach, module(*row))
    for f in (apply, fn.jit(apply, backend="eager")):
        assert_close(f(params, state, *row)[0], want)


@pytest.mark.parametrize("name", ["weights", "bag, max", "starts, mean", "lstm cell"])
def test_second_derivatives_equal_differences(name):
    module, *inputs = MODULES[name]
    apply, params, state = fn.from_module(filled(module))
    gradient = fn.grad(lambda params: scalar(apply(params, state, *(column[0] for column in inputs))[0]))
    v = fn.tree.map(torch.cos, params)
    ahead, behind = (gradient(fn.tree.add(params, fn.tree.scale(h, v))) for h in (1e-6, -1e-6))
    assert_close(fn.jvp(gradient, (params,), (v,))[1], fn.tree.scale(5e5, fn.tree.sub(ahead, behind)), 1e-7)


def test_gradients_by_frequency_in_bags_are_those_of_the_rows():
    """torch's kernel divides by the frequencies of other rows."""
    apply, params, state = fn.from_module(nn.EmbeddingBag(6, 1, mode="sum", scale_grad_by_freq=True))
    grads = fn.grad(lambda params: apply(params, state, torch.tensor([[5, 1, 1, 1]]))[0].sum())(params)
    assert grads["weight"].flatten().tolist() == [0, 1, 0, 0, 0, 1]
