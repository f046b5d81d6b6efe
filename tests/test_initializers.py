"""Initialisers against jax.nn.initializers and torch.nn.Linear, and laws over a table of them."""

import math
import pickle

import golden
import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import initializers, random

f32, f64 = torch.float32, torch.float64

INITIALIZERS = {
    "zeros": initializers.zeros,
    "ones": initializers.ones,
    "constant": initializers.constant(0.3),
    "constant_row": initializers.constant(torch.tensor([1.0, 2.0])),
    "uniform_0.01": initializers.uniform(0.01),
    "normal_0.01": initializers.normal(0.01),
    "truncated_normal_0.02": initializers.truncated_normal(0.02),
    "truncated_normal": initializers.truncated_normal(0.5, lower=-1.0, upper=3.0),
    "variance_scaling_2_fan_out_uniform": initializers.variance_scaling(2.0, "fan_out", "uniform"),
    "geometric mean": initializers.variance_scaling(0.7, "fan_geo_avg", "normal"),
    "glorot_uniform": initializers.glorot_uniform(),
    "glorot_normal": initializers.glorot_normal(),
    "lecun_uniform": initializers.lecun_uniform(batch_axis=0),
    "lecun_normal": initializers.lecun_normal(in_axis=(0, -2)),
    "he_uniform": initializers.he_uniform(),
    "he_normal": initializers.he_normal(in_axis=1, out_axis=0),
    "orthogonal": initializers.orthogonal(),
    "orthogonal rows": initializers.orthogonal(2.0, column_axis=0),
    "torch_uniform": initializers.torch_uniform(),
    "torch_uniform of a bias": initializers.torch_uniform(fan_in=5),
}
initialisers = pytest.mark.parametrize("init", INITIALIZERS.values(), ids=INITIALIZERS)

GOLDEN = golden.load("initializers")["rows"]
BY_NAME = {
    "normal_0.01": initializers.normal(0.01),
    "uniform_0.01": initializers.uniform(0.01),
    "truncated_normal_0.02": initializers.truncated_normal(0.02),
    "variance_scaling_2_fan_out_uniform": initializers.variance_scaling(2.0, "fan_out", "uniform"),
}

# The values of JAX 0.10.2 with key 42 and jax_enable_x64.
JAX = {
    "he_normal of another layout": (
        initializers.he_normal(in_axis=1, out_axis=0),
        (5, 2, 3, 2),
        [[[[-0.0817854153355917, -0.8287528309166402], [0.08276903100557824, 0.2696269883580786]]]],
    ),
    "glorot_uniform of two inner axes": (
        initializers.glorot_uniform(in_axis=(0, 1)),
        (2, 3, 2),
        [[[-0.12691157735656172, -0.840027200758773], [0.12842189889961422, 0.3980580059782544]]],
    ),
    "lecun_uniform of a stack": (
        initializers.lecun_uniform(batch_axis=0),
        (2, 3, 2),
        [[[-0.14654486670018185, -0.9699798609693708], [0.14828883579907037, 0.45963779380926173]]],
    ),
    "geometric mean": (
        initializers.variance_scaling(0.7, "fan_geo_avg", "normal"),
        (2, 3),
        [[-0.0987428639169667, -1.1599408092000145, 0.09993166229818752]],
    ),
    "orthogonal rows": (
        initializers.orthogonal(2.0, column_axis=0),
        (3, 2, 2),
        [[[-0.3791635481545499, 1.2568161533923843], [0.7613059113751787, -1.3027131186980625]]],
    ),
    "truncated_normal": (
        initializers.truncated_normal(0.5, lower=-1.0, upper=3.0),
        (3,),
        [0.021443521689224986, -0.4745917716033025, 0.18047770142786837],
    ),
}


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['name']} {row['shape']}")
def test_values_of_jax(row):
    init = BY_NAME.get(row["name"]) or getattr(initializers, row["name"])()
    made, expected = init(random.key(row["seed"]), row["shape"]), torch.tensor(row["values"])
    if "uniform" in row["name"]:
        assert torch.equal(made, expected)
    else:
        assert_close(made, expected, rtol=0.0 if "orthogonal" in row["name"] else 5e-7, atol=5e-7)


@pytest.mark.parametrize("init, shape, expected", JAX.values(), ids=JAX)
def test_values_of_jax_in_float64(init, shape, expected):
    made, expected = init(random.key(42), shape, f64), torch.tensor(expected, dtype=f64)
    corner = made[tuple(slice(size) for size in expected.shape)]
    assert_close(corner, expected, rtol=1e-13, atol=1e-14)


def test_values_of_jax_in_bfloat16():
    made = initializers.lecun_normal()(random.key(42), (2, 3), torch.bfloat16)
    assert made.tolist() == [[0.255859375, 0.76171875, 1.2890625], [0.73828125, -1.0390625, 0.76171875]]


@initialisers
@pytest.mark.parametrize("dtype", [f32, f64])
def test_shape_dtype_and_device_are_as_requested(init, dtype):
    made = init(random.key(3), (4, 3, 2), dtype)
    assert made.shape == (4, 3, 2) and made.dtype == dtype and made.is_contiguous()
    assert torch.equal(made, init(random.key(3), [4, 3, 2], dtype, device="cpu"))
    assert init(random.key(3), (4, 3, 2), dtype, device="meta").device.type == "meta"


@initialisers
def test_vmap_over_keys_is_a_loop(init):
    keys = random.split(random.key(1), 4)
    batched = fn.vmap(lambda key: init(key, (4, 3, 2), f64))(keys)
    assert_close(batched, torch.stack([init(key, (4, 3, 2), f64) for key in keys]), rtol=1e-12, atol=1e-12)


@initialisers
def test_initialisers_pickle_and_print(init):
    copy = pickle.loads(pickle.dumps(init))
    assert torch.equal(copy(random.key(0), (3, 4, 2)), init(random.key(0), (3, 4, 2)))
    assert "lambda" not in repr(init) and "locals" not in repr(init)


@initialisers
def test_empty_parameters(init):
    for shape in ((0, 2), (3, 0, 2)):
        assert init(random.key(0), shape).shape == shape


@pytest.mark.parametrize("shape, in_fan, out_fan", [((300, 500), 300, 500), ((3, 5, 40, 60), 600, 900)])
@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal"])
def test_the_variance_is_scale_divided_by_fan(shape, in_fan, out_fan, distribution):
    fans = {"fan_in": in_fan, "fan_out": out_fan, "fan_avg": (in_fan + out_fan) / 2}
    for mode, fan in {**fans, "fan_geo_avg": math.sqrt(in_fan * out_fan)}.items():
        made = initializers.variance_scaling(1.7, mode, distribution)(random.key(0), shape, f64)
        assert made.var().item() == pytest.approx(1.7 / fan, rel=0.05)
        assert made.mean().item() == pytest.approx(0.0, abs=5 * math.sqrt(1.7 / fan / made.numel()))


@pytest.mark.parametrize(
    "shape, column_axis", [((5, 3), -1), ((3, 5), -1), ((4, 4), 1), ((2, 3, 4), 1), ((3, 2, 2), 0)]
)
def test_orthogonal_columns_or_rows(shape, column_axis):
    made = initializers.orthogonal(3.0, column_axis)(random.key(2), shape, f64)
    w = made.movedim(column_axis, -1).reshape(-1, shape[column_axis])
    product = w.mT @ w if w.shape[0] >= w.shape[1] else w @ w.mT
    assert_close(product, 9 * torch.eye(len(product), dtype=f64))


def test_orthogonal_matrices_are_uniform():
    rotations = fn.vmap(lambda key: initializers.orthogonal()(key, (2, 2)))(random.split(random.key(0), 4000))
    assert rotations.mean(0).abs().max() < 5 * math.sqrt(0.5 / 4000)
    assert torch.linalg.det(rotations).sign().mean().abs() < 5 / math.sqrt(4000)


@pytest.mark.parametrize("fan_in, fan_out", [(2, 2000), (100, 50)])
def test_torch_uniform_equals_the_default_of_torch(fan_in, fan_out):
    linear = torch.nn.Linear(fan_in, fan_out)
    weights = initializers.torch_uniform()(random.key(0), (fan_in, fan_out))
    biases = initializers.torch_uniform(fan_in=fan_in)(random.key(1), (fan_out,))
    for ours, theirs in ((weights, linear.weight), (biases, linear.bias)):
        assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.1)
        assert ours.abs().max() <= 1 / math.sqrt(fan_in)
        assert ours.std().item() == pytest.approx(1 / math.sqrt(3 * fan_in), rel=0.15)


def test_hyper_parameters_may_be_tensors():
    key, scales = random.key(0), torch.tensor([0.5, 2.0], dtype=f64)
    for build in (
        initializers.constant,
        initializers.uniform,
        initializers.normal,
        initializers.truncated_normal,
        lambda scale: initializers.variance_scaling(scale, "fan_in", "truncated_normal"),
        initializers.orthogonal,
    ):
        swept = fn.vmap(lambda scale, build=build: build(scale)(key, (3, 2), f64))(scales)
        assert swept.dtype == f64
        assert_close(swept, torch.stack([build(scale)(key, (3, 2), f64) for scale in (0.5, 2.0)]), rtol=1e-12, atol=0.0)


def test_keys_are_needed_and_differ():
    init = initializers.lecun_normal()
    a, b = (init(key, (3, 2)) for key in random.split(random.key(0)))
    assert not torch.equal(a, b)
    with pytest.raises(TypeError, match=r"random.truncated_normal: expected a key"):
        init(torch.zeros(3), (3, 2))


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda key: initializers.lecun_normal()(key, (3,)),
            r"initializers.variance_scaling: expected a shape with axes \(-2,\), got \(3,\), .* torch_uniform\(fan_in=",
        ),
        (
            lambda key: initializers.torch_uniform()(key, (3,)),
            r"initializers.torch_uniform: expected a shape with axes",
        ),
        (
            lambda key: initializers.he_normal(in_axis=3)(key, (3, 2)),
            r"expected a shape with axes \(3,\), got \(3, 2\)",
        ),
        (
            lambda key: initializers.orthogonal()(key, (3,)),
            r"initializers.orthogonal: expected a shape of at least two",
        ),
        (
            lambda key: initializers.variance_scaling(1.0, "fan", "normal"),
            r"initializers.variance_scaling: expected mode to be one of 'fan_in', .*, got 'fan'",
        ),
        (
            lambda key: initializers.variance_scaling(-1.0, "fan_in", "normal"),
            r"initializers.variance_scaling: expected a scale of at least 0, got -1.0",
        ),
        (
            lambda key: initializers.variance_scaling(1.0, "fan_in", "gaussian"),
            r"expected distribution to be one of 'truncated_normal', 'normal', 'uniform', got 'gaussian'",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(random.key(0))
