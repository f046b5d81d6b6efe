"""Layers take and return state: every layer has init_with_state, and combinators thread state like params."""

import pickle

import pytest
import torch
from tables import LAYERS, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

KEY = fn.random.key(7)
STATELESS = {name: row for name, row in LAYERS.items() if not row[0].stateful}
STATEFUL = {name: row for name, row in LAYERS.items() if row[0].stateful}


def _centre_init(key, x):
    return {"shift": x.new_full(x.shape[-1:], 0.5)}, {"mean": x.new_zeros(x.shape[-1:]), "count": torch.tensor(0)}


def _centre(params, state, x, *, key=None, train):
    """Subtract the mean of all inputs seen in training."""
    if not isinstance(state, dict):
        raise fn.LayerError("centre", "", f"expected a state with mean and count, got {tree.describe(state)}.")
    if train:
        count = state["count"] + 1
        mean = state["mean"] + (x.flatten(0, -2).mean(0) - state["mean"]) / count
        state = {"mean": mean, "count": count}
    return x - state["mean"] + params["shift"], state


CENTRE = fn.stateful("centre", _centre_init, _centre)
MODELS = {
    "alone": CENTRE,
    "serial": fn.serial(fn.dense(3), CENTRE, fn.dropout(0.5), torch.tanh),
    "serial by name": fn.serial(a=CENTRE, b=fn.dense(3), c=CENTRE),
    "parallel": fn.parallel(CENTRE),
    "parallel by name": fn.parallel(a=fn.dense(2), b=CENTRE),
    "residual": fn.residual(fn.serial(CENTRE, torch.sin)),
    "nested": fn.serial(fn.residual(fn.serial(n=CENTRE, d=fn.dense(3))), fn.parallel(CENTRE, torch.cos)),
}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@pytest.mark.parametrize("layer, shape", STATELESS.values(), ids=STATELESS)
@pytest.mark.parametrize("train", [False, True])
def test_a_layer_without_state_also_has_the_functions_with_state(layer, shape, train):
    x = numbers(*shape)
    params, state = layer.init_with_state(KEY, x)
    assert state == () and tree.equal(params, layer.init(KEY, x))
    for key in (None, KEY):
        y, after = layer.apply_with_state(params, state, x, key=key, train=train)
        assert after == () and tree.equal(y, layer.apply(params, x, key=key))


def test_states_are_structured_like_params():
    x = numbers(4, 3)
    forms = {name: model.init_with_state(KEY, x)[1] for name, model in MODELS.items()}
    each = {"mean": torch.zeros(3).double(), "count": torch.tensor(0)}
    expected = {
        "alone": each,
        "serial": ((), each, (), ()),
        "serial by name": {"a": each, "b": (), "c": each},
        "parallel": (each,),
        "parallel by name": {"a": (), "b": each},
        "residual": (each, ()),
        "nested": ({"n": each, "d": ()}, (each, ())),
    }
    for name in MODELS:
        assert tree.equal(forms[name], expected[name]), name


def test_a_model_threads_state_like_code_by_hand():
    model, first, second = MODELS["nested"], numbers(4, 3, seed=1), numbers(4, 3, seed=2)
    params, state = model.init_with_state(KEY, first)
    (inner, _), w = params, params[0]["d"]["w"]
    for x in (first, second):
        (a, b), state = model.apply_with_state(params, state, x, train=True)
    m1 = (first.mean(0) + second.mean(0)) / 2
    hidden = [x + (x - mean + 0.5) @ w + inner["d"]["b"] for x, mean in ((first, first.mean(0)), (second, m1))]
    m2 = (hidden[0].mean(0) + hidden[1].mean(0)) / 2
    assert_close(state[0]["n"], {"mean": m1, "count": torch.tensor(2)})
    assert_close(state[1][0], {"mean": m2, "count": torch.tensor(2)})
    assert_close((a, b), (hidden[1] - m2 + 0.5, hidden[1].cos()))


@models
def test_without_training_the_state_is_unchanged(model):
    x = numbers(4, 3)
    params, state = model.init_with_state(KEY, x)
    before = pickle.loads(pickle.dumps((params, state)))
    _, trained = model.apply_with_state(params, state, x, train=True)
    _, after = model.apply_with_state(params, trained, x, train=False)
    assert tree.equal(after, trained) and not tree.equal(trained, state)
    assert tree.equal((params, state), before)


@models
def test_each_model_of_an_ensemble_has_its_own_state(model):
    keys, xs = fn.random.split(KEY, 3), numbers(3, 4, 3)
    params, state = fn.vmap(model.init_with_state)(keys, xs)

    def step(params, state, x, key):
        return model.apply_with_state(params, state, x, key=key, train=True)

    result = fn.vmap(step)(params, state, xs, keys)
    members = [(*model.init_with_state(key, x), x, key) for key, x in zip(keys, xs, strict=True)]
    assert tree.allclose(result, tree.stack([step(*member) for member in members]), rtol=1e-12)


@models
def test_a_model_with_state_is_pickled(model):
    x = numbers(4, 3)
    params, state = model.init_with_state(KEY, x)
    again = pickle.loads(pickle.dumps(model))
    results = [m.apply_with_state(params, state, x, train=True) for m in (model, again)]
    assert tree.equal(*results)


def test_only_a_key_makes_noise_and_it_is_the_same_with_state():
    x, drop = numbers(50, 3), fn.dropout(0.5)
    plain = fn.serial(fn.dense(3), drop, torch.tanh)
    model = fn.serial(fn.dense(3), drop, CENTRE)
    params, state = model.init_with_state(KEY, x)
    kept = [model.apply_with_state(params, state, x, key=KEY, train=train)[0] for train in (False, True)]
    expected = plain.apply((params[0], (), ()), x, key=KEY) == 0
    assert torch.equal(kept[0] == 0.5, expected) and 50 < expected.sum() < 100
    assert_close(kept[0], kept[1] + kept[0].mean(0) - kept[1].mean(0))
    assert (model.apply_with_state(params, state, x, train=True)[0] != kept[1]).all()


@pytest.mark.parametrize("layer, shape", LAYERS.values(), ids=LAYERS)
def test_a_layer_is_a_pair(layer, shape):
    init, apply = layer
    assert fn.Layer(init, apply) == layer
    if layer.stateful:
        init, apply = layer.stateful
    assert callable(init) and callable(apply)


def test_a_pair_with_one_function_replaced_is_refused_by_the_other():
    broken = CENTRE._replace(apply=torch.sin)
    assert broken.stateful is None
    with pytest.raises(fn.LayerError, match="centre: .*expected init_with_state, got init"):
        fn.serial(broken).init(KEY, numbers(4, 3))


def test_a_part_with_state_is_rematerialised():
    x, model = numbers(4, 3), MODELS["nested"]
    part = fn.stateful("part", model.init_with_state, fn.remat(model.apply_with_state))
    again = pickle.loads(pickle.dumps(fn.serial(part)))
    params, state = model.init_with_state(KEY, x)

    def gradient(params, state, model):
        def loss(params):
            (a, b), after = model.apply_with_state(params, state, x, key=KEY, train=True)
            return (a.sin() + b).sum(), after

        return fn.grad(loss, has_aux=True)(params)

    expected = gradient(params, state, model)
    assert tree.allclose(gradient(params, state, part), expected, rtol=1e-12)
    y, after = again.apply_with_state((params,), (state,), x, train=True)
    assert tree.equal((y, after[0]), model.apply_with_state(params, state, x, train=True))


@pytest.mark.parametrize("compile", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_state_is_carried_through_training(compile):
    model, x, y = MODELS["serial by name"], numbers(6, 3), numbers(6, 3, seed=1)
    start = model.init_with_state(KEY, x)

    def loss(params, state):
        out, state = model.apply_with_state(params, state, x, train=True)
        return fn.losses.squared_error(out, y).mean(), state

    def step(carry, _):
        params, state = carry
        (value, state), grads = fn.value_and_grad(loss, has_aux=True)(params, state)
        return (fn.sgd_step(params, grads, 0.1), state), value

    (params, state), losses = compile(lambda start: fn.scan(step, start, length=20))(start)
    assert losses[-1] < losses[0]
    assert state["a"]["count"] == 20
    assert_close(state["a"]["mean"], x.mean(0))
    assert not tree.equal(params, start[0])


@pytest.mark.parametrize(
    "model, path",
    [
        (CENTRE, "the tree itself"),
        (MODELS["serial"], 'path "1"'),
        (MODELS["nested"], 'path "0.n"'),
        (fn.serial(body=fn.parallel(torch.sin, torch.cos, CENTRE)), 'path "body.2"'),
    ],
)
def test_the_plain_functions_of_a_model_with_state_name_the_right_ones(model, path):
    x = numbers(4, 3)
    with pytest.raises(fn.LayerError, match=rf"centre: at params {path}.*Call params, state = model.init_with_state"):
        model.init(KEY, x)
    with pytest.raises(fn.LayerError, match=rf"centre: at params {path}.*Call y, state = model.apply_with_state\("):
        model.apply(model.init_with_state(KEY, x)[0], x, key=KEY)


def test_an_error_names_the_place_of_a_wrong_state():
    x, model = numbers(4, 3), MODELS["nested"]
    params, state = model.init_with_state(KEY, x)
    for wrong, message in {
        "none": ((), r"serial: .* expected as state a tuple of 2, got tuple with entries \(none\)"),
        "by name": (((), state[1]), r'serial: at params path "0": expected as state a dict with entries n, d'),
        "inside": ((state[0], ((), ())), r'centre: at params path "1.0": expected a state'),
    }.values():
        with pytest.raises(fn.LayerError, match=message):
            model.apply_with_state(params, wrong, x, train=True)


def in_training(layer, shape, dtype=torch.float64):
    x = numbers(4, *shape, dtype=dtype, seed=3)
    params, state = layer.init_with_state(KEY, x)
    return params, tree.map(lambda leaf: leaf + 0.1 if tree.is_floating(leaf) else leaf, state), x


stateful = pytest.mark.parametrize("layer, shape", STATEFUL.values(), ids=STATEFUL)


@stateful
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivatives_in_training(layer, shape, dtype):
    def apply(params, state, x):
        return layer.apply_with_state(params, state, x, key=KEY, train=True)

    arguments = in_training(layer, shape, dtype)
    assert {leaf.dtype for leaf in tree.leaves(apply(*arguments)) if tree.is_floating(leaf)} == {dtype}
    fn.checking.check_grads(apply, arguments, order=2)


@stateful
def test_several_models_train_at_once(layer, shape):
    params, state, x = in_training(layer, shape)
    xs = torch.stack([x, 2 * x.flip(0), x - 1])
    ensemble = [tree.map(lambda leaf, i=i: leaf + i if tree.is_floating(leaf) else leaf, params) for i in range(3)]

    def step(params, state, x):
        def loss(params):
            y, after = layer.apply_with_state(params, state, x, key=KEY, train=True)
            return y.sin().sum(), after

        return fn.grad(loss, has_aux=True)(params)

    each = tree.stack([step(member, state, x) for member, x in zip(ensemble, xs, strict=True)])
    batched = fn.vmap(step, in_dims=(0, None, 0))
    for run in (batched, fn.jit(batched, backend="native")):
        assert tree.allclose(run(tree.stack(ensemble), state, xs), each, rtol=1e-10)
