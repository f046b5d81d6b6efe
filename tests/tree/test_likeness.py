"""Flattening a tree by the structure of an earlier one equals flattening it, or is refused."""

from collections import OrderedDict, defaultdict, deque
from itertools import product

import pytest
from tables import TREES, Affine, Point

from funcnet import tree
from funcnet.tree.flattening import is_leaf
from funcnet.tree.likeness import Flattener

EXAMPLES = {
    **{name: make() for name, make in TREES.items()},
    "dicts inside dicts": {"a": [{"b": 1, "c": {"d": 2}}, 3], "e": ({}, {"f": {}})},
    "an OrderedDict inside": {"a": [{"b": 1, "c": OrderedDict(d=2)}, 3], "e": ({}, {"f": {}})},
    "a defaultdict inside": {"a": [defaultdict(int, b=1, c={"d": 2}), 3], "e": ({}, {"f": {}})},
    "a dict for a leaf": {"a": [{"b": {"g": 1}, "c": {"d": 2}}, 3], "e": ({}, {"f": {}})},
    "a shared dict": [{"a": (shared := {"b": 1})}, shared, {"a": {"b": shared}}],
    "no shared dict": [{"a": {"b": 1}}, {"b": 1}, {"a": {"b": OrderedDict(b=1)}}],
    "another NamedTuple": tuple(Point(1, {"z": 2})),
    "other metadata": Affine(1, 2, "other"),
    "deque": deque([1, 2], 3),
    "longer deque": deque([1, 2], 4),
    "custom node with a dict": Affine({"a": 1}, 2),
    "custom node with an OrderedDict": Affine(OrderedDict(a=1), 2),
    "other leaf": 3,
    "no leaf": None,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_only_trees_of_the_same_structure_are_flattened(name):
    example = EXAMPLES[name]
    leaves, structure = tree.flatten(example)
    if not Flattener.is_possible(structure):
        assert any(word in name for word in ("Dict", "defaultdict", "deque", "custom node with", "no shared"))
        return
    flattener = Flattener(example, structure)
    assert [*map(id, flattener(example))] == [*map(id, leaves)]
    for other in EXAMPLES.values():
        found, is_like = flattener(other), tree.structure(other) == structure
        assert is_like or found is None or not all(map(is_leaf, found))
        assert not is_like or [*map(id, found)] == [*map(id, tree.leaves(other))]


def test_all_dicts_are_compared():
    """Each mapping of a nested tree may have another type."""
    kinds = [dict, OrderedDict, lambda **items: defaultdict(int, items)]
    trees = [a(x=[b(y=c(z=1))], w=2) for a, b, c in product(kinds, repeat=3)]
    flattener = Flattener(trees[0], tree.structure(trees[0]))
    assert [flattener(each) is not None for each in trees] == [True] + [False] * 26


def test_a_dict_of_known_type_is_not_compared():
    options = {"a": 1, "b": {"c": 2}}
    flattener = Flattener([(3,), options], tree.structure([(3,), options]), of_known_type=options)
    assert flattener([(4,), {"b": {"c": 6}, "a": 5}]) == [4, 5, 6]
    assert flattener([(4,), {"b": OrderedDict(c=6), "a": 5}]) is None
    assert flattener([(4,), {"b": {"c": 6}}]) is None
