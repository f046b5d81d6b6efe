"""The table of names for users of JAX: every name of this library exists."""

import re

import torch
from guide_runs import GUIDE

import funcnet as fn

ROWS = re.findall(r"^\| `([^`]*)` \| `([^`]*)` \|", (GUIDE / "jax_names.md").read_text(), re.MULTILINE)


def find(name):
    """Look up a dotted name that starts with fn or torch."""
    found, *parts = name.split(".")
    value = {"fn": fn, "torch": torch}[found]
    for part in parts:
        value = getattr(value, part)
    return value


def exists(name):
    try:
        return find(name) is not None
    except AttributeError:
        return False


def test_every_name_exists():
    assert not [row for row in ROWS if not exists(row[1])]


def test_the_table_has_a_row_for_each_name_once():
    names = [there for there, _ in ROWS]
    assert len(names) == len(set(names)) >= 100
    assert {name.split(".")[0] for name in names} == {"jax", "optax", "equinox", "flax", "orbax"}
    lines = (GUIDE / "jax_names.md").read_text().splitlines()
    assert len(ROWS) == sum(line.startswith("| `") for line in lines)  # none is missed by the pattern


def test_a_wrong_name_is_found():
    assert exists("fn.optim.adam") and not exists("fn.optim.no_such_name") and not exists("fn.numpy.pi.no_such_name")
