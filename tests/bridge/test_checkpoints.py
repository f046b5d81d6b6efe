"""Modules with checkpoints: the gradients are those of torch, and dropout draws from the key."""

import pytest
import torch
from custom_functions import Net
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch_modules import filled, numbers

import funcnet as fn

X = numbers(5, 3)


class Checkpointed(Net):
    def __init__(self, **options):
        super().__init__(nn.Dropout(0.0))
        self.options = options

    def forward(self, x):
        return self.b(checkpoint(lambda x, y: self.a(x).tanh() + y, x, 2.0, **self.options))


class Sequential(nn.Sequential):
    def forward(self, x):
        return checkpoint_sequential([*self], 2, x, use_reentrant=False)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize(
    "module",
    [
        Checkpointed(use_reentrant=True),
        Checkpointed(use_reentrant=False),
        Checkpointed(use_reentrant=False, preserve_rng_state=False, determinism_check="none"),
        Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
    ],
)
def test_checkpoints(module):
    module = filled(module)
    with_grad = X.clone().requires_grad_()
    module(with_grad).sin().sum().backward()
    want = {name: p.grad for name, p in module.named_parameters()}
    apply, params, state = fn.from_module(module)
    for f in (lambda f: f, lambda f: fn.jit(f, backend="eager")):
        grads = f(fn.grad(lambda params: apply(params, state, X)[0].sin().sum()))(params)
        found = dict(zip(fn.tree.paths(grads), fn.tree.leaves(grads), strict=True))
        assert fn.tree.difference(found, want, atol=1e-12) is None


def test_an_error_inside_a_checkpoint_is_raised_unchanged():
    apply, params, state = fn.from_module(Net(lambda x: checkpoint(lambda x: x @ x, x, use_reentrant=False)))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        apply(params, state, X.float())


def test_dropout_inside_a_checkpoint_draws_from_the_key():
    apply, params, _ = fn.from_module(Net(lambda x: checkpoint(nn.functional.dropout, x, use_reentrant=False)))
    plain, _, _ = fn.from_module(Net(nn.functional.dropout))
    x, key = X.float(), fn.random.key(3)
    assert torch.equal(apply(params, {}, x, key=key)[0], plain(params, {}, x, key=key)[0])
