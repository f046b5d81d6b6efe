"""Programs of JAX give JAX's numbers from the same seeds after a change of their import lines."""

import pytest
import torch
from golden import load
from more_ported_programs import MORE_PROGRAMS
from ported_programs import PROGRAMS

import funcnet as fn


def check(program, want):
    for got, values in zip(fn.tree.leaves(program()), want, strict=True):
        torch.testing.assert_close(got, torch.tensor(values), rtol=2e-5, atol=2e-6, check_dtype=got.is_floating_point())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_jax_gives_its_numbers(name):
    check(PROGRAMS[name], load("ported_programs")[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_PROGRAMS)
def test_more_programs_give_their_numbers(name):
    check(MORE_PROGRAMS[name], load("more_ported_programs")[name])
