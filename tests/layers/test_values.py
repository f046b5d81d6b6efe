"""The values of layers: torch.nn.functional with non-default options, the statistics of random values, the keys."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

KEY = fn.random.key(5)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
SHAPES = [(5,), (2, 1), (3, 0, 4), (2, 3, 7)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@shapes
@dtypes
def test_dense_is_linear(shape, dtype):
    x, w, b = (numbers(*s, dtype=dtype, seed=i) for i, s in enumerate([shape, (shape[-1], 3), (3,)]))
    assert_close(fn.dense(3).apply({"w": w, "b": b}, x), F.linear(x, w.T) + b)
    assert_close(fn.dense(3, use_bias=False).apply({"w": w}, x), F.linear(x, w.T))


@shapes
@dtypes
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_equals_torch_s(shape, dtype, eps):
    x, scale, shift = (3 * numbers(*s, dtype=dtype, seed=i) for i, s in enumerate([shape, shape[-1:], shape[-1:]]))
    y = fn.layer_norm(eps=eps).apply({"scale": scale, "shift": shift}, x)
    assert_close(y, F.layer_norm(x, shape[-1:], scale, shift, eps))


@shapes
@dtypes
@pytest.mark.parametrize("eps", [1e-6, 0.3])
def test_rms_norm_equals_torch_s(shape, dtype, eps):
    x, scale = 3 * numbers(*shape, dtype=dtype), 3 * numbers(*shape[-1:], dtype=dtype, seed=1)
    assert_close(fn.rms_norm(eps=eps).apply({"scale": scale}, x), F.rms_norm(x, shape[-1:], scale, eps))


@pytest.mark.parametrize("norm, eps", [(fn.layer_norm(), 1e-5), (fn.rms_norm(), 1e-6)])
def test_default_eps(norm, eps):
    x = torch.tensor([-1e-3, 1e-3]).double()
    assert_close(norm.apply(norm.init(KEY, x), x), x / (1e-6 + eps) ** 0.5)


def test_norms_of_16_bits_do_not_overflow():
    x = torch.tensor([300.0, -600.0, 400.0], dtype=torch.float16)
    for norm in (fn.layer_norm(), fn.rms_norm()):
        params = norm.init(KEY, x)
        expected = norm.apply(tree.map(lambda p: p.double(), params), x.double())
        assert_close(norm.apply(params, x), expected.half())


def test_norms_are_initialised_from_an_empty_batch():
    for norm in (fn.layer_norm(), fn.rms_norm()):
        params = norm.init(KEY, torch.zeros(0, 3).double())
        assert tree.equal(params, norm.init(KEY, torch.zeros(3).double()))
        assert params["scale"].shape == (3,) and (params["scale"] == 1).all()


@pytest.mark.parametrize("rate", [0.2, torch.tensor(0.2), 0.75])
def test_dropout_keeps_a_fraction_and_the_mean(rate):
    y = fn.dropout(rate).apply((), torch.full((100, 200), 3.0), key=KEY)
    kept = y != 0
    assert_close(y[kept], torch.full_like(y[kept], 3 / (1 - float(rate))))
    assert abs(kept.float().mean().item() - (1 - float(rate))) < 0.02  # 5 standard deviations or more


def test_dropout_draws_each_entry_independently():
    kept = fn.dropout(0.5).apply((), torch.ones(64, 64), key=KEY) != 0
    assert 0 < kept.float().mean(0).std() < 0.15 and 0 < kept.float().mean(1).std() < 0.15


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_flatten_equals_torch_s(axes):
    x = numbers(2, 3, 4)
    assert torch.equal(fn.flatten(axes).apply((), x), x.flatten(-axes))


def test_embedding_equals_torch_s():
    layer, labels = fn.embedding(7, 3, dtype=torch.float64), torch.tensor([[6, 0, 2], [1, 1, 5]])
    params = layer.init(KEY, labels)
    for integers in (labels, labels.int(), labels.to(torch.uint8), labels[:0], labels[0, 0]):
        assert torch.equal(layer.apply(params, integers), F.embedding(integers.long(), params["w"]))
    gradient = fn.grad(lambda p: layer.apply(p, labels).sum())(params)["w"]
    assert_close(gradient.sum(1), 3 * labels.flatten().bincount(minlength=7).double())


def test_step_does_not_fire_at_0():
    x = torch.tensor([-2.0, -0.0, 0.0, 1e-30]).double()
    assert torch.equal(fn.step(x), torch.tensor([0.0, 0.0, 0.0, 1.0]).double())
    assert torch.equal(fn.grad(lambda x: fn.step(x).sum())(x), torch.zeros(4).double())


def test_the_standard_deviation_of_initial_weights():
    dense = fn.dense(400).init(KEY, torch.zeros(100))
    assert abs(dense["w"].std().item() - 0.1) < 0.002  # LeCun: 1 / sqrt(in)
    assert not dense["b"].any()
    table = fn.embedding(300, 100).init(KEY, torch.tensor(0))["w"]
    assert abs(table.std().item() - 1) < 0.02 and abs(table.mean().item()) < 0.03


def test_parameters_are_on_the_device_of_the_input():
    x = torch.zeros(3, device="meta")
    model = fn.serial(fn.dense(4), fn.layer_norm(), fn.rms_norm(), fn.dense(2))
    assert {leaf.device.type for leaf in tree.leaves(model.init(KEY, x))} == {"meta"}
    assert fn.embedding(3, 2).init(KEY, x.long())["w"].device.type == "meta"


def test_every_parameter_has_its_own_key():
    normal, square, x = fn.initializers.normal(1.0), fn.dense(4, use_bias=False), torch.zeros(4)
    params = fn.dense(4, w_init=normal, b_init=normal).init(KEY, torch.zeros(1))
    assert not torch.isclose(params["w"][0], params["b"]).any()
    for model in (fn.serial(square, square), fn.parallel(square, square)):
        first, second = model.init(KEY, x)
        assert not torch.isclose(first["w"], second["w"]).any()


def test_every_layer_has_its_own_key():
    drop, x = fn.dropout(0.5), torch.ones(64)
    first, second = fn.parallel(drop, drop).apply(((), ()), x, key=KEY)
    assert not torch.equal(first, second)
    twice = fn.serial(drop, drop).apply(((), ()), torch.ones(10_000), key=KEY)
    assert abs((twice != 0).float().mean().item() - 0.25) < 0.03


def test_a_layer_error_pickles():
    with pytest.raises(fn.LayerError) as caught:
        fn.serial(fn.dense(1)).apply(({},), torch.zeros(2))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.path == "0" and again.operation == "dense"
