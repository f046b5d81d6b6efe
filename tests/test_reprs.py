"""Layers and optimizers print as the calls that made them, and errors name their functions by their role."""

import pickle

import pytest
import torch

import funcnet as fn

optim = fn.optim
REPRS = {
    "serial(dense(4), tanh, dense(1))": fn.serial(fn.dense(4), torch.tanh, fn.dense(1)),
    "serial(hidden=dense(2, use_bias=False), act=sigmoid)": fn.serial(
        hidden=fn.dense(2, use_bias=False), act=torch.sigmoid
    ),
    "residual(mlp([8, 8], activation=relu))": fn.residual(fn.mlp([8, 8], activation=torch.relu)),
    "conv(3, (3, 3), padding='same')": fn.conv(3, (3, 3), padding="same"),
    "serial(batch_norm(), dropout(0.1))": fn.serial(fn.batch_norm(), fn.dropout(0.1)),
    "dropout(<float32 tensor of shape () on cpu>)": fn.dropout(torch.tensor(0.5)),
    "adamw(0.001, weight_decay=0.0001)": optim.adamw(0.001, weight_decay=0.0001),
    "chain(clip_by_global_norm(1.0), sgd(0.1))": optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.1)),
    "partition({'a': sgd(0.1), 'b': set_to_zero()}, {'w': 'a'})": optim.partition(
        {"a": optim.sgd(0.1), "b": optim.set_to_zero()}, {"w": "a"}
    ),
    "masked(sgd(0.1), (True,))": optim.masked(optim.sgd(0.1), (True,)),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr_is_the_call(text):
    assert repr(REPRS[text]) == text


def test_repr_of_a_traced_hyper_parameter():
    seen = []

    def train(rate, w):
        optimizer = optim.sgd(rate)
        seen.append(repr(optimizer))
        return optimizer.update(w, optimizer.init(w), w)[0]

    fn.jit(fn.vmap(train, (0, None)), backend="eager")(torch.ones(3), torch.ones(2))
    assert seen and all(text.startswith("sgd(<float32 tensor of shape ()") for text in seen)


def test_repr_survives_pickling():
    assert repr(pickle.loads(pickle.dumps(REPRS["serial(dense(4), tanh, dense(1))"]))) in REPRS


def test_a_pair_of_functions_is_still_a_layer():
    model = fn.serial(fn.dense(4), fn.Layer(lambda key, x: (), lambda params, x, key=None: x))
    init, apply = model
    params, x = init(fn.random.key(0), torch.zeros(2, 3)), torch.ones(2, 3)
    assert torch.equal(apply(params, x), model.apply(params, x)) and repr(model).startswith("serial(dense(4), Layer(")


@pytest.mark.parametrize("layer", [fn.dense(1), fn.serial(fn.dense(1)), fn.batch_norm()], ids=repr)
def test_python_errors_name_the_function(layer):
    with pytest.raises(TypeError, match=r"^Layer\.init\(\) missing 1 required positional argument: 'x'"):
        layer.init(torch.zeros(2, 2))
    with pytest.raises(TypeError, match=r"^Layer\.apply\(\) missing 1 required positional argument: 'x'"):
        layer.apply({})


def test_names_of_the_package():
    assert "report" in dir(fn) and "__version__" in dir(fn) and "compiler" not in dir(fn)
    assert not [name for name in dir(fn.optim) if name.endswith("State") and name not in ("EmptyState", "OptState")]
