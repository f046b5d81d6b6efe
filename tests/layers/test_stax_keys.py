"""Parameters from a seed equal those of jax.example_libraries.stax."""

import pytest
import torch
from golden import load

import funcnet as fn


def dense(features):
    """The dense layer of stax."""
    return fn.dense(features, w_init=fn.initializers.glorot_normal(), b_init=fn.initializers.normal(1e-2))


def net(keys):
    inner = fn.serial(dense(2), torch.tanh, keys=keys)
    return fn.serial(dense(3), torch.relu, inner, dense(2), fn.nn.log_softmax, keys=keys)


def test_a_seed_of_stax_gives_the_same_net():
    want = load("stax")
    model, x = net("stax"), torch.tensor(want["x"])
    params = model.init(fn.random.key(7), x)
    weights = [layer[name] for layer in (params[0], params[2][0], params[3]) for name in ("w", "b")]
    for weight, values in zip(weights, want["params"], strict=True):
        torch.testing.assert_close(weight, torch.tensor(values), rtol=5e-7, atol=1e-9)
    torch.testing.assert_close(model.apply(params, x), torch.tensor(want["y"]), rtol=1e-6, atol=1e-7)


def test_keys_are_split_once_by_default():
    x = torch.zeros(1, 4)
    default, split = fn.serial(dense(3), dense(2)), fn.serial(dense(3), dense(2), keys="split")
    key = fn.random.key(7)
    assert fn.tree.equal(default.init(key, x), split.init(key, x))
    assert not fn.tree.equal(net("stax").init(key, x), net("split").init(key, x))


def test_named_layers_have_the_keys_of_stax_too():
    x, key = torch.zeros(1, 4), fn.random.key(7)
    named = fn.serial(a=dense(3), b=dense(2), keys="stax").init(key, x)
    assert fn.tree.equal(tuple(named.values()), fn.serial(dense(3), dense(2), keys="stax").init(key, x))


def test_other_keys_are_refused():
    with pytest.raises(ValueError, match="serial: expected keys to be 'split' or 'stax', got 'flax'"):
        fn.serial(dense(3), keys="flax")
