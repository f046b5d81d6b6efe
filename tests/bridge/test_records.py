"""Modules that record values: hooks, growing tensors, buffers of spectral norm."""

import pytest
import torch
from module_answers import X, two_answers
from torch import nn
from torch.nn.utils import parametrizations

import funcnet as fn


class Growing(nn.Module):
    def __init__(self):
        super().__init__()
        self.past = torch.zeros(0, 3)

    def forward(self, x):
        self.past = torch.cat([self.past, x[None]])
        return self.past.mean(0)


class Recording(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        self.last = y
        return y


def test_a_hidden_tensor_may_grow():
    module = Growing()
    apply, params, state = fn.from_module(module)
    assert two_answers(module, apply, params, state)["past"].shape == (2, 3)
    again, params, state = fn.from_module(module)
    two_answers(module, again, params, state)


def test_a_record_of_earlier_calls_is_not_state():
    module = Recording(3, 3)
    module(torch.ones(5, 3))
    apply, params, state = fn.from_module(module)
    assert state == {}
    two_answers(module, apply, params, state)


def test_hooks_may_record_activations():
    module, seen = nn.Sequential(nn.LSTM(3, 3), nn.Identity()), []
    module[1].register_forward_hook(lambda part, args, y: setattr(part, "activation", y[0]))
    apply, params, state = fn.from_module(module)
    for call in (fn.jit(apply, backend="eager"), apply):
        y, _ = call(params, state, torch.ones(2, 3))[0]
        torch.testing.assert_close(y, module(torch.ones(2, 3))[0].detach())
    assert not hasattr(apply.module[1], "activation") and seen == []


def test_a_hook_that_adds_the_last_activation_is_refused():
    module = nn.Sequential(nn.Linear(3, 3))

    def hook(part, args, y):
        before, part.last = getattr(part, "last", 0.0), y
        return y + before

    module[0].register_forward_hook(hook)
    apply, params, state = fn.from_module(module)
    with pytest.raises(ValueError, match=r"forward changes '0\.last'"):
        apply(params, state, X)


def test_spectral_norm_keeps_its_vectors_in_buffers():
    torch.manual_seed(0)
    module = parametrizations.spectral_norm(nn.Linear(3, 3))
    apply, params, state = fn.from_module(module)
    two_answers(module, apply, params, state)


def test_remat_does_not_copy_a_module():
    apply, params, state = fn.from_module(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU()))
    x = torch.randn(4, 3)

    def gradient(wrap):
        return fn.grad(lambda params: wrap(lambda x: apply(params, state, x))(x)[0].square().sum())(params)

    expected = gradient(lambda f: f)
    for wrap in (fn.remat, lambda f: fn.jit(fn.remat(f))):
        assert fn.tree.difference(gradient(wrap), expected, rtol=1e-5, atol=1e-6) is None
    assert fn.tree.difference(fn.remat(apply)(params, state, x)[1], apply(params, state, x)[1]) is None
