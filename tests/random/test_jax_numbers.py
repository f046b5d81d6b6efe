"""The numbers are those of JAX 0.10.2: bit for bit, or up to rounding where XLA rounds log and erf differently."""

import math

import golden
import pytest
import torch
from torch.testing import assert_close

from funcnet import random
from funcnet.random.special import erfinv

ROWS = golden.load("random")["rows"]
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"seed {row['seed']}")

LOGITS = torch.tensor([[0.1, 2.0, -1.0], [1.0, 0.0, 0.5]], dtype=torch.float64)
MATRIX = torch.arange(12.0).reshape(3, 4)
f16, b16, f32, f64 = torch.float16, torch.bfloat16, torch.float32, torch.float64

# name: (a function of key 42, the numbers of JAX 0.10.2), with jax_enable_x64 for the 64-bit dtypes.
JAX = {
    "uint8": (lambda key: random.bits(key, 4, torch.uint8), [162, 217, 249, 215]),
    "uint16": (lambda key: random.bits(key, 4, torch.uint16), [5026, 12505, 63993, 49623]),
    "uint64": (
        lambda key: random.bits(key, 3, torch.uint64),
        [7871734211187709741, 276886910877598708, 10591095138341673235],
    ),
    "uniform, float64": (
        lambda key: random.uniform(key, 3, f64),
        [0.4267275666499091, 0.015010069515314584, 0.5741444178995352],
    ),
    "uniform, float16": (lambda key: random.uniform(key, 3, f16), [0.076171875, 0.1904296875, 0.9755859375]),
    "uniform, bfloat16": (lambda key: random.uniform(key, 3, b16), [0.6328125, 0.84375, 0.96875]),
    "uniform on (-2, 3), float16": (
        lambda key: random.uniform(key, 3, f16, -2.0, 3.0),
        [-1.619140625, -1.0478515625, 2.87890625],
    ),
    "uniform on (-2, 3), bfloat16": (lambda key: random.uniform(key, 3, b16, -2, 3), [1.15625, 2.21875, 2.84375]),
    "uniform between tensors": (
        lambda key: random.uniform(key, (2, 3), f32, torch.tensor([[0.1], [5.0]]), torch.tensor([1.0, 2.0, 3.0])),
        [[0.5398386120796204, 1.391614556312561, 1.8871873617172241], [5.0, 5.0, 5.0]],
    ),
    "normal, float16": (
        lambda key: random.normal(key, 6, f16),
        [-1.4296875, -0.87548828125, 1.974609375, 0.69677734375, -0.1270751953125, -0.501953125],
    ),
    "normal, bfloat16": (
        lambda key: random.normal(key, 7, b16),
        [0.34375, 1.015625, 1.890625, 0.984375, -1.40625, 1.015625, 0.2412109375],
    ),
    "truncated_normal, bfloat16": (
        lambda key: random.truncated_normal(key, -1.0, 2.5, 3, b16),
        [0.482421875, 1.1015625, 1.8359375],
    ),
    "the least truncated normals": (  # the first is for u = -1, whose erfinv is infinite
        lambda key: random.truncated_normal(key, -9.0, 0.5, 300, b16).sort().values[:2],
        [-8.9375, -2.515625],
    ),
    "gumbel, float16": (lambda key: random.gumbel(key, 3, f16), [-0.9453125, -0.505859375, 3.69921875]),
    "bernoulli": (
        lambda key: random.bernoulli(key, torch.tensor([[0.2], [0.9]], dtype=f64), (2, 5)),
        [[False, True, False, False, False], [True] * 5],
    ),
    "categorical along 0": (lambda key: random.categorical(key, LOGITS, 0), [1, 1, 1]),
    "categorical along 0 to a shape": (
        lambda key: random.categorical(key, LOGITS, 0, (2, 3)),
        [[1, 1, 1], [0, 0, 1]],
    ),
    "categorical along 1 to a shape": (
        lambda key: random.categorical(key, LOGITS, 1, (4, 2)),
        [[1, 0], [1, 0], [1, 2], [1, 2]],
    ),
    "categorical, float32": (
        lambda key: random.categorical(key, LOGITS.to(f32), shape=(3, 2)),
        [[1, 0], [1, 0], [1, 0]],
    ),
    "slices": (
        lambda key: random.permutation(key, MATRIX, 1),
        [[2.0, 3.0, 0.0, 1.0], [6.0, 7.0, 4.0, 5.0], [10.0, 11.0, 8.0, 9.0]],
    ),
    "lines along 1": (
        lambda key: random.permutation(key, MATRIX, 1, independent=True),
        [[2.0, 3.0, 0.0, 1.0], [7.0, 4.0, 5.0, 6.0], [10.0, 11.0, 8.0, 9.0]],
    ),
    "lines along 0": (
        lambda key: random.permutation(key, MATRIX, 0, independent=True),
        [[4.0, 5.0, 2.0, 7.0], [8.0, 9.0, 6.0, 3.0], [0.0, 1.0, 10.0, 11.0]],
    ),
    "a permutation of two rounds": (
        lambda key: random.permutation(key, 5000)[:8],
        [3825, 3150, 2972, 2921, 1203, 2981, 4024, 2362],
    ),
    "a permutation with equal words in its rounds": (
        lambda key: (random.permutation(key, 300_000) * torch.arange(300_000) % 1_000_003).sum(),
        150048609370,
    ),
    "randint between tensors": (
        lambda key: random.randint(key, (2, 3), torch.tensor([[0], [-7]]), torch.tensor([4, 100, 1000])),
        [[0, 14, 71], [1, 45, 178]],
    ),
}

# dtype, minval, maxval, JAX's numbers with key 42: narrow and unsigned dtypes, a dtype's full range and more, ranges
# beyond 2^16, 2^32 and 2^63, and empty ones.
JAX_RANDINT = [
    (torch.int8, -128, 127, [61, -119, -122, -109, 66]),
    (torch.int8, -128, 1000, [68, -110, 55, 65, 13]),
    (torch.uint8, 3, 250, [53, 145, 28, 220, 18]),
    (torch.int16, -5, 30000, [28659, 22104, 29241, 20924, 21949]),
    (torch.uint16, 0, 70000, [13508, 45074, 33975, 48321, 49805]),
    (torch.int32, 0, 100000, [94276, 65362, 71127, 88417, 79021]),
    (torch.int32, -(2**31), 2**31 - 1, [977810628, 1236381714, -1367112521, -1019495231, -1671904627]),
    (torch.int32, -(2**31), 2**40, [977810628, 1236381714, -1367112521, -1019495231, -1671904627]),
    (torch.int32, 7, 7, [7] * 5),
    (torch.int32, 7, 3, [7] * 5),
    (torch.uint32, 5, 2**33, [3125294281, 3383865367, 780371132, 1127988422, 475579026]),
    (torch.int64, 0, 10, [5, 8, 3, 1, 5]),
    (torch.int64, 0, 2**32 + 1, [1236808517, 3113316371, 310543479, 3201672002, 4088873590]),
    (torch.int64, -(2**62), 2**62 + 1, [-145378591231461836, -3741815450302687555, -3506958169482507113]),
    (torch.int64, -(2**63), 2**63 - 1, [4466307427195926069, 869870568124700350, -8118644187909895017]),
    (torch.uint64, 1, 2**63 - 1, [4466307427195926072, 869870568124700353, 1104727848944880792]),
]

# Samples that are not equal bit for bit, because XLA rounds log, log1p, erf and fused products differently.
JAX_CLOSE = {
    "uniform on (-2, 3), float64": (
        lambda key: random.uniform(key, 3, f64, -2.0, 3.0),
        [0.13363783324954537, -1.924949652423427, 0.8707220894976759],
    ),
    "normal, float64": (
        lambda key: random.normal(key, 5, f64),
        [-0.18471174528191162, -2.169824560397754, 0.18693555179382582, 0.6122653570510959, 0.4896249504757018],
    ),
    "truncated_normal, float64": (
        lambda key: random.truncated_normal(key, -1.0, 2.5, 3, f64),
        [0.03768458020444976, -0.9494704797972219, 0.3535005686402882],
    ),
    "truncated_normal between tensors": (
        lambda key: random.truncated_normal(key, torch.tensor([-1.0, 0.0]), torch.tensor([[1.0], [math.inf]])),
        [[-0.01932193711400032, 0.6190102696418762], [0.45974966883659363, 0.7739101052284241]],
    ),
    "truncated_normal, wide": (
        lambda key: random.truncated_normal(key, -8.0, 8.0, 3),
        [-0.0283046904951334, 0.46713176369667053, 0.29570287466049194],
    ),
    "exponential, float64": (
        lambda key: random.exponential(key, 3, f64),
        [0.5563942243855916, 0.015123860720489336, 0.8536549993431988],
    ),
    "gumbel, float64": (
        lambda key: random.gumbel(key, 3, f64),
        [0.16062720630382138, -1.4348544993307841, 0.5890136500161952],
    ),
}


# u, and XLA's erf_inv(u): the centre, both sides of the boundaries between pieces, and the tails.
ERFINV = {
    f32: {
        0.001: 0.0008862271206453443,
        -0.3: -0.27246275544166565,
        0.7: 0.7328690886497498,
        -0.995: -1.9848722219467163,
        0.9967: 2.0777032375335693,
        0.9995: 2.4612553119659424,
        -0.99999: -3.1232049465179443,
        0.9999999: 3.7439212799072266,
    },
    f64: {
        0.001: 0.0008862271574665522,
        -0.3: -0.2724627147267544,
        0.7: 0.7328690779592166,
        -0.98: -1.6449763571331868,
        0.999: 2.3267537655135273,
        0.99999: 3.123413274341634,
        -0.9999999: -3.766562581633336,
        0.99999995: 3.854658576947417,
        -0.9999999999: -4.57282495853958,
        0.9999999999999: 5.261483331372671,
        -(1 - 2**-53): -5.863584748755167,
    },
}


def ulps(a, b):
    """Return the largest distance of two tensors of the same floating-point dtype in units in the last place."""
    integer = {f32: torch.int32, f64: torch.int64}[a.dtype]
    return (a.view(integer).long() - b.view(integer).long()).abs().max().item()


def unsigned(keys):
    return random.key_data(keys).tolist()


@rows
def test_keys_bits_integers_and_uniforms_are_those_of_jax(row):
    key = random.key(row["seed"])
    assert unsigned(key) == row["key_data"]
    assert unsigned(random.split(key)) == row["split_2"]
    assert unsigned(random.split(key, 5)) == row["split_5"]
    assert unsigned(random.split(key, (2, 3))) == row["split_2x3"]
    for case in row["fold_in"]:
        assert unsigned(random.fold_in(key, case["data"])) == case["key_data"]
    for case in row["bits_uint32"]:
        assert random.bits(key, case["shape"]).tolist() == case["values"]
    for case in row["uniform"]:
        assert torch.equal(random.uniform(key, case["shape"]), torch.tensor(case["values"]))
    assert torch.equal(random.uniform(key, 9, minval=-2.0, maxval=3.0), torch.tensor(row["uniform_minus2_3"]))
    assert random.bernoulli(key, 0.3, 16).int().tolist() == row["bernoulli_0.3"]
    assert random.randint(key, 16, 0, 10).tolist() == row["randint_0_10"]
    assert random.randint(key, 16, -5, 1000).tolist() == row["randint_m5_1000"]
    assert random.permutation(key, 11).tolist() == row["permutation_11"]
    logits = torch.tensor(row["categorical"]["logits"])
    assert random.categorical(key, logits, shape=12).tolist() == row["categorical"]["values"]


@rows
def test_normals_are_those_of_jax_up_to_rounding(row):
    key = random.key(row["seed"])
    for case in row["normal"]:
        assert ulps(random.normal(key, case["shape"]), torch.tensor(case["values"])) <= 2
    assert ulps(random.truncated_normal(key, -2.0, 2.0, 9), torch.tensor(row["truncated_normal_m2_2"])) <= 2
    assert ulps(random.exponential(key, 5), torch.tensor(row["exponential"])) <= 2
    assert_close(random.gumbel(key, 5), torch.tensor(row["gumbel"]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("draw, expected", JAX.values(), ids=JAX)
def test_values_of_jax(draw, expected):
    assert draw(random.key(42)).tolist() == expected


@pytest.mark.parametrize("dtype, minval, maxval, expected", JAX_RANDINT)
def test_integers_of_jax(dtype, minval, maxval, expected):
    drawn = random.randint(random.key(42), 5, minval, maxval, dtype)
    assert drawn.dtype == dtype
    assert drawn[: len(expected)].tolist() == expected


@pytest.mark.parametrize("draw, expected", JAX_CLOSE.values(), ids=JAX_CLOSE)
def test_values_of_jax_up_to_rounding(draw, expected):
    drawn = draw(random.key(42))
    tolerance = 4 * torch.finfo(drawn.dtype).eps
    assert_close(drawn, torch.tensor(expected, dtype=drawn.dtype), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [f32, f64])
def test_erfinv_equals_that_of_xla(dtype):
    u, expected = (torch.tensor(list(side), dtype=dtype) for side in (ERFINV[dtype], ERFINV[dtype].values()))
    assert ulps(erfinv(u), expected) <= 3
    assert erfinv(torch.tensor([-1.0, 0.0, 1.0], dtype=dtype)).tolist() == [-math.inf, 0.0, math.inf]
