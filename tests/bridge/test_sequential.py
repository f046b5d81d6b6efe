"""nn.Sequential to a model of this library and back: the same function, the same values."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch_modules import KEY, assert_close, numbers

import funcnet as fn

# torch pads an even kernel by a copy
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU6(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.SiLU(),
    nn.Mish(),
    nn.SELU(),
    nn.Hardswish(),
    nn.Softsign(),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.ELU(0.7),
    nn.CELU(0.6),
    nn.LeakyReLU(0.2),
    nn.Softplus(2.0, 10.0),
    nn.Hardtanh(-0.4, 0.6),
    nn.Softmax(-1),
    nn.LogSoftmax(-1),
    nn.Identity(),
    nn.Dropout(0.3),
]

# name: (Sequential, a batch)
SEQUENTIALS = {
    **{repr(module): (nn.Sequential(module), numbers(4, 3)) for module in ACTIVATIONS},
    "empty": (nn.Sequential(), numbers(4, 3)),
    "linear": (nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2, bias=False)), numbers(4, 3)),
    "nested": (
        nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.Sequential()), nn.Sequential(nn.Tanh(), nn.Linear(4, 1))),
        numbers(4, 3),
    ),
    "named": (
        nn.Sequential(OrderedDict(body=nn.Linear(3, 3), act=nn.GELU(), more=nn.Sequential(nn.Linear(3, 2)))),
        numbers(4, 3),
    ),
    "norms": (
        nn.Sequential(nn.LayerNorm(4, 0.1), nn.RMSNorm(4), nn.RMSNorm(4, 0.2), nn.GroupNorm(2, 4)),
        numbers(3, 4),
    ),
    "embedding": (nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)), torch.tensor([[0, 4], [1, 1]])),
    "conv1d": (
        nn.Sequential(nn.Conv1d(4, 6, 4, padding="same", dilation=3, groups=2), nn.GroupNorm(3, 6), nn.MaxPool1d(2)),
        numbers(2, 4, 9),
    ),
    "conv2d": (
        nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=(1, 0), bias=False), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten()
        ),
        numbers(3, 2, 9, 8),
    ),
    "conv3d": (
        nn.Sequential(nn.Conv3d(1, 2, 2), nn.AvgPool3d(2, padding=1, count_include_pad=False)),
        numbers(2, 1, 4, 5, 3),
    ),
    "pools": (nn.Sequential(nn.AvgPool2d((2, 3), stride=1), nn.MaxPool2d(3, 2, 1, dilation=1)), numbers(2, 2, 7, 8)),
    "batch_norm": (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Linear(4, 1)), numbers(5, 3)),
    "batch_norm1d": (nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3, momentum=None)), numbers(3, 2, 5)),
    "batch_norm2d": (
        nn.Sequential(nn.BatchNorm2d(2, eps=0.1), nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3)),
        numbers(3, 2, 4, 5),
    ),
    "batch_norm3d": (nn.Sequential(nn.BatchNorm3d(2)), numbers(3, 2, 2, 4, 5)),
    "flatten": (nn.Sequential(nn.Flatten(-2), nn.Linear(6, 2)), numbers(3, 2, 3)),
    "flatten of a batch": (nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), numbers(3, 2, 3)),
}


@pytest.fixture(params=SEQUENTIALS)
def case(request):
    module, x = SEQUENTIALS[request.param]
    module = module.double()
    with torch.no_grad():
        for i, (name, tensor) in enumerate(module.state_dict(keep_vars=True).items()):
            if tensor.is_floating_point():
                noise = numbers(*tensor.shape, seed=i)
                tensor.copy_(noise.square() + 0.5 if "var" in name else noise)
    return module, x


def test_the_model_equals_the_module(case):
    module, x = case
    model, params, state = fn.bridge.from_sequential(module, with_state=True)
    assert_close(model.apply_with_state(params, state, x, train=False), (module.eval()(x).detach(), state))
    if model.stateful:
        y, after = model.apply_with_state(params, state, x, train=True)
        assert_close(y, module.train()(x).detach())
        assert_close(after, fn.bridge.from_sequential(module, with_state=True)[2])
    else:
        assert_close(model.apply(params, x), module(x).detach())
        assert fn.tree.equal(fn.bridge.from_sequential(module)[1], params)


def test_the_round_trip_is_exact(case):
    module, x = case
    model, params, state = fn.bridge.from_sequential(module, with_state=True)
    back = fn.bridge.to_sequential(model, params, state)
    assert fn.tree.equal(dict(back.state_dict()), dict(module.state_dict()))
    assert [type(part) for part in back.modules()] == [type(part) for part in module.modules()]
    assert torch.equal(back.eval()(x), module.eval()(x))
    assert all(isinstance(parameter, nn.Parameter) and parameter.requires_grad for parameter in back.parameters())
    again = fn.bridge.from_sequential(back, with_state=True)[1:]
    assert fn.tree.equal(again, (params, state))
    pointers = {tensor.data_ptr() for tensor in module.state_dict().values() if tensor.numel()}
    assert pointers.isdisjoint(leaf.data_ptr() for leaf in fn.tree.leaves((params, state)))


def test_a_model_made_here_becomes_a_sequential():
    model = fn.serial(fn.conv(4, (3,), padding="same"), torch.tanh, fn.flatten(2), fn.mlp([5, 2], dropout_rate=0.1))
    x = torch.ones(2, 3, 6)
    params = model.init(KEY, x)
    module = fn.bridge.to_sequential(model, params)
    torch.testing.assert_close(module.eval()(x), model.apply(params, x))
    assert repr(module[0]) == "Conv1d(3, 4, kernel_size=(3,), stride=(1,), padding=same)"
    before = torch.get_rng_state()
    fn.bridge.to_sequential(model, params)
    assert torch.equal(torch.get_rng_state(), before)


LACKING = {
    "a class": (
        nn.Sequential(nn.ReLU(), nn.Sequential(nn.Bilinear(1, 1, 1))),
        r'at "1\.0": .* got Bilinear\. For any other module use from_module',
    ),
    "a subclass": (nn.Sequential(type("Mine", (nn.Linear,), {})(1, 1)), r'at "0": .* got Mine\.'),
    "an option": (nn.Sequential(nn.Embedding(3, 2, padding_idx=0)), "got an Embedding with padding_idx"),
    "padding": (nn.Sequential(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")), "padding_mode 'circular'"),
    "ceil_mode": (nn.Sequential(nn.MaxPool1d(2, ceil_mode=True)), "got a MaxPool with ceil_mode"),
    "divisor": (nn.Sequential(nn.AvgPool2d(2, divisor_override=3)), "got an AvgPool with ceil_mode or divisor"),
    "axes": (nn.Sequential(nn.LayerNorm((2, 3))), "a LayerNorm of several axes"),
    "no bias": (nn.Sequential(nn.LayerNorm(2, bias=False)), "a LayerNorm without weight or bias"),
    "no weight": (nn.Sequential(nn.RMSNorm(2, elementwise_affine=False)), "an RMSNorm of several axes, or no weight"),
    "no affine": (nn.Sequential(nn.GroupNorm(1, 2, affine=False)), "a GroupNorm without weight"),
    "no statistics": (
        nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)),
        "a BatchNorm without weight, bias or",
    ),
    "all dropped": (nn.Sequential(nn.Dropout(1.0)), "a Dropout with p = 1"),
    "softmax": (nn.Sequential(nn.Softmax()), "a softmax without dim"),
    "state": (nn.Sequential(nn.BatchNorm1d(2)), r"expected a module without state.*\(module, with_state=True\)"),
}


@pytest.mark.parametrize("module, message", LACKING.values(), ids=LACKING)
def test_modules_without_a_counterpart_are_named(module, message):
    with pytest.raises(ValueError, match=f"from_sequential: .*{message}"):
        fn.bridge.from_sequential(module)


BACK = {
    "a function": (fn.serial(fn.serial(torch.sin)), "", ValueError, r'at "0\.0": .* got sin\. .* use to_module'),
    "a layer": (fn.serial(fn.residual(torch.tanh)), "", ValueError, 'at "0": .* got '),
    "a window": (
        fn.serial(fn.conv(1, (2,), stride=2, padding="same")),
        "",
        ValueError,
        "a window with a stride and a padding that differs",
    ),
    "a pool": (fn.serial(fn.max_pool((2,), stride=1, padding="same")), "", ValueError, "got a pool with a padding"),
    "params": (fn.serial(torch.tanh, fn.dense(2)), ((), {"b": 0}), fn.LayerError, r'dense: at params path "1": .* "w"'),
    "too few": (fn.serial(fn.dense(2)), (), fn.LayerError, r"to_sequential: .* expected a tuple of 1, got tuple"),
    "no serial": (fn.dense(2), {}, TypeError, "expected a layer made by serial"),
}


@pytest.mark.parametrize("model, params, error, message", BACK.values(), ids=BACK)
def test_layers_without_a_counterpart_in_torch_are_named(model, params, error, message):
    params = model.init(KEY, torch.ones(1, 1, 4)) if params == "" else params
    with pytest.raises(error, match=message):
        fn.bridge.to_sequential(model, params)


def test_only_a_sequential_is_accepted():
    with pytest.raises(TypeError, match=r"expected an nn\.Sequential, got Linear.*use from_module"):
        fn.bridge.from_sequential(nn.Linear(1, 1))


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv1d(3, 6, 3), nn.Linear(6, 6), nn.BatchNorm1d(6)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(2), nn.BatchNorm1d(4)),
    ],
    ids=["linear over the last axis", "flatten of the last axes"],
)
def test_linear_and_flatten_keep_the_feature_axis(module):
    module = module.double()
    model, params, state = fn.bridge.from_sequential(module, with_state=True)
    shape = (5, 3, 8) if isinstance(module[0], nn.Conv1d) else (5, 3, 4, 4)
    x = fn.random.normal(fn.random.key(0), shape, torch.float64)
    y, _ = model.apply_with_state(params, state, x, train=True)
    torch.testing.assert_close(y, module(x), rtol=1e-12, atol=1e-12)
