"""Recurrent layers equal torch's, values and gradients, and stay loops in compiled programs."""

import pytest
import torch
from tables import numbers
from torch import nn
from torch_twins import KEY, compare, detached, exactly, fill

import funcnet as fn
from funcnet import tree


def recurrent_params(p):
    return {
        "wi": p["weight_ih_l0"].T,
        "wh": p["weight_hh_l0"].T,
        "bi": p["bias_ih_l0"],
        "bh": p["bias_hh_l0"],
    }


@pytest.mark.parametrize(
    "layer, module",
    [
        (fn.rnn(3), nn.RNN(2, 3, batch_first=True)),
        (fn.rnn(3, activation=torch.relu), nn.RNN(2, 3, nonlinearity="relu", batch_first=True)),
        (fn.gru(3), nn.GRU(2, 3, batch_first=True)),
        (fn.lstm(3), nn.LSTM(2, 3, batch_first=True)),
    ],
    ids=["rnn", "rnn of relu", "gru", "lstm"],
)
@pytest.mark.parametrize("shape", [(6, 2), (4, 1, 2), (3, 7, 2)], ids=str)
def test_recurrent_layers(layer, module, shape):
    module = fill(module)
    compare(layer, recurrent_params(detached(module)), module, recurrent_params, numbers(*shape), lambda m, x: m(x)[0])


@pytest.mark.parametrize("build, gates", [(fn.rnn, 1), (fn.gru, 3), (fn.lstm, 4)])
def test_recurrent_layers_are_initialised_uniformly_like_torch_s(build, gates):
    params = build(100).init(KEY, torch.zeros(3, 50))
    assert {name: tuple(p.shape) for name, p in params.items()} == {
        "wi": (50, gates * 100),
        "wh": (100, gates * 100),
        "bi": (gates * 100,),
        "bh": (gates * 100,),
    }
    for p in params.values():
        assert p.abs().max() <= 0.1 and p.abs().max() > 0.09 and abs(p.mean()) < 0.02
    assert not torch.equal(params["bi"], params["bh"])
    assert build(3).apply(build(3).init(KEY, torch.zeros(2, 2)), torch.zeros(5, 0, 2)).shape == (5, 0, 3)


@pytest.mark.parametrize("build", [fn.rnn, fn.gru, fn.lstm])
def test_recurrent_layers_are_one_loop_in_jit(build):
    layer, x = build(3), numbers(2, 50, 2)
    params = layer.init(KEY, x)
    jitted = fn.jit(layer.apply)
    assert jitted.explain(params, x).operations["scan"] == 1
    exactly(jitted(params, x), layer.apply(params, x))
    exactly(fn.jit(fn.vmap(layer.apply, in_dims=(None, 0)))(params, x), layer.apply(params, x))


@pytest.mark.few(5)
@pytest.mark.parametrize("build", [fn.rnn, fn.gru, fn.lstm])
@pytest.mark.parametrize(
    "derive",
    [
        lambda f: fn.grad(f, (0, 1)),
        lambda f: lambda p, x: fn.jvp(f, (p, x), (p, x.cos())),
        lambda f: fn.grad(lambda p, x: tree.norm(fn.grad(f, (0, 1))(p, x)), (0, 1)),
        lambda f: lambda p, x: fn.jvp(fn.grad(f), (p, x), (p, x.cos())),
        lambda f: fn.vmap(fn.grad(f, (0, 1)), in_dims=(None, 0)),
        lambda f: fn.grad(lambda p, x: fn.vmap(f, in_dims=(None, 0))(p, x).sum(), (0, 1)),
        lambda f: fn.grad(fn.remat(f)),
    ],
    ids=["grad", "jvp", "grad of grad", "jvp of grad", "vmap of grad", "grad of vmap", "remat"],
)
def test_derivatives_of_recurrent_layers_are_loops_in_jit(build, derive):
    layer, x = build(3), numbers(2, 20, 2)
    params = layer.init(KEY, x)
    f = derive(lambda params, x: layer.apply(params, x).square().sum())
    jitted = fn.jit(f)
    assert jitted.explain(params, x).operations["scan"] in (2, 4)
    assert sum(jitted.explain(params, x).operations.values()) < 600
    assert tree.allclose(jitted(params, x), f(params, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("build", [fn.rnn, fn.gru, fn.lstm])
@pytest.mark.parametrize("time", [0, 1, 2])
def test_derivatives_over_few_times_in_jit(build, time):
    layer, x = build(3), numbers(2, time, 2)
    params = layer.init(KEY, x)
    gradient = fn.grad(lambda params, x: layer.apply(params, x).square().sum(), (0, 1))
    assert tree.allclose(fn.jit(gradient)(params, x), gradient(params, x), rtol=1e-12)


def test_an_activation_may_close_over_differentiated_tensors():
    x = numbers(4, 2)
    params = fn.rnn(3).init(KEY, x)

    def loss(slope):
        return fn.rnn(3, activation=lambda h: torch.tanh(slope * h)).apply(params, x).sum()

    slope = torch.tensor(0.7, dtype=torch.float64)
    exactly(fn.jit(fn.grad(loss))(slope), fn.grad(loss)(slope))
    exactly(fn.jit(lambda slope: fn.jvp(loss, (slope,), (slope,)))(slope), fn.jvp(loss, (slope,), (slope,)))
    fn.checking.check_grads(loss, (slope,))
