"""A torch module as a pure function: values, gradients and statistics of the module, under every transformation."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence
from torch_modules import (
    KEY,
    MODULES,
    STATEFUL,
    assert_close,
    filled,
    loop,
    numbers,
    one_loss,
    scalar,
    transformer,
)

import funcnet as fn


def test_output_equals_the_modules(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    output, after = apply(params, state, x)
    with torch.no_grad():
        assert_close(output, module(x.clone()))
    assert fn.tree.equal(after, state)


def test_gradients_equal_autograds(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    grads = fn.grad(lambda params: scalar(apply(params, state, x)[0]))(params)
    scalar(module(x.clone())).backward()
    found = dict(zip(fn.tree.paths(grads), fn.tree.leaves(grads), strict=True))
    assert_close(found, {name: parameter.grad for name, parameter in module.named_parameters()})


def test_per_example_gradients_equal_a_loop(case):
    apply, params, state = fn.from_module(case[0].eval())
    gradient = fn.grad(one_loss(apply, state))
    batched = fn.vmap(gradient, in_dims=(None, 0))(params, case[1])
    assert_close(batched, loop(lambda x: gradient(params, x), case[1]))


def test_an_ensemble_equals_its_modules(case):
    module, x = case
    modules = [filled(copy.deepcopy(module).eval()) for _ in range(8)]
    for i, member in enumerate(modules):
        member.load_state_dict({k: v + 0.01 * i for k, v in member.state_dict().items()})
    triples = [fn.from_module(member) for member in modules]
    params, state = (fn.tree.stack(column) for column in list(zip(*triples, strict=True))[1:])
    outputs, _ = fn.vmap(triples[0][0], in_dims=(0, 0, None))(params, state, x)
    with torch.no_grad():
        assert_close(outputs, fn.tree.stack([member(x.clone()) for member in modules]))


def test_hvp_equals_a_finite_difference(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    gradient = fn.grad(lambda params: scalar(apply(params, state, x)[0]))
    v, h = fn.tree.map(torch.cos, params), 1e-5
    ahead, behind = (gradient(fn.tree.add(params, fn.tree.scale(sign * h, v))) for sign in (1, -1))
    expected = fn.tree.scale(0.5 / h, fn.tree.sub(ahead, behind))
    assert_close(fn.jvp(gradient, (params,), (v,))[1], expected, atol=1e-5)


@pytest.mark.few(10)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_jit_equals_eager(case, mode):
    module, x = case
    apply, params, state = fn.from_module(getattr(module, mode)())

    def both(params, state, x, key):
        return fn.value_and_grad(
            lambda params: (lambda y, s: (scalar(y), s))(*apply(params, state, x, key=key)), has_aux=True
        )(params)

    assert_close(fn.jit(both, backend="eager")(params, state, x, KEY), both(params, state, x, KEY), atol=1e-10)


@pytest.mark.parametrize("name", STATEFUL)
def test_statistics_in_train_mode_equal_the_modules(name):
    module, x = MODULES[name]
    module = filled(copy.deepcopy(module)).train()
    apply, params, state = fn.from_module(module)
    before = copy.deepcopy(state)
    output, after = apply(params, state, x)
    assert fn.tree.equal(state, before)
    assert_close(output, module(x).detach())
    assert_close(after, fn.from_module(module)[2])
    assert fn.tree.difference(after, state) is not None


@pytest.mark.parametrize("name", STATEFUL)
def test_statistics_under_vmap_are_those_of_each_model_and_example(name):
    module, x = MODULES[name]
    apply, params, state = fn.from_module(filled(copy.deepcopy(module)).train())
    shared = fn.vmap(apply, in_dims=(None, None, 0))(params, state, x[:, None])
    assert_close(shared, loop(lambda x: apply(params, state, x[None]), x))
    stacked = fn.tree.map(lambda leaf: torch.stack([leaf, leaf + 1]), state)
    own = fn.vmap(apply, in_dims=(None, 0, None))(params, stacked, x)
    assert_close(own, loop(lambda s: apply(params, s, x), fn.tree.unstack(stacked)))


def test_masks_of_the_transformer():
    module, x = filled(transformer(dropout=0.0)).train(), numbers(4, 5, 8)
    apply, params, state = fn.from_module(module)
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    padding = torch.zeros(4, 5, dtype=torch.float64)
    padding[1, 3:] = padding[2, 4:] = -torch.inf
    options = {"is_causal": False}
    expected = module(x, mask=causal, src_key_padding_mask=padding, **options).detach()

    def f(params, x, padding):
        return apply(params, state, x, mask=causal, src_key_padding_mask=padding, **options)[0]

    assert_close(f(params, x, padding), expected)
    assert_close(fn.jit(f, backend="eager")(params, x, padding), expected)
    each = fn.vmap(lambda x, padding: f(params, x[None], padding[None])[0])
    assert_close(each(x, padding), expected)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}, {"enable_gqa": True}], ids=str)
def test_attention_equals_torch(options):
    class Attend(nn.Module):
        def forward(self, *tensors, **given):
            return functional.scaled_dot_product_attention(*tensors, **given)

    heads = 2 if "enable_gqa" in options else 4
    q, k, v = numbers(2, 4, 5, 6), numbers(2, heads, 5, 6, seed=1), numbers(2, heads, 5, 3, seed=2)
    apply, _, _ = fn.from_module(Attend())
    masks = [None] if "is_causal" in options else [None, numbers(5, 5), torch.eye(5) > 0, torch.zeros(5, 5) > 0]
    for mask in masks:
        expected = functional.scaled_dot_product_attention(q, k, v, mask, **options)
        assert_close(apply({}, {}, q, k, v, mask, **options)[0], expected)


def test_packed_sequences_as_arguments():
    module = filled(nn.LSTM(3, 4, 2, dropout=0.5)).eval()
    packed = pack_padded_sequence(numbers(5, 3, 3), torch.tensor([5, 3, 2]))
    apply, params, state = fn.from_module(module)
    assert_close(_data(apply(params, state, packed)[0]), _data(module(packed)))


def _data(result):
    packed, ends = result
    return fn.tree.map(torch.Tensor.detach, (packed.data, ends))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer", "lstm", "images", "batch_norm"])
def test_a_gradient_step_as_a_native_kernel(name):
    module, x = MODULES[name]
    apply, params, state = fn.from_module(filled(copy.deepcopy(module)).train())

    def step(params, state, key):
        def loss(params):
            output, after = apply(params, state, x, key=key)
            return scalar(output), after

        grads, after = fn.grad(loss, has_aux=True)(params)
        return fn.sgd_step(params, grads, 0.1), after

    jitted = fn.jit(step)
    assert_close(jitted(params, state, KEY), step(params, state, KEY), atol=1e-9)
    assert jitted.explain(params, state, KEY).backend == "native"


@pytest.mark.parametrize(
    "wrap", [lambda f: f, lambda f: fn.jit(f, backend="eager"), lambda f: lambda *a: mapped(f, *a)]
)
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_with_cumulative_statistics(train, wrap):
    module = nn.Sequential(nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3)).double().train(train)
    apply, params, state = fn.from_module(module)
    assert apply.module[0].momentum is None
    for i in range(3):
        x = torch.linspace(-1, 2 + i, 12, dtype=torch.float64).reshape(4, 3).sin()
        y, state = wrap(apply)(params, state, x)
        torch.testing.assert_close(y, module(x))
    _, _, expected = fn.from_module(module)
    assert fn.tree.allclose(state, expected, rtol=1e-12)
    assert fn.to_module(apply, params, state)[0].momentum is None is apply.module[0].momentum


def mapped(apply, params, state, x):
    both = fn.vmap(apply, in_dims=(None, None, 0))(params, state, torch.stack([x + 1, x]))
    return fn.tree.map(lambda leaf: leaf[1], both)
