"""Draws in C: the same numbers as the torch operations, only where no transformation or trace needs to see them."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from random_draws import DRAWS, SAMPLERS, f16, f32, f64, threefry

import funcnet as fn
from funcnet import random
from funcnet._torch import DispatchMode
from funcnet.compiler.errors import NoCompilerError
from funcnet.compiler.native import toolchain
from funcnet.random import generator, native, special

BLOCK = generator._BLOCK
LARGE = {
    "words": lambda key: random.bits(key, BLOCK + 1).view(torch.int32),
    "uniform": lambda key: random.uniform(key, 2 * BLOCK + 3),
    "normal": lambda key: random.normal(key, (3, BLOCK)),
    "normal, float64": lambda key: random.normal(key, BLOCK - 1, f64),
    "normal, float16": lambda key: random.normal(key, 1000, f16),
    "gumbel": lambda key: random.gumbel(key, BLOCK + 1),
    "truncated_normal": lambda key: random.truncated_normal(key, -9.0, 9.0, BLOCK + 1),
    "randint": lambda key: random.randint(key, BLOCK + 1, -5, 12345),
    "randint of all": lambda key: random.randint(key, 1000, -(2**31), 2**31),
    "randint, wide": lambda key: random.randint(key, 1000, -(2**31), 2**31 - 1),
    "randint, int8": lambda key: random.randint(key, 1000, -7, 1000, torch.int8),
    "randint, uint32": lambda key: random.randint(key, 1000, 3, 2**33, torch.uint32).view(torch.int32),
    "permutation of none": lambda key: random.permutation(key, 0),
    "permutation of one": lambda key: random.permutation(key, 1),
    "a large permutation": lambda key: random.permutation(key, 300_000),
}


def without_loops(draw):
    """Return a draw that runs in no compiled loop, which rounds otherwise."""

    def run(key):
        with fn.disable_jit():
            return draw(key, f32)

    return run


FUNCTIONS = {**DRAWS, **LARGE, **{name: without_loops(draw) for name, draw in SAMPLERS.items()}}


@pytest.fixture
def calls(monkeypatch):
    """The names of the functions in C that a test calls."""
    names, call = [], native.call
    monkeypatch.setattr(native, "call", lambda f, *args: (names.append(f.__name__), call(f, *args))[1])
    return names


def in_c(monkeypatch, f):
    with monkeypatch.context() as patch:
        patch.setattr(native, "_ENOUGH", 0)
        return f()


def in_torch(monkeypatch, f):
    with monkeypatch.context() as patch:
        patch.setattr(native, "_ENOUGH", math.inf)
        return f()


@pytest.mark.parametrize("draw", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_numbers_in_c_are_those_of_torch_bit_for_bit(draw, monkeypatch, calls):
    expected = in_torch(monkeypatch, lambda: draw(random.key(6)))
    assert not calls
    drawn = in_c(monkeypatch, lambda: draw(random.key(6)))
    assert calls or draw in (DRAWS["key_data"], LARGE["permutation of none"], LARGE["permutation of one"])
    assert drawn.dtype == expected.dtype and torch.equal(drawn.nan_to_num(7.0), expected.nan_to_num(7.0))


@pytest.mark.parametrize("function", [special.normal_quantile, special.log])
@pytest.mark.parametrize("dtype", [f32, f64])
def test_special_functions_in_c_are_those_of_torch_bit_for_bit(function, dtype, monkeypatch):
    tiny = torch.finfo(dtype).tiny
    ends = torch.tensor([0.0, tiny, 2 * tiny, tiny / 4, 0.5, 1 - torch.finfo(dtype).eps / 2, 1.0], dtype=dtype)
    others = torch.tensor([1.5, 88.0, torch.finfo(dtype).max], dtype=dtype)
    inside = torch.linspace(0, 1, 1001, dtype=dtype)
    x = torch.cat([ends, inside, others] if function is special.log else [ends, -ends, inside, -inside])
    assert torch.equal(*(run(monkeypatch, lambda: function(x)) for run in (in_torch, in_c)))
    assert torch.equal(function(x.reshape(1, -1)[:, ::3]), function(x)[None, ::3])


def test_log_is_that_of_torch_up_to_rounding():
    x = torch.cat([torch.logspace(-37, 38, 5001), torch.linspace(0.5, 2.0, 5001)])
    error = (special.log(x).double() - x.double().log()).abs()
    assert (error <= 1.2e-7 * x.double().log().abs().clamp(min=1e-3)).all() and special.log(torch.zeros(1)) == -math.inf


def test_erf_is_that_of_torch_up_to_rounding():
    x = torch.cat([torch.linspace(-6.0, 6.0, 5001), torch.tensor([math.inf, -math.inf])])
    error = special.erf(x).double() - torch.erf(x.double())
    assert error.abs().max() < 3e-7
    gradient = fn.grad(lambda x: special.erf(x).sum())(torch.tensor([-1.0, 0.0, 0.5, 2.0]))
    expected = 2 / math.sqrt(math.pi) * torch.exp(-(torch.tensor([-1.0, 0.0, 0.5, 2.0]) ** 2))
    assert torch.allclose(gradient, expected, rtol=1e-4)


@pytest.mark.parametrize("start", [0, 2**32 - 8, 2**32, 2**63 - 8])
def test_counters_in_c_have_64_bits(start, monkeypatch):
    library = in_c(monkeypatch, lambda: native.library(random.key(0), 1))
    pairs = generator._native(library, generator.PAIRS, random.key(-3), start, 8)
    expected = [list(threefry((0, -3), counter)) for counter in range(start, start + 8)]
    assert random.key_data(pairs).tolist() == expected


def test_keys_may_be_any_view(monkeypatch):
    keys = random.split(random.key(0), (2, 3))
    strided = keys.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    drawn = in_c(monkeypatch, lambda: random.bits(strided[1, 2], 3))
    assert torch.equal(drawn, random.bits(keys[1, 2], 3))


def test_the_first_draws_do_not_load_the_library(monkeypatch, calls):
    monkeypatch.setattr(native, "_draws", 0.0)
    for i in range(100):
        random.normal(random.key(i), 100)
    assert not calls and 100 <= native._draws < 110
    random.normal(random.key(0), 2_000_000)
    random.normal(random.key(0), 3)
    assert calls


def test_draws_are_in_c_after_modes_of_two_threads_overlapped(monkeypatch, calls):
    def enter(first, second):
        with DispatchMode():
            first.set()
            second.wait()

    started, ended = threading.Event(), threading.Event()
    with ThreadPoolExecutor() as threads:
        outer = threads.submit(enter, started, ended)
        started.wait()
        with DispatchMode():
            ended.set()
            outer.result()
    in_c(monkeypatch, lambda: random.normal(random.key(0), 5))
    assert calls


def test_without_a_c_compiler_draws_are_torch_operations(monkeypatch, calls):
    def load(text):
        raise NoCompilerError("there is none")

    expected = random.normal(random.key(1), 5)
    monkeypatch.setattr(toolchain, "load", load)
    native._library.cache_clear()
    del calls[:]
    try:
        assert torch.equal(in_c(monkeypatch, lambda: random.normal(random.key(1), 5)), expected)
    finally:
        native._library.cache_clear()
    assert not calls


def test_draws_inside_of_transformations_and_traces_are_torch_operations(monkeypatch, calls):
    monkeypatch.setattr(native, "_ENOUGH", 0)
    key, keys = random.key(0), random.split(random.key(0), 3)
    del calls[:]
    fn.vmap(lambda key: random.normal(key, 3))(keys)
    fn.grad(lambda x: (x * random.normal(key, 3)).sum())(torch.ones(3))
    fn.jit(lambda x: x * random.normal(key, 3))(torch.ones(3))
    random.normal(random.key(0, device="meta"), 3)
    assert not calls


def test_a_gradient_reaches_the_bounds_of_a_draw(monkeypatch):
    bound = torch.tensor(1.5, requires_grad=True)
    in_c(monkeypatch, lambda: random.truncated_normal(random.key(0), -bound, bound, 100)).square().sum().backward()
    slope = fn.grad(lambda b: random.truncated_normal(random.key(0), -b, b, 100).square().sum())(bound.detach())
    assert torch.allclose(bound.grad, slope)
