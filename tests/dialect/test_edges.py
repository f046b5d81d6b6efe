"""Edges of the dialect: no axes, empty axes, bools as indices, initial values, dtypes of results; JAX's values."""

import pytest
from jax_expressions import Table

import funcnet as fn

TABLE = Table("edges")
FIXED = [text for text in TABLE.expected if "intersect1d" not in text]  # those whose shape does not depend on values


def test_values_are_those_of_jax():
    for text in TABLE.expected:
        TABLE.check(text, TABLE.evaluate(text))


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_jit_gives_the_same(backend):
    texts = [text for text in FIXED if backend == "eager" or "digitize" not in text]
    jitted = fn.jit(lambda given: [TABLE.evaluate(text, given) for text in texts], backend=backend)
    for text, result in zip(texts, jitted(TABLE.inputs), strict=True):
        TABLE.check(text, result, rtol=5e-6)
