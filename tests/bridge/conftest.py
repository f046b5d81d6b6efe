"""Fixtures for the tests of the bridge."""

import copy

import pytest
from torch_modules import MODULES, filled


@pytest.fixture(params=MODULES)
def case(request):
    """Return a module with its own weights, and an input."""
    module, x = MODULES[request.param]
    return filled(copy.deepcopy(module)), x
