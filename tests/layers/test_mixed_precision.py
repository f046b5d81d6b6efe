"""Mixed precision: parameters, arithmetic and outputs in the dtypes of the policy."""

import pickle

import pytest
import torch
from programs import train
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

KEY = fn.random.key(1)
MODEL = fn.serial(fn.dense(16), torch.tanh, fn.dense(3))


def dtypes(values):
    return {leaf.dtype for leaf in tree.leaves(values) if tree.is_floating(leaf)}


def narrow(values):
    return tree.map(lambda leaf: leaf.bfloat16(), values)


def test_arithmetic_is_in_bfloat16_and_gradients_are_in_float32():
    model, x = fn.mixed_precision()(MODEL), numbers(5, 4, dtype=torch.float32)
    params = model.init(KEY, x)
    assert tree.equal(params, MODEL.init(KEY, x))

    def loss(params, x):
        return model.apply(params, x).square().sum()

    def by_hand(params, x):
        return MODEL.apply(narrow(params), x.bfloat16()).float().square().sum()

    assert dtypes(model.apply(params, x)) == {torch.float32}
    assert torch.equal(model.apply(params, x), MODEL.apply(narrow(params), x.bfloat16()).float())
    grads = fn.grad(loss, (0, 1))(params, x)
    assert dtypes(grads) == {torch.float32} and tree.equal(grads, fn.grad(by_hand, (0, 1))(params, x))


@pytest.mark.parametrize(
    "policy, params_dtype, output",
    [
        ("params=float64,compute=float32,output=float64", torch.float64, torch.float64),
        ("compute=float16, output=bfloat16", torch.float32, torch.bfloat16),
        (fn.Policy(torch.bfloat16, torch.float32, torch.float16), torch.bfloat16, torch.float16),
    ],
)
def test_every_dtype_is_as_stated(policy, params_dtype, output):
    seen = []

    def watch(x):
        seen.append(x.dtype)
        return x

    model, x = fn.mixed_precision(policy)(fn.serial(MODEL, watch)), numbers(5, 4, dtype=torch.float32)
    params = model.init(KEY, x)
    assert dtypes(params) == {params_dtype}
    seen.clear()
    assert dtypes(model.apply(params, x)) == {output}
    assert seen == [{"compute=float16, output=bfloat16": torch.float16}.get(policy, torch.float32)]


def test_attention_keeps_its_mask_and_context():
    attention = fn.multi_head_attention(2)
    model, x, context = fn.mixed_precision()(attention), numbers(5, 4), numbers(6, 3)
    mask = torch.ones(5, 6, dtype=torch.bool).tril()
    params = model.init(KEY, x, context=context)
    assert dtypes(params) == {torch.float32} and params["k"]["w"].shape == (3, 4)
    y = model.apply(params, x, context=context, mask=mask)
    expected = attention.apply(narrow(params), x.bfloat16(), context=context.bfloat16(), mask=mask)
    assert torch.equal(y, expected.float())


def test_integers_are_not_converted():
    model = fn.mixed_precision()(fn.serial(fn.embedding(5, 4), fn.dense(2)))
    tokens = torch.tensor([1, 4])
    assert dtypes(model.apply(model.init(KEY, tokens), tokens)) == {torch.float32}


def test_state_keeps_its_dtype_and_is_computed_from_narrow_values():
    inner = fn.serial(fn.dense(3), fn.batch_norm(), torch.relu)
    model, x = fn.mixed_precision("output=bfloat16")(inner), numbers(64, 2, dtype=torch.float32)
    params, state = model.init_with_state(KEY, x)
    assert dtypes((params, state)) == {torch.float32}
    y, state = model.apply_with_state(params, state, x, train=True)
    assert dtypes(y) == {torch.bfloat16} and dtypes(state) == {torch.float32}
    hidden = fn.dense(3).apply(narrow(params[0]), x.bfloat16()).float()
    assert_close(state[1]["mean"], 0.1 * hidden.mean(0))
    assert_close(state[1]["var"], 0.9 + 0.1 * hidden.var(0))
    with pytest.raises(fn.LayerError, match=r'batch_norm: at params path "1": expected apply_with_state'):
        model.apply(params, x)


def test_a_state_that_the_layer_narrows_is_widened_again():
    def apply(params, state, x, *, key=None, train):
        return x, (state[0].to(x.dtype) + x.sum(), state[1] + 1)

    last = fn.stateful("last", lambda key, x: ((), (torch.zeros(()), torch.tensor(0))), apply)
    model, x = fn.mixed_precision()(last), torch.ones(3)
    _, state = model.apply_with_state(*model.init_with_state(KEY, x), x, train=True)
    assert tree.equal(state, (torch.tensor(3.0), torch.tensor(1)))


def test_an_ensemble_trains_in_mixed_precision_inside_jit():
    model, x = fn.mixed_precision()(fn.mlp([8, 1], activation=torch.tanh)), numbers(32, 2, dtype=torch.float32)
    y = x.prod(-1, keepdim=True).sign()

    def run(key):
        loss = lambda params: fn.losses.squared_error(model.apply(params, x), y).mean()  # noqa: E731
        return train(loss, model.init(key, x), 200, 0.3)

    params, losses = fn.jit(fn.vmap(run))(fn.random.split(KEY, 4))
    assert dtypes((params, losses)) == {torch.float32}
    assert (losses[:, -1] < 0.5 * losses[:, 0]).all()


def test_the_wrapped_layer_is_pickled():
    model, x = pickle.loads(pickle.dumps(fn.mixed_precision()(MODEL))), numbers(2, 4, dtype=torch.float32)
    assert dtypes(model.apply(model.init(KEY, x), x)) == {torch.float32}
