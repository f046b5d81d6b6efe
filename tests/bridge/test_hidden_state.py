"""from_module of modules that keep tensors between calls in attributes: they are part of the state."""

import pickle

import pytest
import torch
from module_answers import X, one_of_a_batch, two_answers
from torch import nn
from torch.nn.utils import parametrizations

import funcnet as fn


class Rebound(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.hidden = nn.Linear(3, 3), torch.zeros(3)

    def forward(self, x):
        self.hidden = torch.tanh(self.cell(x) + self.hidden)
        return self.hidden


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.steps, self.fixed = nn.Linear(3, 3), torch.zeros(()), torch.ones(3)

    def forward(self, x):
        self.steps += 1
        return self.cell(x) * self.steps + self.fixed


class ByMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(3, 3)
        self.first, self.second = torch.zeros(3), torch.ones(3)

    def remember(self, y):
        self.first, self.second = self.second, y

    def forward(self, x):
        before = self.first
        self.remember(self.cell(x))
        return before + self.second.sin()


class Normed(Rebound):
    def __init__(self):
        super().__init__()
        self.cell = parametrizations.weight_norm(self.cell)


THREADED = {"rebound": Rebound, "in place": Counted, "by a method": ByMethod, "parametrized": Normed}


@pytest.mark.parametrize("make", THREADED.values(), ids=THREADED)
@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit, lambda f: lambda *args: one_of_a_batch(f, *args)])
def test_assigned_tensors_are_part_of_the_state(make, wrap):
    for module in (make(), nn.Sequential(nn.Identity(), make())):
        apply, params, state = fn.from_module(module)
        apply = apply if make is Normed else pickle.loads(pickle.dumps(apply))
        start = fn.tree.map(torch.clone, state)
        two_answers(module, wrap(apply), params, state)
        assert fn.tree.equal(state, start) and apply(params, state, X)[0].requires_grad is False


def test_the_state_of_hidden_tensors():
    module = Counted()
    apply, params, state = fn.from_module(module)
    assert fn.tree.paths(state) == ["steps"] and fn.tree.paths(params) == ["cell.bias", "cell.weight"]
    _, after = apply(params, state, X)
    assert after["steps"] == 1 and state["steps"] == 0 and module.steps == 0
    back = fn.to_module(apply, params, after)
    assert torch.equal(back(X), apply(params, after, X)[0]) and list(back.state_dict()) == list(module.state_dict())
    loss = lambda p: apply(p, state, X)[0].sum()  # noqa: E731
    assert fn.grad(loss)(params)["cell"]["bias"].eq(1).all()
    carry, ys = fn.scan(lambda s, x: apply(params, s, x)[::-1], state, torch.stack([X, X]))
    assert carry["steps"] == 2 and not torch.equal(ys[0], ys[1])
