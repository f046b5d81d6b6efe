"""Programs of JAX give JAX's numbers from the same seeds after a change of their import lines."""

import pytest
import torch
from golden import load
from ported_programs import PROGRAMS

import funcnet as fn


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_jax_gives_its_numbers(name):
    want = load("ported_programs")[name]
    for got, values in zip(fn.tree.leaves(PROGRAMS[name]()), want, strict=True):
        torch.testing.assert_close(got, torch.tensor(values), rtol=2e-5, atol=2e-6)
