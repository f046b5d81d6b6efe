"""The laws of layers, crossed with the table of layers. Here the state of a layer is part of its params."""

import copy
import pickle

import pytest
import torch
from tables import IN_USE, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
KEY = fn.random.key(3)


layers = pytest.mark.parametrize("layer, shape", IN_USE.values(), ids=IN_USE)


def example(layer, shape, dtype=torch.float64):
    x = numbers(*shape, dtype=dtype, seed=1)
    return layer.init(fn.random.key(2), x), x


@layers
def test_a_layer_is_pure(layer, shape):
    params, x = example(layer, shape)
    before, state = copy.deepcopy((params, x)), torch.get_rng_state()
    outputs = [layer.apply(params, x, key=KEY) for _ in range(2)] + [layer.apply(params, x) for _ in range(2)]
    assert tree.equal(outputs[0], outputs[1]) and tree.equal(outputs[2], outputs[3])
    assert tree.equal((params, x), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert tree.equal(layer.init(fn.random.key(2), x), layer.init(fn.random.key(2), torch.full_like(x, float("nan"))))


@layers
@dtypes
def test_dtype_follows_the_input(layer, shape, dtype):
    params, x = example(layer, shape, dtype)
    leaves = tree.leaves((params, layer.apply(params, x, key=KEY)))
    assert {leaf.dtype for leaf in leaves if tree.is_floating(leaf)} == {dtype}


@layers
@dtypes
def test_vmap_over_examples_equals_a_loop(layer, shape, dtype):
    params, _ = example(layer, shape, dtype)
    xs, keys = numbers(5, *shape, dtype=dtype, seed=4), fn.random.split(KEY, 5)
    mapped = fn.vmap(lambda x, key: layer.apply(params, x, key=key))(xs, keys)
    assert_close(mapped, torch.stack([layer.apply(params, x, key=key) for x, key in zip(xs, keys, strict=True)]))


@layers
@dtypes
def test_vmap_over_models_equals_a_loop(layer, shape, dtype):
    _, x = example(layer, shape, dtype)
    keys = fn.random.split(KEY, 4)
    ensemble = fn.vmap(layer.init, in_dims=(0, None))(keys, x)
    members = [layer.init(key, x) for key in keys]
    if not tree.leaves(members):
        return
    assert tree.allclose(ensemble, tree.stack(members), rtol=16 * torch.finfo(dtype).eps)
    mapped = fn.vmap(layer.apply, in_dims=(0, None))(ensemble, x)
    assert_close(mapped, torch.stack([layer.apply(member, x) for member in members]))


@layers
@dtypes
def test_leading_axes_are_accepted(layer, shape, dtype):
    params, _ = example(layer, shape, dtype)
    xs = numbers(2, 3, *shape, dtype=dtype, seed=5)
    nested = fn.vmap(fn.vmap(layer.apply, in_dims=(None, 0)), in_dims=(None, 0))(params, xs)
    assert_close(layer.apply(params, xs), nested)


@pytest.mark.few(30)
@layers
@dtypes
def test_first_and_second_derivatives(layer, shape, dtype):
    params, x = example(layer, shape, dtype)
    fn.checking.check_grads(lambda params, x: layer.apply(params, x, key=KEY), (params, x), order=2)


@layers
def test_derivatives_compose_with_vmap(layer, shape):
    params, _ = example(layer, shape)
    xs = numbers(3, *shape, seed=6)

    def loss(x):
        return layer.apply(params, x).sin().sum()

    each = torch.stack([fn.grad(loss)(x) for x in xs])
    assert_close(fn.vmap(fn.grad(loss))(xs), each)
    assert_close(fn.grad(lambda xs: fn.vmap(loss)(xs).sum())(xs), each)
    assert_close(
        fn.jvp(fn.grad(loss), (xs[0],), (xs[1],))[1], fn.grad(lambda x: (fn.grad(loss)(x) * xs[1]).sum())(xs[0])
    )


@layers
def test_a_layer_is_pickled_and_printed(layer, shape):
    if any(callable(f) and getattr(f, "__name__", "") == "<lambda>" for f in functions(layer)):
        return  # Python does not pickle lambdas
    again = pickle.loads(pickle.dumps(layer))
    params, x = example(layer, shape)
    assert tree.equal(again.apply(params, x), layer.apply(params, x))


def functions(layer):
    """Yield the functions of x that a layer was built from, at any depth."""
    options = getattr(layer[1], "keywords", {})
    inner = (*options.get("children", ()), *([options["inner"]] if "inner" in options else ()))
    return [*([options["f"]] if "f" in options else ()), *(f for child in inner for f in functions(child))]


@layers
def test_an_empty_batch_and_a_batch_of_one(layer, shape):
    params, x = example(layer, shape)
    assert layer.apply(params, numbers(0, *shape)).shape == (0, *layer.apply(params, x).shape)
    assert_close(layer.apply(params, x[None])[0], layer.apply(params, x))


@pytest.mark.few(12)
@layers
def test_jit_equals_eager_natively(layer, shape):
    params, x = example(layer, shape)

    def values_and_gradients(params, x, key):
        def loss(params, x):
            y = layer.apply(params, x, key=key)
            return y.sin().sum(), y

        return fn.grad(loss, (0, 1), has_aux=True)(params, x)

    jitted = fn.jit(values_and_gradients, backend="native")
    assert tree.difference(jitted(params, x, KEY), values_and_gradients(params, x, KEY), rtol=1e-12, atol=1e-13) is None
