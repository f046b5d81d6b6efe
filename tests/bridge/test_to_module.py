"""A pure model as a torch module: torch's tools work on it, and conversions back and forth change nothing."""

import copy
import io
import multiprocessing
import os
import pickle
import tempfile

import pytest
import torch
from torch import nn

import funcnet as fn

KEY = fn.random.key(0)
X, Y = fn.random.normal(KEY, (8, 3)), fn.random.normal(fn.random.key(1), (8, 1))
MODEL = fn.serial(hidden=fn.dense(4), act=torch.tanh, drop=fn.dropout(0.5), norm=fn.layer_norm(), out=fn.dense(1))
PARAMS = MODEL.init(KEY, X)


def loss(y):
    return (y - Y).square().mean()


def assert_close(a, b, atol=1e-6):
    assert fn.tree.difference(a, b, atol=atol) is None


def test_parameters_have_their_paths_as_names():
    module = fn.to_module(MODEL, PARAMS)
    names = ["hidden.b", "hidden.w", "norm.scale", "norm.shift", "out.b", "out.w"]
    assert list(module.state_dict()) == names == [name for name, _ in module.named_parameters()]
    assert all(type(parameter) is nn.Parameter for parameter in module.parameters())
    assert fn.tree.equal(fn.tree.map(torch.Tensor.detach, module.params_tree()), PARAMS)
    module.get_parameter("out.w").data.zero_()
    assert PARAMS["out"]["w"].any()


def test_forward_equals_apply_and_a_key_switches_dropout_on():
    module = fn.to_module(MODEL, PARAMS)
    assert torch.equal(module(X), MODEL.apply(PARAMS, X))
    assert torch.equal(module(X, key=KEY), MODEL.apply(PARAMS, X, key=KEY))


def test_torch_optim_trains_it_as_grad_does():
    module, params = fn.to_module(MODEL, PARAMS), PARAMS
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    ours = fn.optim.adam(0.01)
    state = ours.init(params)
    for _ in range(5):
        optimizer.zero_grad()
        loss(module(X)).backward()
        optimizer.step()
        grads = fn.grad(lambda p: loss(MODEL.apply(p, X)))(params)
        updates, state = ours.update(grads, state, params)
        params = fn.optim.apply_updates(params, updates)
    assert_close(fn.tree.map(torch.Tensor.detach, module.params_tree()), params, 1e-5)


def test_the_round_trip_is_exact():
    module = fn.to_module(MODEL, PARAMS)
    apply, params, state = fn.from_module(module)
    assert fn.tree.equal(params, {name: layer for name, layer in PARAMS.items() if layer}) and state == {}
    assert torch.equal(apply(params, state, X)[0], module(X))
    torch_module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).eval()
    apply, params, state = fn.from_module(torch_module)
    for back in (fn.to_module(apply, params, state), fn.to_module(torch_module, params)):
        assert fn.tree.equal(dict(back.state_dict()), dict(torch_module.state_dict()))
        assert torch.equal(back(X), torch_module(X)) and back is not torch_module
        assert fn.tree.equal(fn.from_module(back)[1], params)


def test_frozen_parameters_stay_frozen():
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    apply, params, state = fn.from_module(module)
    assert [p.requires_grad for p in fn.to_module(apply, params, state).parameters()] == [True, False]


def test_a_module_is_saved_copied_pickled_and_converted():
    module = fn.to_module(MODEL, PARAMS)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = fn.to_module(MODEL, fn.tree.zeros_like(PARAMS))
    other.load_state_dict(torch.load(file, weights_only=True))
    for twin in (other, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(X), module(X))
    assert other.double()(X.double()).dtype == torch.float64
    assert {leaf.dtype for leaf in fn.tree.leaves(other.params_tree())} == {torch.float64}


def test_torch_export_accepts_it():
    module = fn.to_module(MODEL, PARAMS)
    program = torch.export.export(module, (X,))
    assert torch.equal(program.module()(X), module(X))
    assert list(program.state_dict) == list(module.state_dict())


def test_state_is_buffers_that_change_in_train_mode_only():
    model = fn.serial(fn.dense(4), fn.batch_norm(), fn.dense(1))
    params, state = model.init_with_state(KEY, X)
    module = fn.to_module(model, params, state)
    assert {name for name, _ in module.named_buffers()} == {"1.mean", "1.var", "1.count"}
    expected, after = model.apply_with_state(params, state, X, train=True)
    assert torch.equal(module.train()(X), expected) and fn.tree.equal(module.state_tree(), after)
    expected, _ = model.apply_with_state(params, after, X, train=False)
    assert torch.equal(module.eval()(X), expected) and fn.tree.equal(module.state_tree(), after)
    assert torch.export.export(module, (X,)).module()(X).shape == (8, 1)


def test_a_function_is_a_model_and_other_leaves_are_kept():
    params = {"w": torch.ones(3), "steps": 2, "labels": torch.tensor([1, 2]), "none": None}
    module = fn.to_module(lambda p, x, *, shift: p["w"] * x * p["steps"] + shift, params)
    assert [name for name, _ in module.named_parameters()] == ["w"] and "labels" in dict(module.named_buffers())
    assert module(torch.ones(3), shift=1).tolist() == [3.0, 3.0, 3.0]
    assert module.params_tree()["steps"] == 2 and module.params_tree()["none"] is None
    carry = fn.to_module(lambda p, x: p["params"] * x, {"params": torch.ones(2), "state": torch.zeros(1)})
    assert list(carry.state_dict()) == ["params", "state"]
    alone = fn.to_module(lambda p, x: p * x, torch.ones(2))
    assert list(alone.state_dict()) == ["value"] and alone(torch.ones(2)).tolist() == [1.0, 1.0]


BAD = {
    "no model": (lambda: fn.to_module(3, {}), TypeError, "to_module: expected a layer, a module or a function"),
    "a name that modules have": (
        lambda: fn.to_module(lambda p: p, {"train": {"w": torch.ones(1)}}),
        ValueError,
        r'to_module: at path "train\.w": a module cannot hold this: .*attribute .train. already exists.* Rename it',
    ),
    "one name twice": (
        lambda: fn.to_module(lambda p: p, {"a.b": torch.ones(1), "a": {"b": torch.ones(1)}}),
        ValueError,
        r'at path "a\.b": a module cannot hold this: two leaves have this name',
    ),
    "another structure": (
        lambda: fn.to_module(nn.Linear(3, 2), {"weight": torch.ones(2, 3)}),
        ValueError,
        r"to_module: expected parameters like the module's, but they differ at the root: dict with entries bias, weig",
    ),
    "state for a function": (
        lambda: fn.to_module(lambda p: p, {}, {"n": torch.ones(1)}),
        TypeError,
        "to_module: expected no state for a model without one, got dict with entry n",
    ),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def train(rank, size, folder, results):
    """One process of data parallel training."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(os.path.join(folder, "store"), size)  # noqa: PTH118
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        module = nn.parallel.DistributedDataParallel(fn.to_module(MODEL, PARAMS))
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        rows = slice(rank * 8 // size, (rank + 1) * 8 // size)
        for _ in range(3):
            optimizer.zero_grad()
            (module(X[rows]) - Y[rows]).square().mean().backward()
            optimizer.step()
        results.put({name: value.tolist() for name, value in module.module.state_dict().items()})
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
def test_data_parallel_training_equals_training_on_all_examples(size):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        workers = [context.Process(target=train, args=(rank, size, folder, results)) for rank in range(size)]
        for worker in workers:
            worker.start()
        found = [results.get(timeout=120) for _ in workers]
        for worker in workers:
            worker.join()
    assert [worker.exitcode for worker in workers] == [0] * size
    params = PARAMS
    for _ in range(3):
        params = fn.sgd_step(params, fn.grad(lambda p: loss(MODEL.apply(p, X)))(params), 0.1)
    expected = dict(fn.to_module(MODEL, params).state_dict())
    for state in found:
        assert_close({name: torch.tensor(value) for name, value in state.items()}, expected)
