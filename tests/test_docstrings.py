"""Docstrings of public functions have an example, which tests/test_doctests.py runs, and explain the arguments."""

import inspect
import re
from operator import attrgetter

import pytest

import funcnet as fn

MODULES = {
    name: attrgetter(name)(fn)
    for name in (
        "bridge",
        "checking",
        "checkpoint",
        "checkpoint_policies",
        "curvature",
        "debug",
        "distributed",
        "image",
        "initializers",
        "layers",
        "losses",
        "ops",
        "optim",
        "random",
        "report",
        "scipy.signal",
        "scipy.sparse.linalg",
        "tree",
    )
}
MODULES["fn"] = fn
REFERENCE = re.compile(r"\bAs (for |in )?`")  # in place of an explanation


def functions(module):
    """Yield the names and docstrings of the public functions of a module."""
    for name in getattr(module, "__all__", vars(module)):
        value = getattr(module, name)
        if name[0] != "_" and inspect.isroutine(value) and value.__module__.startswith("funcnet"):
            yield name, inspect.getdoc(value) or ""


@pytest.mark.parametrize("name", MODULES)
def test_a_public_function_has_an_example(name):
    found = dict(functions(MODULES[name]))
    assert found and not [function for function, text in found.items() if ">>> " not in text]


@pytest.mark.parametrize("name", MODULES)
def test_arguments_are_explained_where_they_are_used(name):
    """A reference to another function, in the place of a sentence about an argument, sends the reader away."""
    assert not [function for function, text in functions(MODULES[name]) if REFERENCE.search(text)]


def test_a_missing_explanation_is_found():
    assert REFERENCE.search("b1, b2: As for `adam`.") and REFERENCE.search("TypeError: As in `grad`.")
    assert not REFERENCE.search("f: A function of the carry, as for `scan`.")
