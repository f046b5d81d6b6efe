"""The outputs of modules as pytrees, and the choice of their trainable parameters."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn
from torch_modules import assert_close, numbers

import funcnet as fn

X = numbers(4, 3)


@dataclasses.dataclass
class Inner:
    square: torch.Tensor
    name: str = "inner"


@dataclasses.dataclass(frozen=True)
class Output:
    logits: torch.Tensor
    hidden: dict[str, Inner]
    loss: Any = None


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        hidden = torch.tanh(self.a(x))
        return [Output(self.b(hidden), {"h": Inner(hidden.square())})]


def test_dataclasses_in_outputs_are_nodes():
    module = Net().double()
    apply, params, state = fn.from_module(module)
    want = module(X)[0]
    (output,), _ = apply(params, state, X)
    assert type(output) is Output and output.hidden["h"].name == "inner" and output.loss is None
    assert_close((output.logits, output.hidden["h"].square), (want.logits.detach(), want.hidden["h"].square.detach()))
    assert fn.tree.paths(output) == ["logits", "hidden.h.square", "hidden.h.name"]
    batched = fn.vmap(lambda x: apply(params, state, x)[0])
    for f in (batched, fn.jit(batched, backend="eager")):
        assert_close(f(X)[0], output, 1e-12)
    value, output = fn.value_and_grad(lambda params: loss_and_output(apply, params, state), has_aux=True)(params)[0]
    assert value == output.logits.square().sum()


def loss_and_output(apply, params, state):
    (output,), _ = apply(params, state, X)
    return output.logits.square().sum(), output


def test_torch_load_does_not_trust_classes_of_outputs():
    apply, params, state = fn.from_module(Net().double())
    apply(params, state, X)
    assert not {Output, Inner} & set(torch.serialization.get_safe_globals())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.head, self.again = nn.Linear(3, 3), nn.Linear(3, 3)
        self.again.weight = self.head.weight
        self.body.requires_grad_(False)

    def forward(self, x):
        return self.again(self.head(self.body(x)).sin())


# name: (trainable, the paths of params)
CHOICES = {
    "all": (None, 7),
    "by flags": (True, ["again.bias", "head.bias", "head.weight"]),
    "a submodule": ("body", ["body.0.bias", "body.0.weight", "body.1.bias", "body.1.weight"]),
    "names": (["body.1", "head.bias"], ["body.1.bias", "body.1.weight", "head.bias"]),
    "the other name of a tied weight": ("again", ["again.bias", "head.weight"]),
    "a function": (lambda name: name.endswith("0.weight"), ["body.0.weight"]),
}


@pytest.mark.parametrize("name", CHOICES)
def test_params_are_those_that_are_chosen(name):
    trainable, paths = CHOICES[name]
    module = Tied().double()
    whole, everything, _ = fn.from_module(module)
    apply, params, state = fn.from_module(module, trainable=trainable)
    found = fn.tree.paths(params)
    assert found == paths if trainable is not None else len(found) == paths
    want = module(X)
    output, after = apply(params, state, X)
    assert_close(output, want.detach())
    assert fn.tree.structure(after) == fn.tree.structure(state)
    module.requires_grad_(True)
    for f in (lambda f: f, lambda f: fn.jit(f, backend="eager")):
        grads = f(fn.grad(lambda params, state: apply(params, state, X)[0].sin().sum()))(params, state)
        every = fn.grad(lambda params: whole(params, fn.from_module(module)[2], X)[0].sin().sum())(everything)
        every = dict(zip(fn.tree.paths(every), fn.tree.leaves(every), strict=True))
        assert_close(dict(zip(found, fn.tree.leaves(grads), strict=True)), {path: every[path] for path in found}, 1e-10)


class ManyTied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(12)) for _ in range(2))
        self.scale = nn.Parameter(torch.ones(()))
        for a, b in zip(self.first, self.second, strict=True):
            b.weight = a.weight

    def forward(self, x):
        return self.scale * sum(a(b(x)) for a, b in zip(self.first, self.second, strict=True))


def test_tied_parameters_in_the_state_are_under_their_first_names():
    module, x = ManyTied(), torch.ones(3, 1)
    apply, _, state = fn.from_module(module, trainable="scale")
    assert sorted(fn.tree.paths(state)) == sorted(f"first.{i}.weight" for i in range(12))
    assert_close(apply({"scale": module.scale.detach()}, state, x)[0], module(x).detach(), 1e-6)


def test_frozen_parameters_stay_in_the_state_and_go_back_into_a_module():
    module = Tied().double()
    apply, params, state = fn.from_module(module, trainable="head")
    frozen = state["body"]["0"]["weight"]
    assert torch.equal(frozen, module.body[0].weight)
    _, after = apply(params, state, X)
    assert after["body"]["0"]["weight"] is frozen
    assert not torch.equal(after["body"]["1"]["running_mean"], state["body"]["1"]["running_mean"])
    rebuilt = fn.to_module(apply, fn.tree.scale(2, params), after)
    assert [name for name, p in rebuilt.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]
    assert torch.equal(rebuilt.body[0].weight, frozen) and torch.equal(rebuilt.head.bias, 2 * params["head"]["bias"])
    changed = fn.tree.map(lambda leaf: 2 * leaf, state)
    assert not torch.equal(apply(params, changed, X)[0], apply(params, state, X)[0])


@pytest.mark.parametrize(
    "trainable, error, message",
    [
        ("haed", ValueError, '"haed" names neither a parameter nor a submodule with parameters.*body.0.weight'),
        (lambda name: False, ValueError, "chooses none of the parameters body.0.weight"),
        (3, TypeError, "expected trainable to be None, True, names .* got 3"),
        (False, TypeError, "got False"),
        ([], ValueError, "chooses none"),
    ],
)
def test_wrong_choices_are_refused(trainable, error, message):
    with pytest.raises(error, match=message):
        fn.from_module(Tied(), trainable=trainable)


def test_writes_to_frozen_parameters_are_refused():
    class Writing(Tied):
        def forward(self, x):
            self.body[0].weight.mul_(0.5)
            return super().forward(x)

    apply, params, state = fn.from_module(Writing().double(), trainable="head")
    with pytest.raises(ValueError, match="mul_ writes to a parameter"):
        apply(params, state, X)
