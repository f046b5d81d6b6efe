"""Hooks that see or replace gradients: those of tensors and parameters run, those of modules are refused."""

import pytest
import torch
from custom_functions import Net
from torch import nn
from torch_modules import assert_gradients_are_the_modules, filled, numbers

import funcnet as fn

X = numbers(5, 3)


@pytest.mark.parametrize("register", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_backward_hooks_are_refused_where_they_would_not_run(register):
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    getattr(module[0], register)(lambda *_: None)
    apply, params, state = fn.from_module(module)
    y, _ = apply(params, state, X.float())
    assert fn.tree.difference(y, module(X.float()).detach()) is None
    with pytest.raises(ValueError, match="backward hook, which torch.func does not call"):
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
