"""Comparison of a layer with its counterpart in torch.nn."""

import torch
from tables import numbers
from torch.testing import assert_close

import funcnet as fn

KEY = fn.random.key(11)


def exactly(actual, expected):
    assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def fill(module):
    """Give a module parameters and statistics other than the defaults."""
    module = module.double()
    values = {name: numbers(*p.shape, seed=i) for i, (name, p) in enumerate(module.state_dict().items())}
    for name, value in module.state_dict().items():
        value.copy_(values[name] + 1.5 if "var" in name else values[name] if value.is_floating_point() else value)
    return module


def compare(layer, params, module, names, x, call=lambda module, x: module(x), **options):
    """Compare values and all gradients of a layer and a module; `names` maps the module's parameters to ours."""
    x_twin = x.clone().requires_grad_()
    expected = call(module, x_twin)
    weights = numbers(*expected.shape, seed=9)
    by = torch.autograd.grad((expected * weights).sum(), [x_twin, *(p for n, p in module.named_parameters())])
    exactly(layer.apply(params, x, **options), expected.detach())

    def loss(params, x):
        return (layer.apply(params, x, **options) * weights).sum()

    grads, by_x = fn.grad(loss, (0, 1))(params, x)
    exactly(by_x, by[0])
    exactly(grads, names({n: g for (n, _), g in zip(module.named_parameters(), by[1:], strict=True)}))


def detached(module):
    return {name: p.detach() for name, p in module.named_parameters()}
