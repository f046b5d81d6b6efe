"""The distributions give the numbers of JAX 0.10.2, with jax_enable_x64 for float64, up to rounding."""

import golden
import pytest
import torch
from random_draws import SAMPLERS
from torch.testing import assert_close

from funcnet import random

JAX = golden.load("random_samplers")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


ROUNDING = {"wald": 128, "loggamma": 64}  # differences of nearly equal numbers, in units of eps; otherwise 8
CASES = [(name, dtype) for dtype, rows in JAX.items() for name in rows]


@pytest.mark.parametrize("name, dtype", CASES)
def test_values_of_jax(name, dtype):
    drawn = SAMPLERS[name](random.key(42), DTYPES[dtype])
    expected = torch.tensor(JAX[dtype][name], dtype=drawn.dtype)
    rounding = ROUNDING.get(name, 8) * torch.finfo(DTYPES[dtype]).eps
    assert_close(drawn, expected, rtol=rounding, atol=rounding)
