"""Hooks that see or replace gradients: those of tensors, of parameters and of modules."""

import pytest
import torch
from custom_functions import Net
from torch import nn
from torch_modules import assert_gradients_are_the_modules, filled, numbers

import funcnet as fn

X = numbers(5, 3)


def clipped(module, inputs, outputs):
    """Halve and clip the gradients of the inputs."""
    return tuple(None if grad is None else 0.5 * grad.clamp(-0.1, 0.1) for grad in inputs)


class Two(nn.Module):
    """A module with two inputs and two outputs, called with an input that has no gradient."""

    def forward(self, x, y, count):
        return x * y.sin(), x + count * y


def parts():
    """Make a net whose layers have all kinds of hooks."""
    net = Net(torch.tanh)
    net.a.register_full_backward_hook(lambda module, inputs, outputs: None)
    net.a.register_full_backward_pre_hook(lambda module, outputs: (2 * outputs[0],))
    net.b.register_full_backward_hook(clipped)
    net.b.register_full_backward_pre_hook(lambda module, outputs: (outputs[0] + 1,))
    return net


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.two, self.out = Two(), nn.Linear(3, 2)
        self.two.register_full_backward_hook(clipped)
        self.two.register_full_backward_pre_hook(lambda module, outputs: (outputs[0].cos(), outputs[1]))

    def forward(self, x):
        x, y = self.two(self.out(x), self.out(x.cos()), 3)
        return x - y


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("make", [parts, Pair])
def test_hooks_of_modules_change_gradients(make):
    assert_gradients_are_the_modules(make(), X[:, None])


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("make", [parts, Pair])
def test_hooks_of_modules_under_other_transformations(make):
    apply, params, state = fn.from_module(filled(make()))
    loss = lambda params, x: apply(params, state, x)[0].sin().sum()  # noqa: E731
    each = fn.vmap(fn.grad(loss, (0, 1)), in_dims=(None, 0))
    loop = fn.tree.stack([fn.grad(loss, (0, 1))(params, x) for x in X])
    assert fn.tree.difference(each(params, X), loop, atol=1e-12) is None
    assert fn.tree.difference(fn.jit(each, backend="eager")(params, X), loop, atol=1e-12) is None
    total = fn.grad(lambda params, x: fn.vmap(loss, in_dims=(None, 0))(params, x).sum(), 1)(params, X)
    assert fn.tree.difference(total, loop[1], atol=1e-12) is None
    models = fn.tree.stack([params, fn.tree.scale(2, params)])
    total = fn.grad(lambda models: fn.vmap(lambda params: loss(params, X[0]))(models).sum())(models)
    assert fn.tree.difference(total, fn.vmap(fn.grad(loss), in_dims=(0, None))(models, X[0]), atol=1e-12) is None
    assert fn.tree.difference(fn.grad(fn.remat(loss), 1)(params, X[0]), fn.grad(loss, 1)(params, X[0])) is None
    plain, _, _ = fn.from_module(filled(Net(torch.tanh) if make is parts else make()))
    pushed = fn.jvp(lambda x: apply(params, state, x)[0], (X,), (X,))
    assert fn.tree.difference(pushed, fn.jvp(lambda x: plain(params, state, x)[0], (X,), (X,))) is None


def test_a_hook_without_gradients_per_example_is_refused():
    module = nn.Linear(3, 2)
    module.register_full_backward_hook(lambda *_: None)
    apply, params, state = fn.from_module(module)
    models = fn.tree.stack([params, params])
    with pytest.raises(ValueError, match="no gradient per example. Map over the inputs as well"):
        fn.grad(lambda x: fn.vmap(lambda params: apply(params, state, x)[0].sum())(models).sum())(X[0].float())


def test_a_hook_that_returns_too_many_gradients():
    module = nn.Linear(3, 2)
    module.register_full_backward_hook(lambda module, inputs, outputs: (*inputs, None))
    apply, params, state = fn.from_module(module)
    with pytest.raises(ValueError, match="expected a backward hook to return None or 1 gradients, got 2"):
        fn.grad(lambda params: apply(params, state, X.float())[0].sum())(params)


def observed(x):
    x = x.sin()
    if x.requires_grad:
        x.register_hook(lambda grad: 0.5 * grad)
    return x


def test_hooks_of_tensors_and_parameters_change_gradients():
    assert_gradients_are_the_modules(Net(observed), X[:, None])
    module = Net(torch.tanh)
    module.a.weight.register_hook(lambda grad: grad.clamp(-0.1, 0.1))
    module.a.weight.register_hook(lambda grad: None)
    module.b.bias.register_hook(lambda grad: 3 * grad)
    assert_gradients_are_the_modules(module, X[:, None])
    apply, params, state = fn.from_module(module)
    models = fn.tree.stack([params, fn.tree.scale(2, params)])
    total = fn.grad(lambda models: fn.vmap(lambda params: apply(params, state, X)[0].sin().sum())(models).sum())
    each = fn.vmap(fn.grad(lambda params: apply(params, state, X)[0].sin().sum()))
    assert fn.tree.difference(total(models), each(models), atol=1e-12) is None
    hessian = fn.vmap(fn.hessian(lambda x: apply(params, state, x)[0].sin().sum()))
    plain, _, _ = fn.from_module(filled(Net(torch.tanh)))
    assert (
        fn.tree.difference(hessian(X), fn.vmap(fn.hessian(lambda x: plain(params, state, x)[0].sin().sum()))(X)) is None
    )
