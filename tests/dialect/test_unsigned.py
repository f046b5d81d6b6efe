"""uint16 and uint32, for which torch lacks most operations: values and dtypes of JAX."""

import math

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import lax  # noqa: F401  for eval
from funcnet import numpy as jnp

A = torch.tensor([3000000000, 2, 0, 4294967295], dtype=torch.uint32)
B = torch.tensor([7, 4294967290, 0, 3], dtype=torch.uint32)
H = torch.tensor([65535, 2, 0, 40000], dtype=torch.uint16)
I32 = torch.tensor([-1, 5, 2, 3], dtype=torch.int32)
U8, I8 = torch.tensor([200, 3, 0, 1], dtype=torch.uint8), torch.tensor([-100, 3, 0, 1], dtype=torch.int8)
SHIFTS = torch.tensor([1, 2, 33, 4], dtype=torch.uint32)
CALLS = {
    "jnp.add(A, B)": ("uint32", [3000000007, 4294967292, 0, 2]),
    "jnp.subtract(A, B)": ("uint32", [2999999993, 8, 0, 4294967292]),
    "jnp.multiply(A, B)": ("uint32", [3820130816, 4294967284, 0, 4294967293]),
    "jnp.maximum(A, B)": ("uint32", [3000000000, 4294967290, 0, 4294967295]),
    "jnp.floor_divide(A, B)": ("uint32", [428571428, 0, 4294967295, 1431655765]),
    "jnp.mod(A, B)": ("uint32", [4, 2, 0, 0]),
    "jnp.less(A, B)": ("bool", [False, True, False, False]),
    "jnp.left_shift(A, 3)": ("uint32", [2525163520, 16, 0, 4294967288]),
    "jnp.right_shift(A, 3)": ("uint32", [375000000, 0, 0, 536870911]),
    "jnp.power(A, 3)": ("uint32", [2013265920, 8, 0, 4294967295]),
    "jnp.negative(A)": ("uint32", [1294967296, 4294967294, 0, 1]),
    "jnp.square(A)": ("uint32", [3800301568, 4, 0, 1]),
    "jnp.invert(A)": ("uint32", [1294967295, 4294967293, 4294967295, 0]),
    "jnp.subtract(H, 3)": ("uint16", [65532, 65535, 65533, 39997]),
    "jnp.multiply(H, H)": ("uint16", [1, 4, 0, 4096]),
    "jnp.add(A, I32)": ("int32", [-1294967297, 7, 2, 2]),
    "jnp.add(H, I32)": ("int32", [65534, 7, 2, 40003]),
    "jnp.add(H, U8)": ("uint16", [199, 5, 0, 40001]),
    "jnp.add(A, H)": ("uint32", [3000065535, 4, 0, 39999]),
    "jnp.add(H, I8)": ("int32", [65435, 5, 0, 40001]),
    "jnp.add(A, 1)": ("uint32", [3000000001, 3, 1, 0]),
    "jnp.multiply(A, 0.5)": ("float32", [1500000000.0, 1.0, 0.0, 2147483648.0]),
    "jnp.logical_and(A, B)": ("bool", [True, True, False, True]),
    "jnp.true_divide(A, I8)": ("float32", [-30000000.0, 0.6666666865348816, math.nan, 4294967296.0]),
    "jnp.sum(A)": ("uint32", 3000000001),
    "jnp.sum(A, initial=5)": ("uint32", 3000000006),
    "jnp.prod(A[:2], initial=2)": ("uint32", 3410065408),
    "jnp.ptp(A)": ("uint32", 4294967295),
    "jnp.triu(A.reshape(2, 2))": ("uint32", [[3000000000, 2], [0, 4294967295]]),
    "jnp.tril(A.reshape(2, 2))": ("uint32", [[3000000000, 0], [0, 4294967295]]),
    "jnp.rot90(A.reshape(2, 2))": ("uint32", [[2, 4294967295], [3000000000, 0]]),
    "jnp.delete(A, 1)": ("uint32", [3000000000, 0, 4294967295]),
    "jnp.insert(A, 1, 3)": ("uint32", [3000000000, 3, 2, 0, 4294967295]),
    "fn.at(A)[3].add(2)": ("uint32", [3000000000, 2, 0, 1]),
    "fn.at(A)[SHIFTS.long() - 1].set(B)": ("uint32", [7, 4294967290, 0, 3]),
    "fn.at(A)[A.long() > 2].multiply(2)": ("uint32", [1705032704, 2, 0, 4294967294]),
    "fn.at(A)[torch.tensor([0, 3, 3])].subtract(1)": ("uint32", [2999999999, 2, 0, 4294967293]),
    "fn.at(A)[torch.tensor([0, 1])].max(9)": ("uint32", [3000000000, 9, 0, 4294967295]),
    "fn.at(A)[torch.tensor([0, 1])].get()": ("uint32", [3000000000, 2]),
    "jnp.prod(A)": ("uint32", 0),
    "jnp.max(A)": ("uint32", 4294967295),
    "jnp.min(A, initial=1)": ("uint32", 0),
    "jnp.argmax(A)": ("int32", 3),
    "jnp.cumsum(A)": ("uint32", [3000000000, 3000000002, 3000000002, 3000000001]),
    "jnp.cumsum(H)": ("uint16", [65535, 1, 1, 40001]),
    "jnp.diff(A)": ("uint32", [1294967298, 4294967294, 4294967295]),
    "jnp.flip(A)": ("uint32", [4294967295, 0, 2, 3000000000]),
    "jnp.dot(A, B)": ("uint32", 3820130801),
    "jnp.take(A, jnp.array([3, 0]))": ("uint32", [4294967295, 3000000000]),
    "jnp.searchsorted(jnp.sort(A), B)": ("int32", [2, 3, 0, 2]),
    "jnp.arange(3, dtype=jnp.uint16)": ("uint16", [0, 1, 2]),
    "jnp.concatenate([H, U8])": ("uint16", [65535, 2, 0, 40000, 200, 3, 0, 1]),
    "lax.rem(A, B)": ("uint32", [4, 2, 0, 0]),
    "lax.div(A, SHIFTS)": ("uint32", [3000000000, 1, 0, 1073741823]),
    "lax.clamp(jnp.array(1, jnp.uint32), A, jnp.array(9, jnp.uint32))": ("uint32", [9, 2, 1, 9]),
    "lax.shift_right_logical(A, SHIFTS)": ("uint32", [1500000000, 0, 0, 268435455]),
    "lax.shift_right_arithmetic(A, SHIFTS)": ("uint32", [3647483648, 0, 0, 4294967295]),
    "lax.shift_left(A, SHIFTS)": ("uint32", [1705032704, 8, 0, 4294967280]),
}  # fmt: skip


@pytest.mark.parametrize("text", CALLS)
def test_values_are_those_of_jax(text):
    dtype, expected = CALLS[text]
    got = eval(text)
    assert got.dtype == getattr(torch, dtype)
    assert_close(got, torch.tensor(expected, dtype=got.dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.few(1)
def test_hashes_compile_and_map():
    def mixed(x):
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = jnp.multiply(jnp.bitwise_xor(x, jnp.right_shift(x, shift)), jnp.array(factor, jnp.uint32))
        return jnp.bitwise_xor(x, jnp.right_shift(x, 16))

    expected = mixed(A)
    assert expected.tolist() == [2119430536, 3507691905, 0, 1734902346]
    assert torch.equal(fn.jit(mixed)(A), expected)
    assert torch.equal(fn.jit(fn.vmap(mixed))(A), expected)


def test_a_failed_operator_names_the_function():
    with pytest.raises(NotImplementedError, match=r"numpy.right_shift\(x, y\)"):
        fn.vmap(lambda x: x >> 3)(A)


def test_floats_keep_their_derivatives():
    x = torch.tensor([0.5, 1.0, 2.0, 3.0])
    assert_close(fn.grad(lambda x: jnp.multiply(x, H).sum())(x), H.float())
