"""Modules with autograd.Functions, also those whose forward takes a context, and with scripted functions."""

import sys

import pytest
import torch
from custom_functions import (
    Clip,
    Exp,
    Largest,
    Nearest,
    Net,
    Newer,
    Noisy,
    Outside,
    Product,
    Rectified,
    Saved,
    Straight,
    Swish,
    Writing,
)
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch_modules import assert_gradients_are_the_modules, filled, numbers

import funcnet as fn

X = numbers(5, 3)


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.table = nn.Linear(3, 3), nn.Parameter(torch.ones(5, 3))

    def forward(self, x):
        return Nearest.apply(self.a(x.reshape(-1, 3)), self.table)


def largest(x):
    value, place = Largest.apply(x)
    return x * value[..., None] + place[..., None]


# name: the function between two layers
CUSTOM = {
    "clip": lambda x: Clip.apply(x, 0.1),
    "swish": Swish.apply,
    "exp": Exp.apply,
    "straight": Straight.apply,
    "product": lambda x: sum(Product.apply(x, 2 * x)),
    "largest": largest,
    "rectified": Rectified.apply,
    "newer": Newer.apply,
    "one inside another's backward": lambda x: Swish.apply(Clip.apply(x, 0.2)),
    "a derivative in backward": lambda x: Outside.apply(x, True),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_functions_that_take_a_context(name):
    assert_gradients_are_the_modules(Net(CUSTOM[name]), X[:, None])


def test_a_function_that_adds_to_a_tensor_that_examples_share():
    assert_gradients_are_the_modules(Table(), X[:, None])


def test_a_function_that_leaves_torch_is_refused_with_a_remedy():
    pytest.importorskip("numpy")
    apply, params, state = fn.from_module(Net(lambda x: Outside.apply(x, False)))
    batched = fn.vmap(fn.grad(lambda params, x: apply(params, state, x)[0].sum()), in_dims=(None, 0))
    with pytest.raises(
        ValueError, match="forward of the autograd.Function Outside reads values outside .*torch.func.vjp"
    ):
        batched(params, X.float())


def test_random_numbers_inside_of_a_function_come_from_the_key():
    apply, params, state = fn.from_module(Net(Noisy.apply).double())
    keys = fn.random.split(fn.random.key(2), 3)

    def loss(params, key):
        return apply(params, state, X, key=key)[0].sin().sum()

    loop = fn.tree.stack([fn.grad(loss)(params, key) for key in keys])
    before = torch.get_rng_state()
    batched = fn.vmap(fn.grad(loss), in_dims=(None, 0))
    for f in (batched, fn.jit(batched, backend="eager")):
        assert fn.tree.difference(f(params, keys), loop, atol=1e-12) is None
    assert torch.equal(torch.get_rng_state(), before)
    assert fn.value_and_grad(loss)(params, keys[0])[0] == loss(params, keys[0]) != loss(params, keys[1])


@pytest.mark.parametrize("name", ["swish", "exp"])
def test_second_derivatives_of_functions_that_save_arguments_or_results(name):
    apply, params, state = fn.from_module(filled(Net(Saved.apply if name == "swish" else Exp.apply)))
    plain, _, _ = fn.from_module(filled(Net(nn.SiLU() if name == "swish" else torch.exp)))

    def curvature(apply):
        return fn.vmap(fn.hessian(lambda x: apply(params, state, x)[0].sin().sum()))(X)

    assert fn.tree.difference(curvature(apply), curvature(plain), atol=1e-12) is None


def test_a_function_that_writes_to_its_argument_is_refused():
    apply, params, state = fn.from_module(Net(lambda x: Writing.apply(x.clone())))
    with pytest.raises(ValueError, match=r"writes to its argument .* Compute a new tensor"):
        fn.grad(lambda params: apply(params, state, X.float())[0].sum())(params)


def test_a_call_restores_torch():
    places = torch.autograd.function, sys.modules[checkpoint.__module__]
    before = [dict(vars(place)) for place in places]
    apply, params, state = fn.from_module(Net(Swish.apply))
    fn.grad(lambda params: apply(params, state, X.float())[0].sum())(params)
    assert [dict(vars(place)) for place in places] == before
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(lambda x: Swish.apply(x).sum())(X)


def test_scripted_functions():
    assert_gradients_are_the_modules(Net(torch.jit.script(scripted)), X[:, None])


def scripted(x):
    return x * torch.sigmoid(x)
