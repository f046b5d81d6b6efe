"""Initialisers with the arguments of jax.nn.initializers; values of JAX 0.10.2."""

import pickle

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import numpy as jnp
from funcnet.nn import initializers

KEY, SHAPE = fn.random.key(3), (3, 4)
CALLS = {  # here, fn.initializers
    "normal": (initializers.normal(0.02, jnp.float16), fn.initializers.normal(0.02)),
    "uniform": (initializers.uniform(0.5, jnp.float16), fn.initializers.uniform(0.5)),
    "constant": (initializers.constant(2.5, jnp.float16), fn.initializers.constant(2.5)),
    "truncated_normal": (
        initializers.truncated_normal(0.5, jnp.float16, -1.0, 3.0),
        fn.initializers.truncated_normal(0.5, -1.0, 3.0),
    ),
    "orthogonal": (initializers.orthogonal(2.0, 0, torch.float64), fn.initializers.orthogonal(2.0, 0)),
    "variance_scaling": (
        initializers.variance_scaling(0.7, "fan_in", "normal", 1, 0, (), jnp.float16),
        fn.initializers.variance_scaling(0.7, "fan_in", "normal", in_axis=1, out_axis=0),
    ),
    **{
        name: (
            getattr(initializers, name)(1, 0, (), jnp.float16),
            getattr(fn.initializers, name)(in_axis=1, out_axis=0),
        )
        for name in ("glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform")
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_a_dtype_is_that_of_the_draws_unless_a_call_has_its_own(name):
    init, plain = CALLS[name]
    dtype = torch.float64 if name == "orthogonal" else torch.float16
    assert_close(init(KEY, SHAPE), plain(KEY, SHAPE, dtype), rtol=0, atol=0)
    assert_close(init(KEY, SHAPE, torch.float32), plain(KEY, SHAPE), rtol=0, atol=0)
    assert_close(pickle.loads(pickle.dumps(init))(KEY, SHAPE), init(KEY, SHAPE))


def test_values_of_jax():
    got = initializers.truncated_normal(0.5, jnp.float32, -1.0, 3.0)(fn.random.PRNGKey(3), (4,))
    assert_close(got, torch.tensor([-0.3846476, 0.8067944, 0.2676457, 1.0086870]))
