"""Programs of JAX give JAX's numbers from the same seeds after a change of their import lines."""

import pytest
import torch
from golden import load
from inference_programs import INFERENCE_PROGRAMS
from learning_programs import LEARNING_PROGRAMS
from more_ported_programs import MORE_PROGRAMS
from ported_programs import PROGRAMS
from search_programs import SEARCH_PROGRAMS

import funcnet as fn

LATER = INFERENCE_PROGRAMS | LEARNING_PROGRAMS | SEARCH_PROGRAMS


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


@pytest.mark.slow
@pytest.mark.parametrize("jitted", [True, False])
@pytest.mark.parametrize("name", LATER)
def test_programs_of_many_fields_give_their_numbers(name, jitted):
    with fn.disable_jit(not jitted):
        check(LATER[name], load("ports_by_imports")[name])
