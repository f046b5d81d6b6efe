"""Programs that several tests run: the net of the lesson, its loss and its training; a loss of any tree."""

import torch

import funcnet as fn

POINTS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
GATES = {
    gate: torch.tensor(outputs, dtype=torch.float64)[:, None]
    for gate, outputs in {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "nand": [1, 1, 1, 0], "xor": [0, 1, 1, 0]}.items()
}


def float64(layers):
    """Return the layers of a golden run, lists of numbers by name, as tensors."""
    return [{name: torch.tensor(value, dtype=torch.float64) for name, value in layer.items()} for layer in layers]


def logits(layers, x):
    """Build dense layers with sigmoids between them."""
    for layer in layers[:-1]:
        x = torch.sigmoid(x @ layer["w"] + layer["b"])
    return x @ layers[-1]["w"] + layers[-1]["b"]


def descent(loss, learning_rate=1.0):
    """Take a step of gradient descent in `scan`: the carry is the params, the output the loss before the step."""

    def step(params, _):
        value, grads = fn.value_and_grad(loss)(params)
        return fn.sgd_step(params, grads, learning_rate), value

    return step


def train(loss, params, steps, learning_rate=1.0):
    """Return the params after some steps, and the loss before each."""
    return fn.scan(descent(loss, learning_rate), params, length=steps)


def cubes(params):
    """Return the sum of x^3 over the floating leaves; its derivatives are 3 x^2 and 6 x."""
    leaves = filter(fn.tree.is_floating, fn.tree.leaves(params))
    return sum(((leaf**3).sum() for leaf in leaves), torch.zeros(()).double())


def first_update(optimizer, grads, params):
    return optimizer.update(grads, optimizer.init(params), params)
