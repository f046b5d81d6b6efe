"""The names of jax.tree_util, with the results of JAX 0.10.2."""

import dataclasses
import pickle
from collections import namedtuple

import pytest
import torch

import funcnet as fn
from funcnet import tree
from funcnet import tree_util as tu

Pair = namedtuple("Pair", "x y")
TREE = {"b": [1, (2, None)], "a": Pair(3, {"c d": 4})}


def test_paths():
    found = [(tu.keystr(p), tu.keystr(p, simple=True, separator="/"), x) for p, x in tu.tree_leaves_with_path(TREE)]
    assert found == [
        ("['a'].x", "a/x", 3),
        ("['a'].y['c d']", "a/y/c d", 4),
        ("['b'][0]", "b/0", 1),
        ("['b'][1][0]", "b/1/0", 2),
    ]
    assert tu.tree_leaves_with_path(TREE)[1][0] == (tu.DictKey("a"), tu.GetAttrKey("y"), tu.DictKey("c d"))
    assert tu.tree_leaves_with_path([5]) == [((tu.SequenceKey(0),), 5)] and tu.tree_leaves_with_path(5) == [((), 5)]
    pairs, structure = tu.tree_flatten_with_path(TREE)
    assert tu.tree_unflatten(structure, [x for _, x in pairs]) == TREE


def test_map_with_path():
    found = tu.tree_map_with_path(lambda path, x, y: (tu.keystr(path), x * y), TREE, TREE)
    assert found == {
        "a": Pair(("['a'].x", 9), {"c d": ("['a'].y['c d']", 16)}),
        "b": [("['b'][0]", 1), (("['b'][1][0]", 4), None)],
    }
    found = tu.tree_map_with_path(lambda path, x: len(path), TREE, is_leaf=lambda x: isinstance(x, tuple))
    assert found == {"a": 1, "b": [2, 2]}


def test_is_leaf():
    def is_tuple(x):
        return isinstance(x, tuple)

    assert tu.tree_map(lambda x: "none" if x is None else x, TREE, is_leaf=lambda x: x is None) == {
        "a": Pair(3, {"c d": 4}),
        "b": [1, (2, "none")],
    }
    assert tu.tree_map(lambda x, y: [x, y], TREE, TREE, is_leaf=is_tuple) == {
        "a": [Pair(3, {"c d": 4})] * 2,
        "b": [[1, 1], [(2, None)] * 2],
    }
    assert tree.leaves(TREE, is_leaf=is_tuple) == [Pair(3, {"c d": 4}), 1, (2, None)]
    leaves, structure = tree.flatten(TREE, is_leaf=is_tuple)
    assert structure == tree.structure(TREE, is_leaf=is_tuple) and tree.unflatten(structure, leaves) == TREE
    with pytest.raises(ValueError, match=r"tree\.map: the trees differ in structure"):
        tree.map(lambda x, y: x, [1, (2,)], [1], is_leaf=is_tuple)


def test_reduce_and_all():
    assert tu.tree_reduce(lambda a, b: a + b, TREE) == 10 and tu.tree_reduce(lambda a, b: a + b, TREE, 10) == 20
    assert tu.tree_reduce(lambda a, b: [*a, b], TREE, [], is_leaf=lambda x: isinstance(x, list))[1] == 4
    assert tu.tree_all(TREE) and not tu.tree_all({"a": 0}) and tu.tree_all({})
    with pytest.raises(TypeError):
        tu.tree_reduce(lambda a, b: a + b, {})


def test_transpose():
    outer, inner = tu.tree_structure({"a": 0, "b": 0}), tu.tree_structure([0, 0])
    for structure in (inner, None):
        assert tu.tree_transpose(outer, structure, {"a": [1, 2], "b": [3, 4]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    with pytest.raises(ValueError, match=r"tree\.transpose: expected a tree of"):
        tu.tree_transpose(outer, inner, {"a": [1, 2], "b": [3]})


class Box:
    def __init__(self, value, name):
        self.value, self.name = value, name


tu.register_pytree_node(Box, lambda box: ((box.value,), box.name), lambda name, children: Box(*children, name))


def test_registered_classes():
    doubled = fn.jit(lambda box: tree.map(lambda x: 2 * x, box))(Box(torch.tensor(2.0), "n"))
    assert doubled.value == 4 and doubled.name == "n"
    ((path, _),) = tu.tree_leaves_with_path(Box(1, "n"))
    assert path == (tu.FlattenedIndexKey(0),)
    with pytest.raises(ValueError, match="already registered"):
        tu.register_pytree_node(Box, tree.flatten, tree.unflatten)


def test_registered_dataclasses():
    @dataclasses.dataclass
    class Point:
        x: float
        y: float
        name: str

    tu.register_dataclass(Point, data_fields=["y", "x"], meta_fields=["name"])
    assert tree.leaves(Point(1.0, 2.0, "n")) == [2.0, 1.0]
    assert tree.map(lambda x: -x, Point(1.0, 2.0, "n")) == Point(-1.0, -2.0, "n")
    assert tu.keystr(tu.tree_leaves_with_path([Point(1.0, 2.0, "n")])[0][0]) == "[0].y"
    with pytest.raises(TypeError, match="expected a dataclass"):
        tu.register_dataclass(type("Plain", (), {}))


def test_partial_is_a_node():
    scaled = tu.Partial(torch.add, torch.tensor(2.0), alpha=torch.tensor(3.0))
    assert tree.leaves(scaled) == [2, 3] and scaled(torch.tensor(1.0)) == 5
    gradient = fn.grad(lambda f: tu.Partial(torch.mul, *f.args)(torch.tensor(5.0)))(scaled)
    assert isinstance(gradient, tu.Partial) and gradient.args == (5,)
    assert pickle.loads(pickle.dumps(scaled))(torch.tensor(1.0)) == 5


def test_all_names_are_those_of_jax():
    assert {name for name in dir(tu) if name.startswith("tree_")} == {
        f"tree_{name}"
        for name in (
            *("all", "flatten", "flatten_with_path", "leaves", "leaves_with_path", "map", "map_with_path"),
            *("reduce", "structure", "transpose", "unflatten"),
        )
    }
