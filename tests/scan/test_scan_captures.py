"""Tensors that the step of a scan captures."""

import torch
from tables import numbers

import funcnet as fn
from funcnet import tree
from funcnet.transforms.closures import rebind

W, X = {"w": numbers(3, 3), "b": numbers(3, seed=1), "name": "cell"}, numbers(3, seed=2)


def rows(length):
    return numbers(length, 3, seed=3)


MODULE = torch.nn.Linear(3, 3).double()


def test_a_loop_with_parameters_of_autograd_stays_a_loop():
    def f(x):
        return fn.scan(lambda h, row: (torch.tanh(MODULE(h) + row), None), x, rows(4))[0].sum()

    run = fn.jit(fn.grad(f), backend="eager")
    assert run.explain(X).operations["scan"] == 2
    with torch.no_grad():
        assert tree.difference(run(X), fn.grad(f)(X), rtol=1e-12) is None


def test_rebinding_does_not_change_the_function():
    a, b = numbers(3), numbers(3, seed=1)
    held = [a, "name"]
    f = lambda x: (held[0] * x, held[1])  # noqa: E731
    g = rebind(f, [a], [b])
    assert tree.equal((f(X), g(X)), ((a * X, "name"), (b * X, "name")))
    assert held[0] is a and rebind(f, [b], [a]) is f
