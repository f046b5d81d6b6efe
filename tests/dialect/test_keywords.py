"""Keywords of JAX's functions, the names that `dir` lists, and errors of functions that change no array."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import numpy as jnp

X = torch.tensor([1.5, -2.0], dtype=torch.float64)


def test_products_are_summed_in_a_wider_preferred_dtype():
    ones = torch.full((4096,), 1.0, dtype=torch.float16)
    assert jnp.dot(ones, ones, preferred_element_type=jnp.float32) == 4096
    assert jnp.dot(300 * ones, 300 * ones, preferred_element_type="float32") == 4096 * 90000  # infinite in float16
    assert fn.jit(lambda x: jnp.matmul(x, x, preferred_element_type=jnp.float32))(ones).dtype == torch.float32
    assert jnp.vecdot(ones, ones, preferred_element_type=jnp.float64).dtype == torch.float64


def test_holomorphic_functions_have_complex_derivatives():
    z = torch.tensor(0.5 - 1.5j, dtype=torch.complex128)
    assert_close(fn.grad(lambda z: torch.sin(z) * z, holomorphic=True)(z), torch.cos(z) * z + torch.sin(z))
    (value, aux), both = fn.value_and_grad(lambda z, w: (z**2 * w, 3), (0, 1), has_aux=True, holomorphic=True)(z, z)
    assert_close((value, both), (z**3, (2 * z * z, z**2)))
    assert aux == 3
    second = fn.jit(fn.grad(fn.grad(lambda z: z**3, holomorphic=True), holomorphic=True))
    assert_close(second(z), 6 * z)
    with pytest.raises(TypeError, match="grad: expected complex tensors, as holomorphic=True says, got float64 tensor"):
        fn.grad(torch.sum, holomorphic=True)(X)
    with pytest.raises(TypeError, match="grad: expected f to return a 0-d complex tensor, got float64 tensor"):
        fn.grad(torch.abs, holomorphic=True)(z)


def test_integers_have_no_gradient():
    n = torch.tensor([1, 2])
    assert fn.grad(lambda n: n.double().sum(), allow_int=True)(n) is None
    value, grads = fn.value_and_grad(lambda p, x: (p["n"] * x).sum(), (0, 1), allow_int=True)({"n": n}, X)
    assert value == -2.5 and grads[0] == {"n": None} and grads[1].tolist() == [1.0, 2.0]
    assert fn.grad(lambda x: (x.sum(), "aux"), has_aux=True, allow_int=True)(n) == (None, "aux")
    with pytest.raises(TypeError, match="expected a floating-point or complex tensor to differentiate"):
        fn.grad(lambda n: n.double().sum())(n)


def test_linearize_keeps_auxiliary_values():
    out, push, aux = fn.linearize(lambda x: (x.sin(), {"x": x, "n": 3}), X, has_aux=True)
    assert_close((out, push(X), aux["x"]), (X.sin(), X.cos() * X, X))
    assert aux["n"] == 3


@pytest.mark.parametrize("kind", [fn.custom_vjp, fn.custom_jvp])
def test_arguments_without_derivative_by_name(kind):
    def power(x, exponent, scale):
        return scale * x**exponent

    f = kind(power, nondiff_argnums=(2,), nondiff_argnames="exponent")
    if kind is fn.custom_vjp:
        f.defvjp(lambda x, e, s: (power(x, e, s), x), lambda e, s, x, g: (10 * g * s * e * x ** (e - 1),))
    else:
        f.defjvp(lambda e, s, primals, tangents: (power(*primals, e, s), 10 * s * e * tangents[0]))
    assert fn.grad(lambda x: f(x, exponent=1, scale=2.0))(torch.tensor(3.0)) == 20
    with pytest.raises(ValueError, match=r"expected nondiff_argnames among \['x', 'exponent', 'scale'\], got \['n'\]"):
        kind(power, nondiff_argnames=("n",))


def test_keys_name_their_generator():
    assert torch.equal(fn.random.key(7, impl="threefry2x32"), fn.random.PRNGKey(7, impl=None))
    with pytest.raises(ValueError, match="random.key: expected impl to be None or 'threefry2x32', got 'rbg'"):
        fn.random.key(7, impl="rbg")


@pytest.mark.parametrize(
    "module",
    [jnp, jnp.linalg, jnp.fft, fn.lax, fn.nn, fn.scipy, fn.scipy.special, fn.scipy.linalg, fn.scipy.stats],
    ids=lambda module: module.__name__,
)
def test_dir_lists_the_public_names(module):
    assert dir(module) == sorted(module.__all__)


def test_errors_of_functions_that_change_no_array():
    with pytest.raises(ValueError, match="put_along_axis: expected inplace=False"):
        jnp.put_along_axis(X, torch.tensor([0]), 1.0, axis=0)
    with pytest.raises(ValueError, match="put_along_axis: expected indices of 1 axes, got 2"):
        jnp.put_along_axis(X, torch.tensor([[0]]), 1.0, axis=0, inplace=False)
    with pytest.raises(ValueError, match="expected a last axis of 4 to make torch.int32 of torch.uint8"):
        fn.lax.bitcast_convert_type(torch.zeros(3, dtype=torch.uint8), jnp.int32)
    with pytest.raises(ValueError, match="gather: expected 2 entries per position, got 1"):
        numbers = fn.lax.GatherDimensionNumbers((), (0, 1), (0, 1))
        fn.lax.gather(torch.zeros(2, 2), torch.zeros(3, 1, dtype=torch.int32), numbers, (1, 1))
    with pytest.raises(
        ValueError, match="expected mode to be 'fill', 'drop', 'clip' or 'promise_in_bounds', got 'wrap'"
    ):
        numbers = fn.lax.GatherDimensionNumbers((), (0,), (0,))
        fn.lax.gather(X, torch.zeros(3, 1, dtype=torch.int32), numbers, (1,), mode="wrap")
