"""Samplers in compiled loops: the numbers of torch operations up to rounding, for all shapes and transformations."""

import warnings

import pytest
import torch
from random_draws import SAMPLERS, f64
from torch.testing import assert_close

import funcnet as fn
from funcnet import random
from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import toolchain
from funcnet.random import compiled, native

KEY = random.key(8)
SHAPE = torch.tensor([0.3, 2.0, 40.0])
LOOPS = {
    "gamma": lambda key, n: random.gamma(key, SHAPE, (n, 3)),
    "loggamma": lambda key, n: random.loggamma(key, SHAPE, (n, 3)),
    "t": lambda key, n: random.t(key, SHAPE, (n, 3)),
    "generalized_normal": lambda key, n: random.generalized_normal(key, torch.tensor([0.7, 2.0, 5.0]), (n, 3)),
    "poisson": lambda key, n: random.poisson(key, 5 * SHAPE, (n, 3)),
    "binomial": lambda key, n: random.binomial(key, 50 * SHAPE, torch.tensor([0.5, 0.01, 0.9]), (n, 3)),
}
loops = pytest.mark.parametrize("draw", LOOPS.values(), ids=LOOPS)


@pytest.fixture
def built(monkeypatch):
    """The functions whose kernels are built in a test, which begins without any."""
    names, build = [], compiled._built
    monkeypatch.setattr(compiled, "_kernels", {})
    monkeypatch.setattr(compiled, "_built", lambda f, *rest: (names.append(f.__name__), build(f, *rest))[1])
    return names


def in_torch(draw):
    with fn.disable_jit():
        return draw()


@loops
@pytest.mark.parametrize("n", [0, 1, 40])
def test_numbers_are_those_of_torch_operations_up_to_rounding(draw, n):
    drawn = draw(KEY, n)
    assert drawn.shape == (n, 3) and drawn.is_contiguous()
    assert_close(drawn, in_torch(lambda: draw(KEY, n)), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [f64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["gamma", "loggamma", "beta", "binomial"])
def test_numbers_of_other_dtypes_are_those_of_torch_operations_up_to_rounding(name, dtype):
    rounding = 64 * torch.finfo(dtype).eps
    expected = in_torch(lambda: SAMPLERS[name](KEY, dtype))
    assert_close(SAMPLERS[name](KEY, dtype), expected, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("draw", [random.gamma, random.loggamma])
def test_a_number_depends_on_its_key_and_parameter_only(draw):
    a = torch.linspace(0.1, 3.0, 100)
    drawn = draw(KEY, a)
    for n in (1, 7, 50):
        assert torch.equal(draw(KEY, a[:n]), drawn[:n])


@pytest.mark.parametrize("draw", [random.poisson, lambda key, mean: random.binomial(key, 10 * mean, 0.1)])
def test_small_counts_do_not_depend_on_large_ones(draw):
    small, large = torch.full((40,), 4.0), torch.full((40,), 300.0)
    drawn = draw(KEY, torch.cat([small, large]))
    assert torch.equal(draw(KEY, small), drawn[:40])
    assert_close(in_torch(lambda: draw(KEY, torch.cat([small, large]))), drawn)


@loops
def test_transformations_do_not_change_the_numbers(draw):
    keys = random.split(KEY, (2, 3))
    looped = torch.stack([torch.stack([draw(key, 2) for key in row]) for row in keys])
    assert torch.equal(fn.vmap(fn.vmap(lambda key: draw(key, 2)))(keys), looped)
    assert torch.equal(fn.vmap(fn.vmap(lambda key: draw(key, 2), 0, 1), 1, 2)(keys).permute(1, 2, 0, 3), looped)
    _, drawn = fn.grad(lambda x: (x, draw(keys[0, 0], 2)), has_aux=True)(torch.tensor(1.0))
    assert torch.equal(drawn, looped[0, 0])
    drawn, tangent = fn.jvp(lambda x: x * draw(keys[0, 0], 2), (torch.tensor(1.0),), (torch.tensor(1.0),))
    assert torch.equal(tangent, drawn)
    with torch.inference_mode():
        assert torch.equal(draw(keys[0, 0], 2), looped[0, 0])


def test_one_kernel_serves_all_shapes(built):
    for shape in ((), (5,), (0,), (2, 3)):
        random.gamma(KEY, 2.0, shape)
        random.chisquare(KEY, torch.tensor(3.0), shape)
        random.t(KEY, 3.0, shape)
    fn.vmap(lambda key: random.gamma(key, 2.0))(random.split(KEY))
    assert sorted(built) == ["_gamma", "_loggamma", "_t"]


def test_the_first_draw_may_be_inside_of_a_transformation(built):
    def draw(a):
        with torch.no_grad():
            return a * random.gamma(KEY, 2.0, 3)

    expected = in_torch(lambda: random.gamma(KEY, 2.0, 3))
    drawn = fn.vmap(fn.grad(lambda a: draw(a).sum()))(torch.ones(2))
    assert built and torch.equal(drawn, torch.zeros(2))
    assert_close(random.gamma(KEY, 2.0, 3), expected)


def test_traces_and_disable_jit_see_torch_operations(built):
    expected = in_torch(lambda: random.gamma(KEY, 2.0, 3))
    assert_close(fn.jit(lambda key: random.gamma(key, 2.0, 3))(KEY), expected)
    assert fn.eval_shape(lambda: random.gamma(KEY, 2.0, 3)).shape == (3,)
    assert not built


@pytest.mark.parametrize("error", [NoCompilerError("there is none"), InternalError("the text is wrong")])
def test_without_a_kernel_draws_are_torch_operations(error, built, monkeypatch):
    def load(text):
        raise error

    expected = in_torch(lambda: LOOPS["poisson"](KEY, 2))
    native._library()  # that of plain draws is loaded once per process
    monkeypatch.setattr(toolchain, "load", load)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert torch.equal(LOOPS["poisson"](KEY, 2), expected) and torch.equal(LOOPS["poisson"](KEY, 2), expected)
    assert len(built) == 1 and len(caught) == isinstance(error, InternalError)
