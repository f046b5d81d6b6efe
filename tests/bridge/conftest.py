"""Fixtures of the tests of bridge."""

import copy

import pytest
from torch_modules import MODULES, filled


@pytest.fixture(params=MODULES)
def case(request):
    """A module with weights of its own, and an input."""
    module, x = MODULES[request.param]
    return filled(copy.deepcopy(module)), x
