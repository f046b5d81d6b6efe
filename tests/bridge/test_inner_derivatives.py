"""Modules whose forward differentiates: the forces of an energy, Laplacians, per-example gradients."""

import pytest
import torch
from torch import nn
from torch_modules import assert_close, assert_gradients_are_the_modules, filled, numbers

import funcnet as fn

X = numbers(4, 2, 3)


class Potential(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.rule = forward

    def energy(self, x):
        return self.net(x).sum()

    def forward(self, x):
        return self.rule(self, x)


def by_autograd(module, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(module.energy(x), x, create_graph=True)[0]


def of_a_clone(module, x):
    x = x.clone().requires_grad_(True)
    energy = module.energy(x)
    return energy, -torch.autograd.grad(energy, x, create_graph=True)[0]


FORWARDS = {
    "autograd.grad": by_autograd,
    "energy and forces": of_a_clone,
    "func.grad": lambda module, x: torch.func.vmap(torch.func.grad(module.energy))(x),
    "fn.grad": lambda module, x: fn.vmap(fn.grad(module.energy))(x),
    "laplacian": lambda module, x: torch.func.vmap(lambda z: torch.func.hessian(module.energy)(z).trace())(x),
    "vjp and jvp": lambda module, x: torch.func.vjp(lambda z: torch.func.jvp(module.net, (z,), (x,))[1], x)[1](
        x[:, :1]
    ),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_gradients_of_modules_that_differentiate(name):
    assert_gradients_are_the_modules(Potential(FORWARDS[name]), X)


@pytest.mark.parametrize("name", FORWARDS)
def test_outputs_of_modules_that_differentiate(name):
    module = filled(Potential(FORWARDS[name]))
    apply, params, state = fn.from_module(module)
    want = fn.tree.map(torch.Tensor.detach, module(X[0]))
    assert_close(apply(params, state, X[0])[0], want)
    assert_close(fn.jit(apply, backend="eager")(params, state, X[0])[0], want)
