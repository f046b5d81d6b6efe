"""The net of several ported programs, as one writes it in JAX: only these import lines differ."""

import funcnet.numpy as jnp
from funcnet import random


def mlp_init(key, sizes):
    keys = random.split(key, len(sizes) - 1)
    return [
        (random.normal(k, (m, n)) / jnp.sqrt(m), jnp.zeros((n,)))
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def mlp(params, x, act=jnp.tanh):
    for w, b in params[:-1]:
        x = act(jnp.dot(x, w) + b)
    w, b = params[-1]
    return jnp.dot(x, w) + b
