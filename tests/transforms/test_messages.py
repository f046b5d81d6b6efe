"""Errors of torch.func under transformations name this library's remedy, and keep torch's error as their cause."""

import copy

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import funcnet as fn

X = torch.ones(3, 2)


class Older(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, cotangent):
        return cotangent


RANDOM = {
    "rand": lambda x: x + torch.rand(2),
    "dropout": torch.nn.functional.dropout,
    "normal_": lambda x: x + torch.zeros(2).normal_(),
    "multinomial": lambda x: x * torch.multinomial(x, 1),
    "rrelu": lambda x: torch.nn.functional.rrelu(x, training=True),
}
VALUES = {
    "if": lambda x: x if x.sum() > 0 else -x,
    "float": lambda x: x * float(x.sum()),
    "item": lambda x: x * x.sum().item(),
    "tolist": lambda x: x * x.tolist()[0],
    "equal": lambda x: x * torch.equal(x, x),
    "allclose": lambda x: x * torch.allclose(x, x),
    "range": lambda x: sum(x for _ in range(x.sum().long())),
    "index": lambda x: x * [1.0, 2.0, 3.0][x.sum().long()],
    "tensor": lambda x: x * torch.tensor([x.sum(), 1.0]),
    "narrow": lambda x: x.narrow(0, x.sum().long(), 1),
    "size": lambda x: x.sum() + torch.zeros(x.sum().long()),
}
SHAPES = {
    "nonzero": lambda x: x * x.nonzero().sum(),
    "mask": lambda x: x * x[x > 0].sum(),
    "unique": lambda x: x * x.unique().sum(),
    "masked_select": lambda x: x * x.masked_select(x > 0).sum(),
}
DERIVATIVES = {
    "backward": (lambda x: x.sum().backward(), r"calls backward\(\).*fn\.grad"),
    "requires_grad_": (lambda x: x.requires_grad_(), r"calls requires_grad_\(\).*Remove"),
    "an older Function": (Older.apply, r"setup_context\(ctx, inputs, output\)"),
}
MAPS = {
    "vmap": lambda f: fn.vmap(f)(X),
    "vmap of grad": lambda f: fn.vmap(fn.grad(lambda x: f(x).sum()))(X),
    "vmap of vmap": lambda f: fn.vmap(fn.vmap(f))(X[None]),
    "vmap of jacfwd": lambda f: fn.vmap(fn.jacfwd(f))(X),
}
GRADS = {
    "grad": lambda f: fn.grad(lambda x: f(x).sum())(X),
    "value_and_grad": lambda f: fn.value_and_grad(lambda x: f(x).sum())(X),
    "jacrev": lambda f: fn.jacrev(f)(X),
    "vjp": lambda f: fn.vjp(f, X),
    "vmap": MAPS["vmap"],
}


def message(call):
    with pytest.raises(RuntimeError) as caught:
        call()
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "functorch" not in str(caught.value) and "issue" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mapped", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("f", RANDOM.values(), ids=RANDOM)
def test_a_random_draw_under_vmap_names_keys(f, mapped):
    said = message(lambda: mapped(f))
    assert said.startswith("vmap: ") and "fn.random.split(key, n)" in said and "flag" not in said


def test_the_named_remedy_for_random_draws_works():
    f = lambda key, x: x + fn.random.uniform(key, (2,))  # noqa: E731
    rows = fn.vmap(f)(fn.random.split(fn.random.key(0), 3), X)
    assert rows.shape == X.shape and len({*rows[:, 0].tolist()}) == 3


@pytest.mark.parametrize("mapped", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("f", VALUES.values(), ids=VALUES)
def test_a_value_read_under_vmap_names_cond_and_loops(f, mapped):
    said = message(lambda: mapped(f))
    assert said.startswith("vmap: ") and "fn.cond" in said and "fn.while_loop or fn.scan" in said


@pytest.mark.parametrize("mapped", [MAPS["vmap"], MAPS["vmap of vmap"]], ids=["vmap", "vmap of vmap"])
@pytest.mark.parametrize("f", SHAPES.values(), ids=SHAPES)
def test_a_shape_that_depends_on_values_under_vmap_names_where(f, mapped):
    said = message(lambda: mapped(f))
    assert said.startswith("vmap: ") and "torch.where(mask, x, 0)" in said


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_results_of_different_sizes_under_vmap_name_where():
    said = message(lambda: fn.vmap(torch.argwhere)(torch.eye(3).cumsum(0)))
    assert said.startswith("vmap: ") and "torch.where(mask, x, 0)" in said


@pytest.mark.filterwarnings("ignore:To copy construct")
def test_copies_of_memory_name_clone():
    for call in (lambda: fn.vmap(torch.tensor)(X), lambda: fn.grad(lambda x: copy.deepcopy(x).sum())(X)):
        assert "Use x.clone()" in message(call)


@pytest.mark.parametrize("transformed", GRADS.values(), ids=GRADS)
@pytest.mark.parametrize("f, pattern", DERIVATIVES.values(), ids=DERIVATIVES)
def test_functions_of_autograd_name_those_of_this_library(f, pattern, transformed):
    with pytest.raises(RuntimeError, match=pattern):
        transformed(f)


def test_checkpoint_names_remat():
    with pytest.raises(RuntimeError, match=r"grad: .*Use fn\.remat"):
        fn.grad(lambda x: checkpoint(torch.sin, x, use_reentrant=False).sum())(X)
    assert torch.equal(fn.grad(lambda x: fn.remat(torch.sin)(x).sum())(X), X.cos())


def test_numpy_under_grad_names_detach():
    pytest.importorskip("numpy")
    with pytest.raises(RuntimeError, match=r"grad: .*x\.detach\(\)\.numpy\(\)"):
        fn.grad(lambda x: torch.as_tensor(x.numpy()).sum())(X)


RECURRENT = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "RNN": torch.nn.RNN}
OF_MODULES = {
    "vmap": fn.vmap,
    "jit": lambda f: fn.jit(fn.vmap(f)),
    "grad": lambda f: fn.grad(lambda x: fn.vmap(f)(x).sum()),
}


@pytest.mark.parametrize("transform", OF_MODULES.values(), ids=OF_MODULES)
@pytest.mark.parametrize("module", RECURRENT.values(), ids=RECURRENT)
def test_recurrent_modules_under_vmap_name_from_module(module, transform):
    part = module(2, 3)
    said = message(lambda: transform(lambda x: part(x)[0])(torch.ones(4, 5, 2)))
    assert said.startswith("vmap: ") and "fn.from_module" in said


def test_the_named_remedy_for_recurrent_modules_works():
    part, x = torch.nn.GRU(2, 3), torch.ones(4, 5, 2)
    apply, params, state = fn.from_module(part)
    rows = fn.vmap(lambda x: apply(params, state, x)[0][0])(x)
    assert fn.tree.difference(rows, torch.stack([part(row)[0] for row in x]), atol=1e-6) is None
