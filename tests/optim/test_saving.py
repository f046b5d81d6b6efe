"""Checkpoints by `torch.save`, and `torch.load` with its default, weights_only=True."""

import dataclasses
import io
import subprocess
import sys
from types import SimpleNamespace

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
    """Return the state after an update, so that it holds more than zeros."""
    state, loss = optimizer.init(params), lambda p: fn.tree.dot(p, p)
    value, grads = fn.value_and_grad(loss)(params)
    extra = {"value": value, "grad": grads, "value_fn": loss, "obj_fn": loss}
    return optimizer.update(grads, state, params, **extra)[1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_state_round_trips(name):
    state = trained(OPTIMIZERS[name](), {"w": numbers(3, 2), "b": numbers(2, seed=1)})
    loaded = round_trip({"params": numbers(2), "state": state})["state"]
    assert fn.tree.structure(loaded) == fn.tree.structure(state)
    assert fn.tree.equal(loaded, state)


@pytest.mark.parametrize("name", ["leaf", "dict", "list", "tuple", "dataclass", "OrderedDict", "None", "other leaves"])
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


@pytest.mark.parametrize("file, state", [("adam", fn.optim.ScaleByAdamState), ("masking", fn.optim.MaskedState)])
def test_a_checkpoint_that_names_the_file_of_a_state_loads(file, state, monkeypatch):
    name = f"funcnet.optim.{file}"
    value = state(*map(torch.tensor, range(len(state._fields))))
    with monkeypatch.context() as patch:
        patch.setattr(state, "__module__", name)
        patch.setitem(sys.modules, name, SimpleNamespace(**{state.__name__: state}))
        torch.save(value, saved := io.BytesIO())
    assert f"c{name}".encode() in saved.getvalue()
    saved.seek(0)
    loaded = torch.load(saved)
    assert type(loaded) is state and fn.tree.equal(loaded, value)


def test_states_are_saved_by_their_public_name():
    torch.save(fn.optim.adam(0.1).init(torch.ones(2)), saved := io.BytesIO())
    assert b"cfuncnet.optim\nScaleByAdamState" in saved.getvalue()
