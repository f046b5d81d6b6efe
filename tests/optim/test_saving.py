"""Checkpoints the torch way: `torch.save`, and `torch.load` with its default, weights_only=True."""

import dataclasses
import io
import subprocess
import sys

import pytest
import torch
from tables import OPTIMIZERS, TREES, Affine, numbers

import funcnet as fn


def round_trip(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file)


def trained(optimizer, params):
    """The state after an update, which holds more than zeros."""
    state, loss = optimizer.init(params), lambda p: fn.tree.dot(p, p)
    value, grads = fn.value_and_grad(loss)(params)
    extra = {"value": value, "grad": grads, "value_fn": loss}
    return optimizer.update(grads, state, params, **extra)[1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_state_round_trips(name):
    state = trained(OPTIMIZERS[name](), {"w": numbers(3, 2), "b": numbers(2, seed=1)})
    loaded = round_trip({"params": numbers(2), "state": state})["state"]
    assert fn.tree.structure(loaded) == fn.tree.structure(state)
    assert fn.tree.equal(loaded, state)


@pytest.mark.parametrize("name", ["leaf", "dict", "list", "tuple", "dataclass", "OrderedDict", "None", "strangers"])
def test_parameter_trees_round_trip(name):
    params = TREES[name]()
    assert fn.tree.equal(round_trip(params), params)


def test_layers_params_state_and_keys_round_trip():
    model, x = fn.serial(a=fn.dense(3), norm=fn.batch_norm(), b=fn.gru(2)), numbers(4, 2)
    trees = (*model.init_with_state(fn.random.key(0), x), fn.random.split(fn.random.key(1)))
    assert fn.tree.equal(round_trip(trees), trees)


def test_a_registered_dataclass_keeps_its_static_fields():
    loaded = round_trip(Affine(numbers(2), numbers(1), name="last"))
    assert loaded.name == "last" and dataclasses.is_dataclass(loaded)


def test_a_new_process_loads_after_importing_funcnet(tmp_path):
    torch.save(fn.optim.adam(0.1).init(torch.ones(2)), tmp_path / "state.pt")
    program = "import sys, torch, funcnet; print(torch.load(sys.argv[1])[0].mu.tolist())"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "state.pt")], capture_output=True, text=True)
    assert done.stdout.strip() == "[0.0, 0.0]", done.stderr
