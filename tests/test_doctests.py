"""Every example in a docstring runs and has the documented output."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import funcnet as fn

MODULES = [module.name for module in pkgutil.walk_packages(fn.__path__, "funcnet.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    names = {"fn": fn, "torch": torch}
    assert doctest.testmod(module, extraglobs=names, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0
