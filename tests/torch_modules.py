"""torch modules with random weights, and helpers to compare functions made from them."""

import torch
from torch import nn

import funcnet as fn

KEY = fn.random.key(0)


def numbers(*shape, seed=0, dtype=torch.float64):
    return fn.random.normal(fn.random.key(seed), shape, dtype)


def filled(module):
    """Return the module in float64, with values that depend only on their names."""
    module = module.double()
    with torch.no_grad():
        for i, (name, tensor) in enumerate(module.state_dict(keep_vars=True).items()):
            if tensor.is_floating_point():
                noise = numbers(*tensor.shape, seed=i)
                tensor.copy_(noise.square() + 0.5 if "var" in name else 0.3 * noise)
    return module


class Tied(nn.Module):
    """A module with an embedding that shares its matrix with the last layer, and a layer with two names."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.inner = nn.Linear(4, 4)
        self.again = self.inner
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.table.weight

    def forward(self, tokens):
        return self.out(torch.tanh(self.again(torch.tanh(self.inner(self.table(tokens))))))


def transformer(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


# name: (module, a batch of 4 examples)
MODULES = {
    "linear": (nn.Linear(3, 2), numbers(4, 3)),
    "mlp": (nn.Sequential(nn.Linear(3, 5), nn.ELU(inplace=True), nn.Linear(5, 2)), numbers(4, 3)),
    "writes to its input": (nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)), numbers(4, 3)),
    "tied": (Tied(), torch.tensor([[0, 1, 6], [2, 2, 3], [5, 4, 3], [1, 0, 0]])),
    "images": (
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.GroupNorm(2, 4), nn.MaxPool2d(2), nn.Flatten()),
        numbers(4, 2, 5, 6),
    ),
    "batch_norm": (nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.SiLU()), numbers(4, 2, 6)),
    "instance_norm": (nn.InstanceNorm1d(2, affine=True, track_running_stats=True), numbers(4, 2, 6)),
    "transformer": (transformer(dropout=0.2), numbers(4, 5, 8)),
    "transformer, norm first": (transformer(dropout=0.1, norm_first=True, activation="gelu"), numbers(4, 3, 8)),
    "lstm": (nn.LSTM(3, 4, 2, batch_first=True, dropout=0.4, bidirectional=True), numbers(4, 5, 3)),
    "lstm, projected": (nn.LSTM(3, 4, batch_first=True, proj_size=2), numbers(4, 5, 3)),
    "gru": (nn.GRU(3, 4, 2, batch_first=True, bias=False, dropout=0.3), numbers(4, 5, 3)),
    "rnn": (nn.RNN(3, 4, batch_first=True, nonlinearity="relu"), numbers(4, 5, 3)),
    "weight_norm": (torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), numbers(4, 3)),
}
STATEFUL = ("batch_norm", "instance_norm")


def scalar(output):
    return sum(leaf.sin().sum() for leaf in fn.tree.leaves(output))


def one_loss(apply, state):
    """Return the loss of one example, which gets the batch axis that modules expect."""
    return lambda params, x, key=None: scalar(apply(params, state, x[None], key=key)[0])


def assert_close(a, b, atol=1e-12):
    assert fn.tree.difference(a, b, atol=atol) is None


def loop(f, *columns):
    return fn.tree.stack([f(*row) for row in zip(*columns, strict=True)])


def gradients(module, *inputs):
    """Return the gradients of backward() by dotted name, zero for parameters that the output does not depend on."""
    for parameter in module.parameters():
        parameter.grad = None
    scalar(module(*inputs)).backward()
    named = module.named_parameters()
    return {name: p.new_zeros(p.shape) if p.grad is None else p.grad.to_dense() for name, p in named}


def assert_gradients_are_the_modules(module, *inputs, atol=1e-12, backend="eager"):
    """Compare with backward() for each example: inputs have a leading axis of examples."""
    module = filled(module)
    apply, params, state = fn.from_module(module)

    def loss(params, *inputs):
        return scalar(apply(params, state, *inputs)[0])

    def by_name(grads):
        return dict(zip(fn.tree.paths(grads), fn.tree.leaves(grads), strict=True))

    want = loop(lambda *row: gradients(module, *row), *inputs)
    one, batched = fn.grad(loss), fn.vmap(fn.grad(loss), in_dims=(None, *(0 for _ in inputs)))
    first = [column[0] for column in inputs]
    assert_close(by_name(one(params, *first)), {name: grads[0] for name, grads in want.items()}, atol)
    for f in (batched, fn.jit(batched, backend=backend)):
        assert_close(by_name(f(params, *inputs)), want, atol)
