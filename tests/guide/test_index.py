"""The index of the public names is in step with the docstrings."""

from api_index import INDEX, SECTIONS, index, module, names

import funcnet as fn


def test_the_index_is_in_step():
    command = "PYTHONPATH=tests python -m api_index"
    assert INDEX.read_text() == index(), f"a public name or the first sentence of a docstring changed: run {command}"


def test_every_public_name_is_listed():
    text = INDEX.read_text()
    for section in SECTIONS:
        prefix = section if section == "fn" else f"fn.{section}"
        assert all(f"| `{prefix}.{name}` | " in text for name in names(module(section)))
    assert {*fn.__all__} == {*names(fn)}
