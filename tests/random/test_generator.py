"""The generator against threefry in Python integers, and laws over a table of all functions of a key."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_draws import DRAWS, LOGITS, MATRIX, b16, f16, f32, f64, threefry
from torch.fx.experimental.proxy_tensor import make_fx
from torch.testing import assert_close

import funcnet as fn
from funcnet import random
from funcnet.random import generator

draws = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def unsigned(keys):
    return random.key_data(keys).tolist()


words = st.integers(-(2**31), 2**31 - 1)


@given(st.tuples(words, words), st.lists(st.integers(0, 5), max_size=4))
def test_a_draw_encrypts_the_counters(key, shape):
    encrypted = [threefry(key, i) for i in range(math.prod(shape))]
    drawn = torch.tensor(key, dtype=torch.int32)
    assert random.bits(drawn, shape).shape == tuple(shape)
    assert random.bits(drawn, shape).flatten().tolist() == [x ^ y for x, y in encrypted]
    assert random.bits(drawn, shape, torch.uint64).flatten().tolist() == [x << 32 | y for x, y in encrypted]
    assert random.split(drawn, shape).shape == (*shape, 2)
    assert random.key_data(random.split(drawn, shape)).reshape(-1, 2).tolist() == [list(pair) for pair in encrypted]


@given(st.tuples(words, words), st.integers(0, 2**63 - 9) | st.integers(2**32 - 8, 2**32))
def test_counters_have_64_bits(key, start):
    x, y = generator._encrypt(torch.tensor(key, dtype=torch.int32), start, start + 8)
    pairs = random.key_data(torch.stack((x, y), -1)).tolist()
    assert pairs == [list(threefry(key, counter)) for counter in range(start, start + 8)]


@given(st.integers(-(2**63), 2**64 - 1) | st.integers(-(2**31) - 2, 2**32 + 2), words)
def test_a_key_holds_the_words_of_its_seed(seed, data):
    fits = -(2**31) <= seed < 2**32  # then JAX's default, in which integers have 32 bits, has the same key
    seeded = [0 if fits else (seed >> 32) % 2**32, seed % 2**32]
    assert unsigned(random.key(seed)) == unsigned(random.PRNGKey(seed)) == seeded
    if seed < 2**63:
        assert unsigned(random.key(torch.tensor(seed))) == seeded
    if seed >= 0:
        assert unsigned(random.key(torch.tensor(seed, dtype=torch.uint64))) == seeded
    assert unsigned(random.fold_in(random.key(seed), data + 2**32)) == list(threefry(seeded, data % 2**32))


# with jax_enable_x64
JAX_SEEDS = {2**32: [1, 0], 2**40 + 5: [256, 5], -(2**40): [4294967040, 0], 2**63 - 1: [2147483647, 4294967295]}


@pytest.mark.parametrize("seed, expected", JAX_SEEDS.items())
def test_seeds_beyond_32_bits_give_the_keys_of_jax(seed, expected):
    assert unsigned(random.key(seed)) == unsigned(fn.jit(random.key)(seed)) == expected
    assert unsigned(fn.vmap(random.key)(torch.tensor([seed]))) == [expected]


def test_key_data_and_wrap_key_data_are_inverse():
    keys = random.split(random.key(3), (2, 2))
    assert torch.equal(random.wrap_key_data(random.key_data(keys)), keys)
    assert torch.equal(random.clone(keys), keys) and random.clone(keys) is not keys


@pytest.mark.parametrize("size", [-1, 0, 1, generator._BLOCK + 1])
def test_blocks_of_a_large_draw_fit_together(size):
    size += generator._BLOCK
    key = random.key(5)
    drawn = random.bits(key, size).tolist()
    assert len(drawn) == size
    for i in (0, 1, generator._BLOCK - 2, generator._BLOCK - 1, generator._BLOCK, 2 * generator._BLOCK, size - 1):
        if i < size:
            x, y = threefry((0, 5), i)
            assert drawn[i] == x ^ y


def test_blocks_take_their_part_of_the_parameters():
    shape, key = (3, generator._BLOCK // 2), random.key(3)
    low, high = torch.tensor([[-1.0], [0.0], [7.0]]), torch.linspace(8.0, 9.0, shape[1])
    unit = random.uniform(key, shape, f64, 0.0, 1.0)
    drawn = random.uniform(key, shape, f64, low, high)
    assert_close(drawn, unit * (high.double() - low.double()) + low.double())
    p = torch.linspace(0.0, 1.0, math.prod(shape)).reshape(shape)
    assert torch.equal(random.bernoulli(key, p), random.uniform(key, shape) < p)


def test_a_tensor_may_be_seed_and_data():
    for dtype in (torch.int32, torch.int64, torch.uint8, torch.uint32, torch.uint64):
        number = torch.tensor(7, dtype=dtype)
        assert torch.equal(random.key(number), random.key(7))
        assert torch.equal(random.fold_in(random.key(1), number), random.fold_in(random.key(1), 7))
    assert torch.equal(random.key(torch.tensor(-1)), random.key(2**32 - 1))
    seeds = torch.arange(-2, 3)
    assert torch.equal(fn.vmap(random.key)(seeds), torch.stack([random.key(int(seed)) for seed in seeds]))
    folded = fn.vmap(lambda data: random.fold_in(random.key(4), data))(seeds)
    assert torch.equal(folded, torch.stack([random.fold_in(random.key(4), int(data)) for data in seeds]))


@draws
def test_vmap_over_keys_is_a_loop(draw):
    keys = random.split(random.key(11), (2, 3))
    looped = torch.stack([torch.stack([draw(key) for key in row]) for row in keys])
    assert torch.equal(fn.vmap(fn.vmap(draw))(keys), looped)
    assert torch.equal(fn.vmap(fn.vmap(draw), in_dims=1)(keys), looped.transpose(0, 1))
    assert torch.equal(torch.func.vmap(draw)(keys[0]), looped[0])


def test_vmap_over_parameters():
    key, bounds = random.key(2), torch.tensor([0.5, 1.0, 2.0])
    for f in (
        lambda b: random.uniform(key, (4,), maxval=b),
        lambda b: random.truncated_normal(key, -b, b, (4,)),
        lambda b: random.bernoulli(key, b / 2, (4,)),
        lambda b: random.randint(key, (4,), 0, (10 * b).int()),
        lambda b: random.categorical(key, LOGITS * b),
        lambda b: random.permutation(key, MATRIX * b),
    ):
        assert torch.equal(fn.vmap(f)(bounds), torch.stack([f(b) for b in bounds]))


@draws
def test_draws_are_pure(draw):
    key, state = random.key(8), torch.get_rng_state()
    before = key.clone()
    first = draw(key)
    torch.manual_seed(1234)
    assert torch.equal(first, draw(key))
    assert torch.equal(key, before)
    assert not torch.equal(first, draw(random.key(9)))
    torch.manual_seed(0)
    seeded = torch.get_rng_state()
    draw(key)
    assert torch.equal(torch.get_rng_state(), seeded)
    torch.set_rng_state(state)


@draws
def test_torchs_default_dtype_does_not_matter(draw):
    expected = draw(random.key(8))
    torch.set_default_dtype(f64)
    try:
        drawn = draw(random.key(8))
    finally:
        torch.set_default_dtype(f32)
    assert drawn.dtype == expected.dtype and torch.equal(drawn, expected)


@draws
def test_the_device_is_that_of_the_key(draw):
    drawn = draw(random.key(0))
    assert drawn.device.type == "cpu"
    if not any(cell in draw.__code__.co_names for cell in ("LOGITS", "MATRIX", "LOW", "HIGH", "P")):
        remote = draw(random.key(0, device="meta"))
        assert (remote.shape, remote.dtype, remote.device.type) == (drawn.shape, drawn.dtype, "meta")


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", [f32, f64, f16, b16])
def test_shapes_of_no_and_one_element(shape, dtype):
    key = random.key(0)
    for f in (random.uniform, random.normal, random.exponential, random.gumbel):
        assert f(key, shape, dtype).shape == shape and f(key, shape, dtype).dtype == dtype
    assert random.truncated_normal(key, -1.0, 1.0, shape, dtype).dtype == dtype
    assert random.randint(key, shape, 0, 5).shape == random.bernoulli(key, 0.5, shape).shape == shape
    assert random.categorical(key, torch.zeros(*shape, 4)).shape == shape


@draws
def test_recorded_operations_are_pure_and_use_no_generator(draw):
    graph = make_fx(draw, tracing_mode="fake", _allow_non_fake_inputs=True)(random.key(0))
    rounding = 2e-6 if draw is DRAWS["gumbel"] else 0.0  # recorded with torch.log
    assert_close(graph(random.key(6)), draw(random.key(6)), rtol=rounding, atol=rounding)
    operations = [node.target for node in graph.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    assert operations or draw is DRAWS["key_data"]
    for operation in operations:
        assert not operation._schema.is_mutable
        assert torch.Tag.nondeterministic_seeded not in operation.tags


@pytest.mark.parametrize("sample", [random.bits, random.uniform, random.normal])
def test_a_recorded_large_draw_has_no_more_operations_than_a_small_one(sample):
    small, large = (make_fx(partial(sample, shape=size), tracing_mode="fake")(random.key(0)) for size in (3, 1_000_000))
    assert len(small.graph.nodes) == len(large.graph.nodes) < 200
    assert torch.equal(large(random.key(1)), sample(random.key(1), 1_000_000))


@pytest.mark.slow
def test_compiled_numbers_are_the_same():
    def f(key):
        first, second = random.split(key)
        folded = random.fold_in(first, second[0])
        return (
            random.bits(folded, (3,)).view(torch.int32),
            random.normal(folded, (2, 3)),
            random.randint(second, 5, 0, 9),
        )

    torch._dynamo.reset()
    integers, normals, others = torch.compile(f, fullgraph=True)(random.key(5))
    expected = f(random.key(5))
    assert torch.equal(integers, expected[0]) and torch.equal(others, expected[2])
    assert_close(normals, expected[1], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_a_large_draw_takes_little_memory():
    """Run in its own process, because the peak of this one may already be higher."""
    code = """if True:
        import re, torch, funcnet as fn
        def status(name):
            return 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read()).group(1))
        draws = [fn.random.uniform, lambda key, n: fn.random.truncated_normal(key, -2.0, 1.0, n)]
        for draw in draws:
            draw(fn.random.key(0), 100_000)
        start, size = status("VmRSS"), 16_000_000
        largest = max(draw(fn.random.key(0), size).nbytes for draw in draws)
        print((status("VmHWM") - start) / largest)
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux reports the peak memory of a process in this way")
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert 1.0 < float(run.stdout) < 4.0
